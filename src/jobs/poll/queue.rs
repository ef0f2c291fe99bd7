//! Whose turn it is: fresh invoices first, yet every fourth look goes to the one that has waited
//! longest. So nobody starves, whatever the number of invoices.

use std::collections::{HashSet, VecDeque};

use crate::domain::invoice::{Invoice, InvoiceId};
use crate::store::{Due, OVERDUE_SHARE};

/// Invoices that are due and not yet asked about.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Box<Invoice>>,
    /// Looks given out so far, modulo the share; goes on from batch to batch, or batches of one
    /// would never reach the overdue.
    turn: u32,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = InvoiceId> {
        self.waiting.iter().map(|invoice| invoice.id)
    }

    pub(super) fn pop(&mut self) -> Option<Box<Invoice>> {
        self.waiting.pop_front()
    }

    pub(super) fn push_front(&mut self, invoice: Box<Invoice>) {
        self.waiting.push_front(invoice);
    }

    pub(super) fn push_back(&mut self, invoice: Box<Invoice>) {
        self.waiting.push_back(invoice);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Adds of what is due until `most` wait, leaving out those already `claimed`.
    pub(super) fn fill(&mut self, due: Due, claimed: &HashSet<InvoiceId>, most: usize) {
        let mut fresh = due.fresh.into_iter();
        let mut overdue = due.overdue.into_iter();
        let mut taken: HashSet<InvoiceId> = HashSet::new();
        while self.waiting.len() < most {
            let overdue_turn = self.turn % OVERDUE_SHARE == OVERDUE_SHARE - 1;
            let next = if overdue_turn {
                overdue.next().or_else(|| fresh.next())
            } else {
                fresh.next().or_else(|| overdue.next())
            };
            let Some(invoice) = next else { return };
            if !claimed.contains(&invoice.id) && taken.insert(invoice.id) {
                self.turn = self.turn.wrapping_add(1);
                self.waiting.push_back(Box::new(invoice));
            }
        }
    }
}
