//! What is known of an account's ledger, and what of it waits to be asked, matched or compared.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use futures::future::BoxFuture;

use super::comparisons::LedgerComparisons;
use super::pace::{LedgerDemand, LedgerPace};
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::ledger::{Ledger, LedgerStep};
use crate::domain::observation::LedgerCoverage;
use crate::domain::transaction::Transaction;
use crate::jobs::unreadable::UnreadableEntries;
use crate::limit::Permit;
use crate::provider::{LedgerPage, ProviderError};

/// So often in a row a ledger shows to be another one before it is read as such.
const SHOWN_AS_OTHER: u32 = 3;
/// Transactions of no invoice that are remembered as kept; beyond that all are written anew.
const MOST_REMEMBERED: usize = 1 << 14;

/// The ledger of one account.
pub(in crate::jobs::poll) struct LedgerReader {
    pub(super) ledger: Ledger,
    /// The request for a page that is under way.
    pub(super) request: Option<BoxFuture<'static, LedgerAnswer>>,
    /// The number of the reading: a nudge is answered by one with a higher number.
    pub(super) number: u32,
    pub(super) page: PageInHand,
    pub(super) comparisons: LedgerComparisons,
    /// Transactions of no invoice, as they were kept last.
    remembered: HashSet<u64>,
    /// When the end of a reading was last written; None = what is written is not the end of one, or another
    /// process wrote it.
    pub(super) end_saved_at: Option<Duration>,
    pub(super) pace: LedgerPace,
    pub(super) unreadable: UnreadableEntries,
    /// How often in a row the ledger was another one.
    pub(super) others_in_a_row: u32,
}

/// The page that came last. The next one is requested when nothing of it is left to do.
pub(super) enum PageInHand {
    Nothing,
    /// Nobody has matched its transactions yet.
    Unmatched(LedgerPage),
    /// Its decisions are being written.
    Matched(MatchedPage),
}

/// What came of a request for a page.
pub(in crate::jobs::poll) struct LedgerAnswer {
    pub(in crate::jobs::poll) permit: Permit,
    pub(in crate::jobs::poll) result: Result<LedgerPage, ProviderError>,
}

/// A page all of whose decisions were made.
#[derive(Debug)]
pub(super) struct MatchedPage {
    /// Transactions that no decision writes.
    pub(super) without_invoice: Vec<Transaction>,
    /// Whether it ends a reading.
    pub(super) is_end: bool,
    /// What the reading that it ends covers, where the provider told its time.
    pub(super) coverage: Option<LedgerCoverage>,
}

impl LedgerReader {
    pub(in crate::jobs::poll) fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            request: None,
            number: 0,
            page: PageInHand::Nothing,
            comparisons: LedgerComparisons::default(),
            remembered: HashSet::new(),
            end_saved_at: None,
            pace: LedgerPace::new(),
            unreadable: UnreadableEntries::default(),
            others_in_a_row: 0,
        }
    }

    /// Goes on where the run before this one stopped.
    pub(in crate::jobs::poll) fn restore(&mut self, text: &str) {
        self.ledger = Ledger::parse(text);
    }

    /// A row came in that may have been paid before.
    pub(in crate::jobs::poll) fn check_new(&mut self, id: InvoiceId) {
        self.comparisons.check_new(id);
    }

    /// Whether the reading in progress was begun by an earlier run of the daemon.
    pub(super) fn is_resuming(&self) -> bool {
        self.ledger.is_reading() && self.pace.began_at().is_none()
    }

    /// Whether nothing is under way.
    pub(in crate::jobs::poll) fn is_idle(&self) -> bool {
        let has_page = !matches!(self.page, PageInHand::Nothing);
        self.request.is_none() && !has_page && self.comparisons.is_empty()
    }

    /// Whether what came from it waits to be worked on.
    pub(super) fn has_work(&self) -> bool {
        matches!(self.page, PageInHand::Unmatched(_)) || self.can_check()
    }

    /// Whether invoices can be compared with what was kept, which needs the last page to be saved.
    pub(super) fn can_check(&self) -> bool {
        let is_saved = !matches!(self.page, PageInHand::Matched(_));
        is_saved && !self.comparisons.is_empty()
    }

    /// When the next page may be requested, if no request is in flight. A reading that has begun goes on.
    pub(super) fn next_request_at(
        &self,
        demand: LedgerDemand,
        min_interval: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let at = if self.ledger.is_reading() {
            now
        } else {
            self.pace.next_reading_at(demand, min_interval, now)?
        };
        self.is_idle()
            .then(|| self.pace.after_failures(at).max(now))
    }

    /// What is under way is not waited for any more.
    pub(in crate::jobs::poll) fn drop_request(&mut self) {
        self.request = None;
    }

    /// Waits for the request in flight; never returns without one.
    pub(in crate::jobs::poll) async fn wait_for_answer(&mut self) -> LedgerAnswer {
        let answer = match &mut self.request {
            Some(request) => request.await,
            None => std::future::pending().await,
        };
        self.request = None;
        answer
    }

    /// What was known of the ledger holds until the provider has shown `SHOWN_AS_OTHER` times in a row that
    /// it is another one, and when that was by its clock.
    pub(super) fn judge_ledger(
        &mut self,
        account: &AccountName,
        page: LedgerPage,
    ) -> Result<LedgerPage, ProviderError> {
        if page.step != LedgerStep::Other {
            self.others_in_a_row = 0;
            return Ok(page);
        }
        self.others_in_a_row += 1;
        if self.others_in_a_row < SHOWN_AS_OTHER || page.answered_at.is_none() {
            let what = "the ledger does not show the transaction that was read last";
            return Err(ProviderError::Malformed(what.into()));
        }
        self.others_in_a_row = 0;
        tracing::warn!(%account, "ledger is not the one that was read so far, as with the token of another bot; it is read from its beginning, and invoices made before now do not expire by their deadline, since the other ledger may have their payment");
        Ok(page)
    }

    /// Takes the page whose decisions were written.
    pub(super) fn take_matched(&mut self) -> Option<MatchedPage> {
        match std::mem::replace(&mut self.page, PageInHand::Nothing) {
            PageInHand::Matched(page) => Some(page),
            other => {
                self.page = other;
                None
            }
        }
    }

    /// Whether a transaction of no invoice has to be kept: it is new, or has changed.
    pub(super) fn is_unknown(&self, transaction: &Transaction) -> bool {
        !self.remembered.contains(&fingerprint(transaction))
    }

    pub(super) fn remember(&mut self, kept: &[Transaction]) {
        if self.remembered.len() + kept.len() > MOST_REMEMBERED {
            self.remembered = HashSet::new();
        }
        self.remembered.extend(kept.iter().map(fingerprint));
    }
}

fn fingerprint(transaction: &Transaction) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&transaction.id, transaction.direction, transaction.status).hash(&mut hasher);
    hasher.finish()
}
