//! Whose turn it is: fresh invoices first, yet every fourth look goes to the one that has waited
//! longest. So nobody starves, whatever the number of invoices.

use std::collections::{HashSet, VecDeque};

use crate::domain::invoice::{Invoice, InvoiceId};
use crate::store::Due;

/// One look in so many goes to the longest overdue.
const OVERDUE_SHARE: u32 = 4;

/// Invoices that are due and not yet asked about.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Invoice>,
    /// Looks given out so far, modulo the share; goes on from batch to batch, or batches of one
    /// would never reach the overdue.
    turn: u32,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Invoice> {
        self.waiting.pop_front()
    }

    pub(super) fn push_front(&mut self, invoice: Invoice) {
        self.waiting.push_front(invoice);
    }

    pub(super) fn push_back(&mut self, invoice: Invoice) {
        self.waiting.push_back(invoice);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes up to `want` of what is due, leaving out those already `claimed`.
    pub(super) fn fill(&mut self, due: Due, claimed: &HashSet<InvoiceId>, want: usize) {
        let mut fresh = due.fresh.into_iter();
        let mut overdue = due.overdue.into_iter();
        let mut taken: HashSet<InvoiceId> = HashSet::new();
        while self.waiting.len() < want {
            let overdue_turn = self.turn % OVERDUE_SHARE == OVERDUE_SHARE - 1;
            let next = if overdue_turn {
                overdue.next().or_else(|| fresh.next())
            } else {
                fresh.next().or_else(|| overdue.next())
            };
            let Some(invoice) = next else { return };
            if !claimed.contains(&invoice.id) && taken.insert(invoice.id) {
                self.turn = self.turn.wrapping_add(1);
                self.waiting.push_back(invoice);
            }
        }
    }
}
