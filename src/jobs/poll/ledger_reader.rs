//! What is known of an account's ledger, and what of it waits to be asked, matched or compared.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::domain::invoice::InvoiceId;
use crate::domain::ledger::Ledger;
use crate::domain::observation::LedgerCoverage;
use crate::domain::transaction::Transaction;
use crate::limit::Permit;
use crate::provider::{LedgerPage, ProviderError};
use crate::retry::Waits;

/// Transactions of no invoice that are remembered as kept; beyond that all are written anew.
const MOST_REMEMBERED: usize = 1 << 14;

/// Shortest delay between two readings beyond what is due.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// The interval of readings while no invoice is due: refunds are noticed within a minute.
const READ_EVERY: Duration = Duration::from_secs(30);

/// The ledger of one account.
pub(super) struct LedgerReader {
    pub(super) ledger: Ledger,
    /// The request for a page that is under way.
    pub(super) request: Option<BoxFuture<'static, LedgerAnswer>>,
    /// The number of the reading: a nudge is answered by one with a higher number.
    pub(super) number: u32,
    /// A page that nobody has matched yet.
    pub(super) unmatched: Option<LedgerPage>,
    /// A page whose decisions are being written.
    pub(super) matched: Option<MatchedPage>,
    /// Invoices that are to be compared with what was kept.
    pub(super) to_check: VecDeque<LedgerCheck>,
    /// Those of them that were in hand: they are compared once they are not.
    pub(super) in_hand: HashSet<InvoiceId>,
    /// Invoices whose payments were kept until the reading ends: what its later pages show of them is
    /// added up with these.
    pub(super) held: BTreeSet<InvoiceId>,
    /// Transactions of no invoice, as they were kept last.
    pub(super) remembered: HashSet<u64>,
    /// When the last complete reading ended.
    pub(super) read_at: Duration,
    /// When the place was last written.
    pub(super) saved_at: Duration,
    /// When the last reading began, and what it has cost.
    pub(super) began_at: Option<Duration>,
    pub(super) cost: LedgerCost,
    /// When the ledger is read beyond what is due; None = not at all.
    pub(super) watch_at: Option<Duration>,
    /// After a failure: not again before.
    pub(super) not_before: Duration,
    pub(super) delays: Waits,
}

/// Which invoices wait for a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LedgerDemand {
    /// None is due: the ledger is read for paid and ended invoices, and for money of no invoice.
    Beyond,
    /// None is due, in a single pass: nothing is read.
    Nothing,
    /// Some are due.
    Due,
    /// A program asked for a poll of one.
    Nudged,
}

/// What came of a request for a page.
pub(super) struct LedgerAnswer {
    pub(super) permit: Permit,
    pub(super) result: Result<LedgerPage, ProviderError>,
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

/// An invoice that is to be compared with transactions that were kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum LedgerCheck {
    /// It has just come in.
    New(InvoiceId),
    /// It is in hand: a complete reading showed nothing of it.
    Unpaid {
        slot: u32,
        id: InvoiceId,
        coverage: Option<LedgerCoverage>,
    },
}

impl LedgerReader {
    pub(super) fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            request: None,
            number: 0,
            unmatched: None,
            matched: None,
            to_check: VecDeque::new(),
            in_hand: HashSet::new(),
            held: BTreeSet::new(),
            remembered: HashSet::new(),
            read_at: Duration::ZERO,
            saved_at: Duration::ZERO,
            began_at: None,
            cost: LedgerCost::default(),
            watch_at: None,
            not_before: Duration::ZERO,
            delays: Waits::of_probes(),
        }
    }

    /// Goes on where the run before this one stopped.
    pub(super) fn restore(&mut self, text: &str) {
        self.ledger = Ledger::parse(text);
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.request.is_none()
            && self.unmatched.is_none()
            && self.matched.is_none()
            && self.to_check.is_empty()
    }

    /// Whether what came from it waits to be worked on.
    pub(super) fn has_work(&self) -> bool {
        self.unmatched.is_some() || self.can_check()
    }

    /// Whether invoices can be compared with what was kept, which needs the last page to be saved.
    pub(super) fn can_check(&self) -> bool {
        self.matched.is_none() && !self.to_check.is_empty()
    }

    /// When the ledger is read whether an invoice waits for money or not.
    pub(super) fn read_again_at(&self) -> Duration {
        self.read_at + READ_EVERY
    }

    /// When the next page may be requested, if no request is in flight. A reading that has begun goes on,
    /// a nudge is answered at once; what is due waits until `min_interval` after the last reading began.
    pub(super) fn next_request_at(
        &self,
        demand: LedgerDemand,
        min_interval: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let at = match demand {
            _ if self.ledger.is_reading() => Some(now),
            LedgerDemand::Nudged => Some(now),
            LedgerDemand::Due => Some(self.began_at.map_or(now, |at| at + min_interval)),
            LedgerDemand::Beyond => Some(self.read_again_at()),
            LedgerDemand::Nothing => None,
        };
        let at = at.into_iter().chain(self.watch_at).min()?;
        self.is_idle().then(|| at.max(self.not_before).max(now))
    }

    /// What is under way is not waited for any more.
    pub(super) fn drop_request(&mut self) {
        self.request = None;
    }

    /// Waits for the request in flight; never returns without one.
    pub(super) async fn wait_for_answer(&mut self) -> LedgerAnswer {
        let answer = match &mut self.request {
            Some(request) => request.await,
            None => std::future::pending().await,
        };
        self.request = None;
        answer
    }

    /// A row came in that may have been paid before.
    pub(super) fn check_new(&mut self, id: InvoiceId) {
        self.to_check.push_back(LedgerCheck::New(id));
    }

    /// The reading ends, or is interrupted: what was held is compared with all that was kept.
    pub(super) fn release_held(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.check_new(id);
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

impl LedgerCheck {
    pub(super) fn id(self) -> InvoiceId {
        match self {
            Self::New(id) | Self::Unpaid { id, .. } => id,
        }
    }
}

/// What a reading has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LedgerCost {
    pub(super) requests: u32,
    pub(super) bytes: u64,
}

impl LedgerCost {
    /// From the beginning of this reading to the next, so that readings take half of the rate.
    pub(super) fn pause(self, rate: Option<f64>, bytes_per_second: u64) -> Duration {
        let by_rate = rate.map_or(0.0, |rate| 2.0 * f64::from(self.requests) / rate.max(0.01));
        let millis = self.bytes.saturating_mul(1000) / bytes_per_second.max(1);
        Duration::from_secs_f64(by_rate)
            .max(Duration::from_millis(millis))
            .max(SHORTEST_WATCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_beyond_what_is_due_take_half_of_the_rate_and_the_bytes_that_are_allowed() {
        let cost = |requests, bytes| LedgerCost { requests, bytes };
        assert_eq!(cost(1, 0).pause(Some(1.0), 1000), Duration::from_secs(2));
        assert_eq!(cost(3, 0).pause(Some(1.0), 1000), Duration::from_secs(6));
        assert_eq!(cost(1, 9000).pause(Some(1.0), 1000), Duration::from_secs(9));
        assert_eq!(cost(1, 0).pause(Some(100.0), 1000), SHORTEST_WATCH);
        assert_eq!(cost(1, 0).pause(None, 1000), SHORTEST_WATCH);
    }
}
