//! The audit: reads all orders that the provider lists, or its whole ledger, and compares them with our
//! invoices, both ways.
//!
//! The daemon goes on meanwhile, so a difference is looked at again at the end: what has changed
//! since the page was asked for is no finding. What is fresh is left to a daemon that polls for a
//! moment first, or each night's audit would report what is said a second later. Repeatable: a finding
//! is said once.

mod again;
mod budget;
mod compare;
mod ledger;
mod list;
mod request;
mod span;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub use budget::BorrowedBudget;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::audit::{self, AuditRow, Discrepancy, DiscrepancyKind};
use crate::domain::decide::Rules;
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::observation::ObservedOrder;
use crate::domain::time::UnixMillis;
use crate::limit::SharedLimiter;
use crate::provider::{Provider, ProviderError};
use crate::store::{Store, StoreError};

/// Findings written in one transaction, and fresh orders looked up at a time.
const FINDINGS: usize = 200;
/// A page that could not be read, or a row that is written meanwhile, is tried so often.
const TRIES: u32 = 4;

/// The duty, for one account.
#[derive(Clone)]
pub struct Audit {
    /// The account.
    pub account: AccountName,
    /// Its provider, holding its key.
    pub provider: Arc<dyn Provider>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The account's budget, shared with its poller, of which an audit takes at most half of the
    /// rate; or the borrowed part alone.
    pub limiter: SharedLimiter,
    /// What the budget is borrowed by, where the poller is in another process.
    pub borrowed: Option<Arc<BorrowedBudget>>,
    /// What the configuration has to say in decisions.
    pub rules: Rules,
    /// Take unknown orders in as invoices.
    pub adopt: bool,
    /// While a daemon polls the account: cancelled when it stops. None when nobody polls, and then
    /// nothing is waited for.
    pub polled_until: Option<CancellationToken>,
}

impl Audit {
    /// The same, which writes through another store.
    #[must_use]
    pub fn with_store(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Orders, transactions and invoices compared.
    pub checked: u64,
    /// Those of them that are transactions of a ledger.
    pub transactions: u64,
    /// All that stands, unknown paid orders first.
    pub discrepancies: Vec<Discrepancy>,
    /// Orders taken in as invoices.
    pub adopted: u64,
    /// Findings that had not been said before.
    pub said: u64,
}

/// Why an audit came to no end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The list could not be read.
    #[error("records of account {account} could not be read: {error}")]
    ProviderError {
        /// The account.
        account: AccountName,
        /// Why.
        error: ProviderError,
    },
    /// Its requests would exceed what the account may ask.
    #[error("account {account} has no request budget for an audit: {why}")]
    NoBudget {
        /// The account.
        account: AccountName,
        /// Why.
        why: String,
    },
    /// The daemon stops. Nothing was said: the next audit says it.
    #[error("daemon is stopping")]
    Stopped,
    /// The database could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What has been read so far.
#[derive(Default)]
struct AuditProgress {
    orders: u64,
    /// Invoices inserted before may have orders that the list no longer shows.
    reaches_back_to: UnixMillis,
    /// Invoices whose order was seen.
    seen: HashSet<InvoiceId>,
    /// Pairs that differ, with the time their page was asked for.
    differing: Vec<(AuditRow, ObservedOrder, UnixMillis)>,
    /// Orders that no invoice follows, by id: overlapping pages show some twice.
    unknown: BTreeMap<String, ObservedOrder>,
}

impl Audit {
    /// Reads, compares, says what is new, and takes in if asked to.
    pub async fn run_once(&self) -> Result<AuditReport, AuditError> {
        match self.provider.ledger() {
            Some(ledger) => self.audit_ledger(ledger).await,
            None => self.audit_orders().await,
        }
    }

