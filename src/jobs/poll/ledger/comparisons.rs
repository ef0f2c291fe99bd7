//! The invoices that are to be compared with transactions that were kept.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::domain::invoice::InvoiceId;
use crate::domain::observation::LedgerCoverage;

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

/// What waits to be compared.
#[derive(Debug, Default)]
pub(super) struct LedgerComparisons {
    waiting: VecDeque<LedgerCheck>,
    /// New invoices that were in hand: they are compared once they are not.
    in_hand: HashSet<InvoiceId>,
    /// Invoices whose payments were kept until the reading ends: what its later pages show of them is
    /// added up with these.
    held: BTreeSet<InvoiceId>,
}

impl LedgerComparisons {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The first `count` comparisons.
    pub(super) fn first(&self, count: usize) -> Vec<LedgerCheck> {
        self.waiting.iter().take(count).copied().collect()
    }

    /// The first `count` were made.
    pub(super) fn drop_first(&mut self, count: usize) {
        self.waiting.drain(..count);
    }

    /// A row came in that may have been paid before.
    pub(super) fn check_new(&mut self, id: InvoiceId) {
        self.waiting.push_back(LedgerCheck::New(id));
    }

    /// A complete reading showed nothing of an invoice in hand.
    pub(super) fn check_unpaid(
        &mut self,
        (slot, id): (u32, InvoiceId),
        coverage: Option<LedgerCoverage>,
    ) {
        let check = LedgerCheck::Unpaid { slot, id, coverage };
        self.waiting.push_back(check);
    }

    /// Compares a new invoice once it is not in hand any more.
    pub(super) fn wait_for(&mut self, id: InvoiceId) {
        self.in_hand.insert(id);
    }

    /// An invoice is not in hand any more. Returns whether its comparison waited for that.
    pub(super) fn release(&mut self, id: InvoiceId) -> bool {
        self.in_hand.remove(&id)
    }

    /// Keeps the payments of an invoice until the reading ends.
    pub(super) fn hold(&mut self, id: InvoiceId) {
        self.held.insert(id);
    }

    pub(super) fn is_held(&self, id: InvoiceId) -> bool {
        self.held.contains(&id)
    }

    /// The reading ends, or is interrupted: what was held is compared with all that was kept.
    pub(super) fn release_held(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.check_new(id);
        }
    }
}

impl LedgerCheck {
    pub(super) fn id(self) -> InvoiceId {
        match self {
            Self::New(id) | Self::Unpaid { id, .. } => id,
        }
    }
}
