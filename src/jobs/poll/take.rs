//! Taking single looks that are due: the next rows are read while the last ones are asked about.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::page::lock;
use super::{BATCH, Poller, whole};
use crate::domain::invoice::{Invoice, InvoiceId};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::jobs::LONGEST_NAP;
use crate::store::{Due, StoreError};

/// A queue that was found empty is not read again at once.
const SHORTEST_REST: Duration = Duration::from_millis(5);

/// What a read of the queue brought.
pub(super) struct Read {
    due: Result<Due, StoreError>,
    due_at: UnixMillis,
    want: usize,
    /// The count of changes when it began: what was written since then it may have missed.
    changes: u64,
}

impl Poller {
    /// Takes what was read of the queue, and has more read when that will soon be needed.
    pub(super) async fn refill(&mut self) {
        if self.reading.is_some() {
            // The book of what is due knows by itself whether anything is left.
            self.drained = true;
            return self.refill_by_list().await;
        }
        if let Some(read) = self.fetched_due.take() {
            self.take(read).await;
        }
        let now = self.setup.clock.monotonic();
        if self.read.is_some() || now < self.read_not_before || self.committer.is_full() {
            return;
        }
        let (room, enough) = {
            let mut gate = self.gate();
            if gate.rate().is_none() && gate.trouble().is_none() {
                (BATCH, BATCH / 2)
            } else {
                (gate.room(now).min(BATCH), 1)
            }
        };
        if room == 0 || self.queue.len() >= enough {
            return;
        }
        self.read = Some(tokio::spawn(self.read_due(room)).map(whole).boxed());
    }

    /// Reads of what is due what is neither waiting here nor being asked about.
    fn read_due(&self, want: usize) -> impl Future<Output = Read> + Send + 'static {
        let due_at = self.once.unwrap_or_else(|| self.setup.clock.now());
        let (store, account) = (Arc::clone(&self.setup.store), self.setup.account.clone());
        let mut in_hand: HashSet<InvoiceId> = self.claimed.clone();
        in_hand.extend(self.queue.ids());
        let limit = u32::try_from(want).unwrap_or(u32::MAX);
        let changes = self.changes;
        async move {
            Read {
                due: store.due(&account, due_at, limit, &in_hand).await,
                due_at,
                want,
                changes,
            }
        }
    }

    async fn take(&mut self, read: Read) {
        let due = match read.due {
            Ok(due) => due,
            Err(error) => {
                self.read_not_before = self.committer.fail(&error);
                return;
            }
        };
        if self.committer.holds_back() {
            return;
        }
        self.drained = due.fresh.is_empty() && due.overdue.is_empty();
        if self.drained && read.changes == self.changes {
            let until_next = due.next_at.map(|at| at.since(read.due_at));
            self.rest(until_next.unwrap_or(LONGEST_NAP));
        }
        let waiting = self.queue.len();
        self.queue.fill(due, &self.claimed, waiting + read.want);
        if self.mark_creations().await {
            self.committer.recovered();
        }
    }

    /// Nothing is due for so long, unless somebody writes to the database.
    pub(super) fn rest(&mut self, until_next: Duration) {
        let rest = until_next.clamp(SHORTEST_REST, LONGEST_NAP);
        self.read_not_before = self.setup.clock.monotonic() + rest;
    }

    /// Something is due so soon: a rest that is longer ends early, if the database can be used.
    pub(super) fn read_again_in(&mut self, wait: Duration) {
        if !self.committer.is_failing() {
            let at = self.setup.clock.monotonic() + wait;
            self.read_not_before = self.read_not_before.min(at);
        }
    }

    /// Writes down that creations are about to be sent; what was withdrawn meanwhile is dropped.
    /// False when it could not be written: then nothing is sent.
    pub(super) async fn mark_creations(&mut self) -> bool {
        let now = self.setup.clock.now();
        let mut kept = Vec::new();
        while let Some(invoice) = self.queue.pop() {
            kept.push(invoice);
        }
        let unsent = |invoice: &Invoice| {
            invoice.facts.status == Status::Requested && invoice.facts.create_sent_at.is_none()
        };
        let ids: Vec<InvoiceId> = kept.iter().filter(|i| unsent(i)).map(|i| i.id).collect();
        let present = if ids.is_empty() {
            Ok(Vec::new())
        } else {
            self.setup.store.mark_creations_sent(&ids, now).await
        };
        match present {
            Ok(present) => {
                for mut invoice in kept.into_iter().rev() {
                    if unsent(&invoice) {
                        if !present.contains(&invoice.id) {
                            continue;
                        }
                        invoice.facts.create_sent_at = Some(now);
                    }
                    self.queue.push_front(invoice);
                }
                true
            }
            Err(error) => {
                self.queue.clear();
                self.make_due_again(&kept);
                self.read_not_before = self.committer.fail(&error);
                false
            }
        }
    }

    /// These were taken up and nothing came of it: in the book they wait for their turn again.
    fn make_due_again(&self, invoices: &[Box<Invoice>]) {
        let Some(reading) = &self.reading else { return };
        let mut shared = lock(&reading.shared);
        for invoice in invoices {
            let order_id = invoice.facts.order_id.as_ref().map(|id| id.0.as_str());
            if let Some(slot) = shared.book.slot_of_invoice(invoice.id, order_id) {
                shared.book.make_due(slot);
            }
        }
    }
}