    async fn audit_orders(&self) -> Result<AuditReport, AuditError> {
        let began = self.clock.now();
        let mut reading = AuditProgress::default();
        self.read_orders(&mut reading, began).await?;
        self.leave_a_moment(&mut reading).await?;
        let mut findings = self.recheck(&reading).await?;
        findings.extend(self.unseen(&reading, began).await?);
        let unknown = reading
            .unknown
            .values()
            .map(|order| audit::unknown(&self.account, order));
        findings.extend(unknown);
        findings.sort_by_key(urgency);
        let (adopted, said) = if self.adopt {
            self.say_and_adopt(&findings, &reading).await?
        } else {
            (0, self.say(&findings).await?)
        };
        Ok(AuditReport {
            checked: reading.orders + count_missing(&findings),
            transactions: 0,
            discrepancies: findings,
            adopted,
            said,
        })
    }

    /// Reads all orders, by the list that the provider has.
    async fn read_orders(
        &self,
        reading: &mut AuditProgress,
        began: UnixMillis,
    ) -> Result<(), AuditError> {
        let provider = Arc::clone(&self.provider);
        match (provider.lists(), provider.lists_by_time()) {
            (Some(list), _) => self.read_list(list, reading).await,
            (None, Some(list)) => self.read_span(list, reading, began).await,
            (None, None) => {
                let what = format!("{} has no list of orders", self.provider.name());
                Err(self.unreadable(ProviderError::Refused(what)))
            }
        }
    }

    fn unreadable(&self, error: ProviderError) -> AuditError {
        let account = self.account.clone();
        AuditError::ProviderError { account, error }
    }

    /// Takes unknown orders in. All else is said before: it stands whatever becomes of that. What
    /// was taken in is followed from now on, its own events tell of it; what could not be is said.
    async fn say_and_adopt(
        &self,
        findings: &[Discrepancy],
        reading: &AuditProgress,
    ) -> Result<(u64, u64), AuditError> {
        let (unknown, others): (Vec<Discrepancy>, Vec<Discrepancy>) = findings
            .iter()
            .cloned()
            .partition(|finding| finding.kind == DiscrepancyKind::UnknownOrder);
        let said = self.say(&others).await?;
        let taken = self.take_in(reading).await?;
        let left: Vec<Discrepancy> = unknown
            .into_iter()
            .filter(|finding| {
                !finding
                    .order_id
                    .as_ref()
                    .is_some_and(|id| taken.contains(id))
            })
            .collect();
        Ok((taken.len() as u64, said + self.say(&left).await?))
    }

    async fn say(&self, findings: &[Discrepancy]) -> Result<u64, StoreError> {
        let mut said = 0;
        for batch in findings.chunks(FINDINGS) {
            let now = self.clock.now();
            said += self
                .store
                .record_findings(self.provider.name(), batch, now)
                .await?;
        }
        Ok(said)
    }

    /// The ids of the orders that are invoices now.
    async fn take_in(&self, reading: &AuditProgress) -> Result<HashSet<String>, StoreError> {
        let orders: Vec<ObservedOrder> = reading.unknown.values().cloned().collect();
        let mut taken = HashSet::new();
        for batch in orders.chunks(FINDINGS) {
            let ids = self.store.adopt(&self.account, batch).await?;
            taken.extend(ids.into_iter().map(|id| id.0));
        }
        Ok(taken)
    }
}

/// Invoices of which the provider shows nothing.
fn count_missing(findings: &[Discrepancy]) -> u64 {
    let missing = findings.iter().filter(|finding| finding.theirs.is_none());
    missing.count() as u64
}

/// Money nobody asked about first, then what contradicts, then the rest.
fn urgency(finding: &Discrepancy) -> (u8, Option<String>) {
    let rank = match (finding.kind, finding.is_paid) {
        (DiscrepancyKind::UnknownOrder, true) | (DiscrepancyKind::UnknownPayment, _) => 0,
        (DiscrepancyKind::Status, true) | (DiscrepancyKind::Refund, _) => 1,
        (
            DiscrepancyKind::Amount
            | DiscrepancyKind::ExternalId
            | DiscrepancyKind::Status
            | DiscrepancyKind::Received,
            _,
        ) => 2,
        (DiscrepancyKind::MissingOrder, _) => 3,
        (DiscrepancyKind::UnknownOrder, false) => 4,
    };
    let name = finding.order_id.as_ref().or(finding.external_id.as_ref());
    (rank, name.cloned())
}
