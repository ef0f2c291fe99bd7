//! The audit: reads the provider's whole list and compares it with our invoices, both ways.
//!
//! The daemon goes on meanwhile, so a difference is looked at again at the end: what has changed
//! since the page was asked for is no finding. What is fresh is left to a daemon that polls for a
//! moment first, or each night's audit would report what is said a second later. Repeatable: a finding
//! is said once.

mod again;
mod budget;
mod list;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub use budget::BorrowedBudget;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::audit::{self, AuditRow, Discrepancy, DiscrepancyKind};
use crate::domain::decide::{Rules, decide_by};
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::observation::{Observation, ObservedOrder};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::limit::SharedLimiter;
use crate::provider::{Provider, ProviderError};
use crate::store::{Store, StoreError, Written};

/// Findings written in one transaction, and fresh orders looked up at a time.
const FINDINGS: usize = 200;
/// A page that could not be read, or a row that is written meanwhile, is tried so often.
const TRIES: u32 = 4;

/// The duty, for one account.
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

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Orders and invoices compared.
    pub checked: u64,
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
    #[error("the order list of account {account} could not be read: {error}")]
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
    #[error("the daemon stops")]
    Stopped,
    /// The database could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What has been read so far.
#[derive(Default)]
struct AuditProgress {
    orders: u64,
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
        let began = self.clock.now();
        let mut reading = AuditProgress::default();
        self.read_list(&mut reading).await?;
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
            checked: reading.orders + findings.iter().filter(|f| f.theirs.is_none()).count() as u64,
            discrepancies: findings,
            adopted,
            said,
        })
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

    async fn compare_page(
        &self,
        page: Vec<ObservedOrder>,
        asked_at: UnixMillis,
        reading: &mut AuditProgress,
    ) -> Result<(), AuditError> {
        let rows = self.store.audit_rows_of(&self.account, &page).await?;
        let mut known = HashSet::new();
        for (place, mut row) in rows {
            let Some(order) = page.get(place) else {
                continue;
            };
            known.insert(place);
            reading.seen.insert(row.id);
            // Only the list tells the amounts paid and the external id: no look of the daemon's
            // would find these.
            let other_id = order
                .external_id
                .as_ref()
                .is_some_and(|id| *id != row.external_id);
            if row.lacks_details && order.payment.is_some() || other_id {
                self.tell_the_invoice(row.id, order).await?;
                // As it is now: this change is ours, and makes the page no older.
                row = self
                    .store
                    .audit_rows_by_id(&[row.id])
                    .await?
                    .pop()
                    .unwrap_or(row);
            }
            if !audit::compare(&self.account, &row, order).is_empty() {
                reading.differing.push((row, order.clone(), asked_at));
            }
        }
        for (place, order) in page.into_iter().enumerate() {
            if !known.contains(&place) {
                reading.unknown.insert(order.order_id.0.clone(), order);
            }
        }
        Ok(())
    }

    /// The observed counts as any other: amounts of a payment that was said without them, or an
    /// invoice that follows another's order. What the daemon writes meanwhile is judged anew, and
    /// no plan of its is set back.
    async fn tell_the_invoice(
        &self,
        id: InvoiceId,
        order: &ObservedOrder,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let Some(invoice) = self.store.invoice(id).await? else {
                return Ok(());
            };
            let mut decision = decide_by(
                &self.rules,
                &invoice,
                self.provider.name(),
                Observation::Seen(order.clone()),
            );
            if !decision.has_changes() {
                return Ok(());
            }
            let now = self.clock.now();
            let row = &mut decision.row;
            if row.facts.status == Status::Review {
                // After its end it may have had no further look; in review there always is one.
                row.schedule.next_poll_at.get_or_insert(now);
            }
            match self.store.commit_audit_decision(&decision, now).await? {
                Written::Yes { .. } => return Ok(()),
                Written::Stale => {}
                Written::Refused(why) => {
                    tracing::error!(account = %self.account, external_id = %invoice.external_id, why, "the database refuses what the audit saw");
                    return Ok(());
                }
            }
        }
        // It differs still, and is reported.
        Ok(())
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

/// Money nobody asked about first, then what contradicts, then the rest.
fn urgency(finding: &Discrepancy) -> (u8, Option<String>) {
    let paid = finding
        .theirs
        .as_ref()
        .is_some_and(|side| side.status == "PAID");
    let rank = match (finding.kind, paid) {
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
    (rank, finding.order_id.clone())
}
