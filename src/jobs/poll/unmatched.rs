//! What pages showed and has not been judged yet.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};

use super::load::ScheduledInvoice;
use super::page::Shown;
use super::span_reader::preference;
use crate::domain::invoice::TransactionId;
use crate::domain::planner::spans::SpanRequest;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Transaction, TransactionStatus};
use crate::provider::Refund;

/// Maximum number of refunds remembered as recorded; beyond that all are forgotten and matched
/// again.
const MOST_KNOWN: usize = 1 << 16;

/// What pages showed and has not been judged yet.
#[derive(Default)]
pub(super) struct Unmatched {
    pub(super) shown: VecDeque<(Source, Shown)>,
    pub(super) refunds: ShownRefunds,
    /// Orders that the search in progress has found; the whole search decides which one counts.
    held: Vec<Shown>,
    /// Ended invoices that a reading of payments did not show.
    pub(super) covered: Vec<ScheduledInvoice>,
    /// Entries that a complete reading of the list did not show.
    pub(super) missing: Vec<u32>,
    /// Number of the first page of the sweep in progress.
    pub(super) sweep_began: Option<u32>,
}

/// The page on which something was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) number: u32,
    pub(super) started_at: UnixMillis,
    /// Whether it was a page of a list by time.
    pub(super) is_span: bool,
    /// Used for the jitter of all plans of the page: entries shown together are due together, so
    /// the next poll is one page again, and the index of plans is written in order.
    pub(super) roll: f64,
}

impl Unmatched {
    pub(super) fn is_empty(&self) -> bool {
        let has_no_others = self.refunds.is_empty() && self.covered.is_empty();
        self.shown.is_empty() && self.missing.is_empty() && has_no_others
    }

    /// Keeps what a page of a search found until its end. A reading that begins forgets what an
    /// abandoned one has found.
    pub(super) fn hold_back(&mut self, request: &SpanRequest, found: Vec<Shown>) {
        if request.is_first {
            self.held.clear();
        }
        self.held.extend(found);
    }

    /// At the end of a search: of several orders with one external id, the one with money counts,
    /// else one that can still be paid, else the newest.
    pub(super) fn release_held(&mut self, source: Source) {
        let mut held = std::mem::take(&mut self.held);
        held.sort_by_key(|one| Reverse(preference(&one.observed)));
        self.take_in(source, held, Vec::new());
    }

    /// Adds what a page of a list by time showed.
    pub(super) fn take_in(&mut self, source: Source, shown: Vec<Shown>, refunds: Vec<Refund>) {
        let shown = shown.into_iter().map(|shown| (source, shown));
        self.shown.extend(shown);
        self.refunds.take_in(source, refunds);
    }
}

/// Refunds that lists showed.
#[derive(Default)]
pub(super) struct ShownRefunds {
    pub(super) waiting: VecDeque<(Source, Refund)>,
    /// Refunds that are already recorded.
    known: HashSet<(TransactionId, TransactionStatus)>,
}

impl ShownRefunds {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn take_in(&mut self, source: Source, refunds: Vec<Refund>) {
        let news = refunds.into_iter().filter(|refund| {
            let key = (refund.transaction.id.clone(), refund.transaction.status);
            !self.known.contains(&key)
        });
        self.waiting.extend(news.map(|refund| (source, refund)));
    }

    pub(super) fn note_known(&mut self, transactions: &[Transaction]) {
        if self.known.len() >= MOST_KNOWN {
            self.known = HashSet::new();
        }
        let keys = transactions.iter().map(|one| (one.id.clone(), one.status));
        self.known.extend(keys);
    }
}
