//! What pages showed, judged: which invoices it is about, and what follows for their rows and for
//! the book.

use std::time::Duration;

use super::book;
use super::committer::Decided;
use super::entry::Kind;
use super::page::{Taken, lock};
use super::{BATCH, Poller};
use crate::domain::decide::{Decision, decide};
use crate::domain::invoice::{ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::sighting::{News, OrderState};
use crate::domain::state::{Status, reason};
use crate::domain::time::UnixMillis;
use crate::store::{DueRow, StoreError};

impl Poller {
    /// These were shown open, on the terms that are expected: looked at, nothing to write.
    pub(super) fn cover(&mut self, covered: &[u32], now: Duration, wall: UnixMillis) {
        let Some(reading) = &self.reading else { return };
        let mut shared = lock(&reading.shared);
        for &slot in covered {
            let entry = shared.book.entry_mut(slot);
            // One that was nudged while the page was under way still gets a look of its own.
            let Some(entry) = entry.filter(|e| !e.asked && e.kind != Kind::Nudged) else {
                continue;
            };
            entry.is_new = false;
            let roll = self.rng.f64();
            let (created_at, expiry) = (entry.created_at(), entry.expiry());
            let cadence = &self.setup.cadence;
            let next = cadence.next_look_while_open(created_at, expiry, wall, roll);
            let due = match self.once {
                // For one pass, once is enough.
                Some(_) => book::Tick::MAX - 1,
                None => book::tick(now + next.since(wall)),
            };
            shared.book.put_off(slot, due);
        }
    }

    pub(super) async fn judge_taken(&mut self) -> Result<(), StoreError> {
        while !self.taken.is_empty() {
            let most = self.taken.len().min(BATCH);
            let batch: Vec<(UnixMillis, Taken)> = self.taken.drain(..most).collect();
            let orders: Vec<(&OrderId, Option<&ExternalId>)> = batch
                .iter()
                .map(|(_, taken)| {
                    let sighting = &taken.sighting;
                    (&sighting.order_id, sighting.external_id.as_ref())
                })
                .collect();
            let (store, account) = (&self.setup.store, &self.setup.account);
            let matched = match store.match_orders(account, &orders).await {
                Ok(matched) => matched,
                Err(error) => {
                    self.taken.extend(batch);
                    return Err(error);
                }
            };
            let mut invoices = matched.into_iter().peekable();
            for (index, (started_at, taken)) in batch.into_iter().enumerate() {
                let mut is_ours = false;
                while let Some((_, invoice)) = invoices.next_if(|(place, _)| *place == index) {
                    is_ours = true;
                    self.judge(Box::new(invoice), &taken, started_at);
                }
                if !is_ours {
                    self.belongs_to_nobody(&taken);
                }
            }
        }
        Ok(())
    }

    fn belongs_to_nobody(&self, taken: &Taken) {
        let Some(reading) = &self.reading else { return };
        let mut shared = lock(&reading.shared);
        // Paid with amounts, rejected or deleted meanwhile: nothing more to find out.
        if let Some(slot) = shared.book.slot_of(&taken.sighting.order_id.0) {
            let is_asked = shared.book.entry(slot).is_some_and(|entry| entry.asked);
            if !is_asked {
                shared.book.remove(slot);
            }
        }
        shared.note_seen(taken);
    }

    /// Decides what a page's sighting means for an invoice. Nothing is written when it means nothing
    /// and no look was due.
    fn judge(&mut self, invoice: Box<Invoice>, taken: &Taken, started_at: UnixMillis) {
        let Some(reading) = &self.reading else { return };
        let sighting = &taken.sighting;
        // A look of its own that ended after the page was begun knows better, but of amounts.
        // A look that lies ahead was made before the clock went back.
        let now = self.setup.clock.now();
        let since = |at: UnixMillis| at >= started_at && at <= now;
        let looked_at_since = invoice.schedule.last_polled_at.is_some_and(since);
        let is_older = looked_at_since && sighting.state != OrderState::Paid;
        if is_older || self.claimed.contains(&invoice.id) {
            return;
        }
        let provider = self.setup.provider.name();
        let mut decision = decide(&invoice, provider, News::Seen(sighting.clone()));
        let says_something = decision.facts_changed || decision.event.is_some();
        let order_id = invoice.facts.order_id.as_ref().map(|id| id.0.as_str());
        let mut shared = lock(&reading.shared);
        let Some(slot) = shared.book.slot_of_invoice(invoice.id, order_id) else {
            if !says_something && !sighting.lacks_paid_amount() {
                shared.note_seen(taken);
            }
            drop(shared);
            if says_something {
                self.keep_sighting(invoice, decision);
            }
            return;
        };
        if let Some(entry) = shared.book.entry_mut(slot) {
            let is_unknown = sighting.state == OrderState::Unknown;
            let has_looks = self.setup.strategy.has_looks();
            if !says_something && has_looks && (is_unknown || invoice.schedule.is_nudged()) {
                // The list is of no help here: a look of its own is.
                entry.doubtful = true;
                return;
            }
            entry.asked = true;
        }
        drop(shared);
        decision.row.schedule.failures = 0;
        decision.row.schedule.last_error = None;
        self.keep_sighting(invoice, decision);
    }

    /// A sighting by page counts in no poll: those are single looks.
    fn keep_sighting(&mut self, invoice: Box<Invoice>, mut decision: Decision) {
        let now = self.setup.clock.now();
        let roll = self.rng.f64();
        let next = self.setup.cadence.next_look(&decision.row, now, roll);
        // A nudge is answered by a look of its own: a page may have been begun before it.
        let is_final = matches!(decision.row.facts.status, Status::Paid | Status::Rejected);
        let has_looks = self.setup.strategy.has_looks();
        let is_kept = has_looks && !is_final && invoice.schedule.is_nudged();
        let nudge = invoice.schedule.next_poll_at;
        decision.row.schedule.next_poll_at = if is_kept { nudge } else { next };
        self.claimed.insert(invoice.id);
        self.keep(invoice, decision);
    }

    /// Orders that a complete reading of the list did not show: the provider has none.
    pub(super) async fn judge_missing(&mut self) -> Result<(), StoreError> {
        let Some(reading) = self.reading.as_ref().filter(|_| !self.missing.is_empty()) else {
            return Ok(());
        };
        let (slots, ids): (Vec<u32>, Vec<InvoiceId>) = {
            let mut shared = lock(&reading.shared);
            let most = self.missing.len().min(BATCH);
            let mut id_of = |slot: u32| {
                let entry = shared.book.entry_mut(slot).filter(|entry| !entry.asked)?;
                entry.asked = true;
                Some((slot, entry.id))
            };
            self.missing.drain(..most).filter_map(&mut id_of).unzip()
        };
        let invoices = match self.setup.store.load(&ids).await {
            Ok(invoices) => invoices,
            Err(error) => {
                // They are due still: the next reading of the list asks again.
                let mut shared = lock(&reading.shared);
                for slot in slots {
                    shared.book.make_due(slot);
                }
                return Err(error);
            }
        };
        for invoice in invoices {
            let observed_at = self.setup.clock.now();
            let since = invoice.facts.not_found_since;
            let grace = self.setup.not_found_grace;
            let counts = since.is_some_and(|since| observed_at.since(since) >= grace);
            let news = News::NotFound {
                observed_at,
                counts,
            };
            let decision = decide(&invoice, self.setup.provider.name(), news);
            self.keep_sighting(Box::new(invoice), decision);
        }
        Ok(())
    }

    /// What a commit means for the book: the row itself tells again when it is due.
    pub(super) fn note_committed(&mut self, decided: &Decided, is_written: bool) {
        let now = self.setup.clock.monotonic();
        let Some(reading) = &mut self.reading else {
            return;
        };
        let (invoice, row) = (&decided.invoice, &decided.decision.row);
        let mut shared = lock(&reading.shared);
        let order_before = invoice.facts.order_id.as_ref().map(|id| id.0.as_str());
        let slot = shared.book.slot_of_invoice(invoice.id, order_before);
        let order_id = row.facts.order_id.as_ref().map(|id| id.0.as_str());
        let seen_at = order_id.and_then(|id| shared.forget_seen(id));
        if row.facts.reason.as_deref() == Some(reason::CREATE_CONFLICT) {
            shared.forget_all_seen();
        }
        let position = slot.and_then(|slot| shared.book.entry(slot)?.position());
        match slot {
            Some(slot) if is_written => shared.book.remove(slot),
            Some(slot) => shared.book.make_due(slot),
            None => {}
        }
        if !is_written {
            return;
        }
        let cursor = reading.intake.cursor.at;
        if let Some(at) = row.schedule.next_poll_at.filter(|at| *at <= cursor) {
            shared.book.adopt(&due_row(row, at), book::tick(now));
        }
        drop(shared);
        let created_at = self.created.remove(&invoice.id);
        let Some(order_id) = order_id.filter(|_| row.facts.status == Status::Paid) else {
            return;
        };
        if row.facts.payment.value.is_some() {
            reading.details.have(order_id);
        } else if decided.decision.event.is_some() {
            let position = position.or(seen_at);
            reading.details.want(order_id, created_at, position, now);
        }
    }
}

/// A row in few words, planned for `at`.
fn due_row(row: &Invoice, at: UnixMillis) -> DueRow {
    DueRow {
        id: row.id,
        external_id: row.external_id.clone(),
        order_id: row.facts.order_id.clone(),
        amount: row.facts.amount.clone(),
        status: row.facts.status,
        created_at: row.created_at,
        expiry: row.expiry(),
        next_poll_at: at,
        looked_at: row.schedule.last_polled_at.is_some(),
        unsettled: row.facts.reason.is_some()
            || row.schedule.failures != 0
            || row.facts.not_found_since.is_some(),
    }
}
