//! Matches the orders on pages to invoices, and decides what follows for their rows and for the
//! schedule.

use std::collections::HashSet;
use std::time::Duration;

use super::BATCH;
use super::page::{Listed, Page, Shown, lock};
use super::poller::Poller;
use super::schedule::{Entry, EntryKind, Tick, Trust, tick};
use super::unmatched::Source;
use super::writer::Decided;
use crate::domain::decide::{Decision, decide_by};
use crate::domain::invoice::{ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::observation::{Observation, OrderState};
use crate::domain::planner::Why;
use crate::domain::reschedule::PollOutcome;
use crate::domain::state::{Status, reason};
use crate::domain::time::UnixMillis;
use crate::store::{DueRow, StoreError};

impl Poller {
    /// Accepts the answer of a request to the list.
    pub(super) fn accept_list_answer(&mut self, listed: Listed) {
        self.meter_list(&listed);
        let now = self.setup.clock.monotonic();
        self.settle(&listed.permit, listed.result.as_ref().map(|_| ()), true);
        let Listed {
            request,
            result,
            total,
            page,
            ..
        } = listed;
        let source = Source {
            number: page.number,
            started_at: page.started_at,
            is_span: false,
            roll: self.rng.f64(),
        };
        self.note_unchanged(&page.unchanged, source, now);
        match (result, total) {
            (Err(error), _) => {
                tracing::debug!(account = %self.setup.account, %error, "order list request failed");
                self.planner.fail_list(&request.why, now);
            }
            (Ok(_), Some(total)) => self.planner.learn_count(total, now),
            (Ok(bytes), None) => self.learn_page(&request.why, &page, bytes, now),
        }
        let shown = page.shown.into_iter();
        self.unmatched
            .shown
            .extend(shown.map(|shown| (source, shown)));
    }

    fn learn_page(&mut self, why: &Why, page: &Page, bytes: u64, now: Duration) {
        let wall = self.setup.clock.now();
        self.recorder.note_page(&page.summary, wall);
        let swept = self.planner.learn_page(why, &page.summary, bytes, now);
        let mut shared = lock(&self.shared);
        // Entries after the place where a page was cut short are planned again.
        let was_cut_short = self.planner.listing.positions.was_cut_short(&page.summary);
        if let (Why::Due(covers), false) = (why, was_cut_short) {
            let shown: HashSet<u32> = page.slots.iter().copied().collect();
            for slot in covers.iter().filter(|slot| !shown.contains(slot)) {
                shared.schedule.clear_place(*slot);
            }
        }
        let began = match why {
            Why::Sweep => *self.unmatched.sweep_began.get_or_insert(page.number),
            Why::Due(_) | Why::Watch | Why::Details | Why::Count => page.number,
        };
        let Some(swept) = swept else { return };
        self.unmatched.sweep_began = None;
        let has_fetches = self.planner.shapes().has_fetches();
        for slot in swept.members {
            let entry = shared.schedule.entry_mut(slot);
            // A slot reused since the sweep began holds another invoice.
            let was_there = |entry: &&mut Entry| entry.since_page < began;
            let Some(entry) = entry.filter(|e| was_there(e) && e.position().is_none()) else {
                continue;
            };
            entry.is_misplaced = true;
            if swept.was_all {
                entry.trust = Trust::Missing;
                // Where orders can be requested by their ids, such a request decides.
                if !has_fetches || entry.kind == EntryKind::Followed {
                    self.unmatched.missing.push(slot);
                }
            }
        }
    }

    /// Records orders shown open on the expected terms: polled, nothing to write.
    pub(super) fn note_unchanged(&self, slots: &[u32], source: Source, now: Duration) {
        let wall = self.setup.clock.now();
        let cadence = &self.setup.settings.cadence;
        let mut shared = lock(&self.shared);
        for &slot in slots {
            // The page does not answer a nudge that came while it was being read.
            let entry = shared.schedule.entry_mut(slot);
            let Some(entry) = entry.filter(|e| !e.is_in_hand() && e.kind == EntryKind::Open) else {
                continue;
            };
            entry.note_seen_at(wall);
            let (created_at, expiry) = (entry.created_at(), entry.expiry());
            let next = cadence.next_poll_while_open(created_at, expiry, wall, source.roll);
            let due = match self.pass.once {
                // In a single pass, one poll is enough.
                Some(_) => Tick::MAX - 1,
                None => tick(now + next.since(wall)),
            };
            shared.schedule.postpone(slot, due);
        }
    }

    /// Judges the orders that pages showed.
    pub(super) async fn match_shown(&mut self) -> Result<(), StoreError> {
        while !self.unmatched.shown.is_empty() {
            let most = self.unmatched.shown.len().min(BATCH);
            let batch: Vec<(Source, Shown)> = self.unmatched.shown.drain(..most).collect();
            let orders: Vec<(&OrderId, Option<&ExternalId>)> = batch
                .iter()
                .map(|(_, shown)| {
                    let observed = &shown.observed;
                    (&observed.order_id, observed.external_id.as_ref())
                })
                .collect();
            let (store, account) = (&self.setup.store, &self.setup.account);
            let matched = match store.match_orders(account, &orders).await {
                Ok(matched) => matched,
                Err(error) => {
                    self.unmatched.shown.extend(batch);
                    return Err(error);
                }
            };
            let mut invoices = matched.into_iter().peekable();
            for (index, (source, shown)) in batch.into_iter().enumerate() {
                let mut is_ours = false;
                while let Some((_, invoice)) = invoices.next_if(|(place, _)| *place == index) {
                    is_ours = true;
                    self.judge_shown(Box::new(invoice), &shown, source);
                }
                if !is_ours {
                    self.forget_unmatched(&shown);
                }
            }
        }
        Ok(())
    }

    fn forget_unmatched(&self, shown: &Shown) {
        let mut shared = lock(&self.shared);
        // Paid with amounts, rejected or deleted meanwhile: nothing more to observe.
        if let Some(slot) = shared.schedule.slot_of_order(&shown.observed.order_id.0)
            && !shared.schedule.entry(slot).is_some_and(Entry::is_in_hand)
        {
            shared.schedule.remove(slot);
        }
        shared.note_seen(shown);
    }

    /// Decides what an order on a page means for an invoice. Nothing is written if it changes
    /// nothing and no poll was due.
    fn judge_shown(&mut self, invoice: Box<Invoice>, shown: &Shown, source: Source) {
        if self.is_superseded(&invoice, shown, source) {
            return;
        }
        let observed = &shown.observed;
        let provider = self.setup.provider.name();
        let decision = decide_by(
            &self.setup.settings.rules,
            &invoice,
            provider,
            Observation::Seen(observed.clone()),
        );
        let has_changes = decision.has_changes();
        let mut shared = lock(&self.shared);
        if invoice.facts.order_id.is_some() {
            shared.schedule.forget_old_name(&invoice);
        }
        let Some(slot) = shared.schedule.slot_of(&invoice) else {
            if !has_changes && !observed.lacks_paid_amount() {
                shared.note_seen(shown);
            }
            drop(shared);
            if has_changes {
                self.keep_shown_decision(invoice, decision, source, false);
            }
            return;
        };
        let has_fetches = self.shapes().has_fetches();
        let Some(entry) = shared.schedule.entry_mut(slot) else {
            return;
        };
        if !has_changes && has_fetches && observed.state == OrderState::Unknown {
            // The list cannot settle this entry; a request of its own is needed.
            entry.trust = Trust::Doubtful;
            return;
        }
        let is_open = entry.kind == EntryKind::Open && observed.state == OrderState::Open;
        let is_unchanged = is_open && invoice.schedule.last_error.is_none();
        if source.is_span && !has_changes && is_unchanged {
            drop(shared);
            self.note_unchanged(&[slot], source, self.setup.clock.monotonic());
            return;
        }
        let is_nudged = invoice.schedule.is_nudged();
        let answers = is_nudged && entry.nudged_for > 0 && entry.is_answered_by(source.number);
        drop(shared);
        // A nudge that came while the page was being read waits for the next request.
        if has_changes || answers || !is_nudged {
            self.keep_shown_decision(invoice, decision, source, answers);
        }
    }

    /// Whether the invoice is in hand, or has a more recent poll of its own, which ended after the
    /// page began; this does not apply to amounts. A time in the future was recorded before the
    /// clock was set back.
    fn is_superseded(&self, invoice: &Invoice, shown: &Shown, source: Source) -> bool {
        let now = self.setup.clock.now();
        let since = |at: UnixMillis| at >= source.started_at && at <= now;
        let polled_since = invoice.schedule.last_polled_at.is_some_and(since);
        if polled_since && shown.observed.state != OrderState::Paid {
            return true;
        }
        self.is_in_hand(invoice)
    }

    /// Whether the invoice is being polled, or a decision about it is being written.
    pub(super) fn is_in_hand(&self, invoice: &Invoice) -> bool {
        let shared = lock(&self.shared);
        let slot = shared.schedule.slot_of(invoice);
        let entry = slot.and_then(|slot| shared.schedule.entry(slot));
        entry.is_some_and(Entry::is_in_hand)
    }

    /// An order on a page counts in `polls` only if it answers a nudge; otherwise `polls` counts
    /// requests for the order itself.
    pub(super) fn keep_shown_decision(
        &mut self,
        invoice: Box<Invoice>,
        mut decision: Decision,
        source: Source,
        answers: bool,
    ) {
        let now = self.setup.clock.now();
        let outcome = PollOutcome::Shown {
            is_poll: source.is_span,
            answers_nudge: answers,
        };
        let cadence = &self.setup.settings.cadence;
        cadence.reschedule(&mut decision.row, outcome, now, source.roll);
        let now = tick(self.setup.clock.monotonic());
        if lock(&self.shared).schedule.take_in_hand(&invoice, now) {
            self.keep_decision(invoice, decision);
        }
    }

    /// Judges orders that a complete reading of the list did not show: the provider does not have
    /// them.
    pub(super) async fn match_missing(&mut self) -> Result<(), StoreError> {
        if self.unmatched.missing.is_empty() {
            return Ok(());
        }
        let most = self.unmatched.missing.len().min(BATCH);
        let slots: Vec<u32> = self.unmatched.missing.drain(..most).collect();
        let ids: Vec<InvoiceId> = {
            let shared = lock(&self.shared);
            let entries = slots.iter().filter_map(|slot| shared.schedule.entry(*slot));
            entries.filter(|e| !e.is_in_hand()).map(|e| e.id).collect()
        };
        // After an error they are still due: the next reading of the list checks them again.
        let invoices = self.setup.store.load(&ids).await?;
        let source = Source {
            number: 0,
            started_at: self.setup.clock.now(),
            is_span: false,
            roll: self.rng.f64(),
        };
        for invoice in invoices {
            let observed_at = self.setup.clock.now();
            let counts =
                invoice.counts_as_missing(observed_at, self.setup.settings.not_found_grace);
            let observation = Observation::NotFound {
                observed_at,
                counts,
            };
            let decision = decide_by(
                &self.setup.settings.rules,
                &invoice,
                self.setup.provider.name(),
                observation,
            );
            let answers = invoice.schedule.is_nudged();
            self.keep_shown_decision(Box::new(invoice), decision, source, answers);
        }
        Ok(())
    }

    /// Updates the schedule after a commit: the next plan is in the row.
    pub(super) fn note_committed(&mut self, decided: &Decided, is_written: bool) {
        self.note_released(decided, is_written);
        let now = self.setup.clock.monotonic();
        let (invoice, row) = (&decided.invoice, &decided.decision.row);
        let mut shared = lock(&self.shared);
        let slot = shared.schedule.slot_of(invoice);
        let order_id = row.facts.order_id.as_ref().map(|id| id.0.as_str());
        let seen_at = order_id.and_then(|id| shared.forget_seen(id));
        if row.facts.reason.as_deref() == Some(reason::CREATE_CONFLICT) {
            shared.forget_all_seen();
        }
        let position = slot.and_then(|slot| shared.schedule.entry(slot)?.position());
        if let Some(slot) = slot {
            shared.schedule.release(slot, is_written);
        }
        if !is_written {
            return;
        }
        let next = row.schedule.next_poll_at;
        if let Some(at) = next.filter(|at| *at <= self.queue.read_to()) {
            let adopted = shared.schedule.adopt(&DueRow::of(row, at), tick(now));
            if let (Some(slot), Some(position)) = (adopted, position) {
                shared.schedule.set_place(slot, position);
            }
        }
        drop(shared);
        let Some(order_id) = order_id.filter(|_| row.facts.status == Status::Paid) else {
            return;
        };
        if row.facts.payment.value.is_some() {
            self.planner.have_details(order_id);
        } else if decided.decision.event.is_some() {
            let position = position.or(seen_at);
            self.planner.want_details(order_id, None, position, now);
        }
    }
}
