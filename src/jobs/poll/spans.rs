//! Reads the list by time, one page of a span at a time, where that covers due entries more
//! cheaply.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::load::ScheduledInvoice;
use super::page::lock;
use super::poller::Poller;
use super::schedule::{EntryKind, Schedule, Tick, tick};
use super::span_reader::{SpanOutcome, SpanReader, SpanShown};
use super::trusted::once_trusted;
use super::unmatched::Source;
use crate::domain::planner::cover::By;
use crate::domain::planner::spans::{
    CreatedCandidate, SpanMoment, SpanPageSummary, SpanRequest, SpanWhy,
};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::TransactionStatus;
use crate::store::StoreError;

/// The state of an open order is requested at most this often, besides readings of payments.
const STATES_EVERY: Duration = Duration::from_secs(20);
/// One of this many requests asks for states.
const REQUESTS_PER_STATES_PAGE: f64 = 10.0;
/// Approximate number of orders on a page of a list by time.
const STATES_ON_A_PAGE: usize = 100;

impl Poller {
    /// Removes from `due` the entries that readings of the list by time cover more cheaply. Returns
    /// those left to other requests.
    pub(super) fn plan_spans(
        &mut self,
        mut due: Vec<u32>,
        schedule: &mut Schedule,
        now: Duration,
    ) -> Vec<u32> {
        if !self.spans.is_used() {
            return due;
        }
        if self.pass.once.is_none() {
            self.leave_to_payments(&mut due, schedule, now);
        }
        if self.spans.follows() {
            let followed = self.leave_to_search(&mut due, schedule);
            self.spans.plan_followed(followed);
        }
        let shapes = self.shapes();
        let candidates: Vec<CreatedCandidate> = due
            .iter()
            .filter_map(|&slot| {
                let entry = schedule.entry(slot)?;
                let is_placed = entry.candidate(shapes).by == By::Any && !entry.is_misplaced;
                is_placed.then_some(CreatedCandidate {
                    slot,
                    created_at: entry.created_at(),
                })
            })
            .collect();
        let left: HashSet<u32> = self.spans.plan_created(&candidates).into_iter().collect();
        let listed: HashSet<u32> = candidates.iter().map(|one| one.slot).collect();
        due.retain(|slot| !listed.contains(slot) || left.contains(slot));
        due
    }

    /// How long readings of payments replace polls of an open order. They do not show that it was
    /// cancelled or that its money is held, so its state is requested too, with a tenth of the rate
    /// limit.
    fn state_interval(&self, orders: usize) -> Duration {
        let pages = orders.div_ceil(STATES_ON_A_PAGE);
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        let rate = self.setup.limiter.lock().rate();
        let of_page = rate.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(REQUESTS_PER_STATES_PAGE / rate).unwrap_or(STATES_EVERY)
        });
        of_page.saturating_mul(pages).max(STATES_EVERY)
    }

    /// Removes from `due` the entries covered by readings of payments.
    fn leave_to_payments(&mut self, due: &mut Vec<u32>, schedule: &mut Schedule, now: Duration) {
        let wall = self.setup.clock.now();
        let begun = self.moment(now);
        let patience = self.state_interval(schedule.count());
        let covered: HashSet<u32> = due
            .iter()
            .copied()
            .filter(|slot| {
                let entry = schedule.entry(*slot);
                let known_at =
                    entry.and_then(|entry| entry.covered_by_payments_since(wall, patience));
                known_at.is_some_and(|at| self.spans.reaches(self.their_time(at), begun))
            })
            .collect();
        if covered.is_empty() {
            return;
        }
        if self.spans.counts_as_poll(now) {
            self.note_polled_by_payments(due, &covered, schedule, now);
        } else if let Some(until) = self.spans.expect_paid(covered.len(), now) {
            for slot in &covered {
                schedule.postpone(*slot, tick(until));
            }
        } else {
            return;
        }
        due.retain(|slot| !covered.contains(slot));
    }

    /// Records that these are not paid, as the last reading of payments showed: a poll that changes
    /// nothing. Those that have ended still need another plan in their rows.
    fn note_polled_by_payments(
        &mut self,
        due: &[u32],
        covered: &HashSet<u32>,
        schedule: &mut Schedule,
        now: Duration,
    ) {
        let wall = self.setup.clock.now();
        let roll = self.rng.f64();
        let mut ended = Vec::new();
        for slot in due.iter().filter(|slot| covered.contains(slot)) {
            let Some(entry) = schedule.entry_mut(*slot) else {
                continue;
            };
            entry.note_unpaid_at(wall);
            if entry.kind == EntryKind::Ended {
                ended.push(*slot);
                continue;
            }
            let (created_at, expiry) = (entry.created_at(), entry.expiry());
            let cadence = &self.setup.settings.cadence;
            let next = cadence.next_poll_while_open(created_at, expiry, wall, roll);
            schedule.postpone(*slot, tick(now + next.since(wall)));
        }
        self.unmatched.covered.extend(schedule.take_turns(&ended));
    }

    /// Removes from `due` the entries known only by their external id. Returns when their rows were
    /// inserted.
    fn leave_to_search(&self, due: &mut Vec<u32>, schedule: &Schedule) -> Vec<UnixMillis> {
        let mut inserted = Vec::new();
        due.retain(|slot| {
            let followed = schedule
                .entry(*slot)
                .filter(|entry| entry.kind == EntryKind::Followed);
            inserted.extend(followed.map(|entry| self.their_time(entry.created_at())));
            followed.is_none()
        });
        inserted
    }

    /// Begins the next request to the list by time, if one is needed and the limits allow it.
    /// Refunds and payments come first, since they take no more than half of the rate limit;
    /// requests for due entries could otherwise delay them without end.
    pub(super) async fn begin_span_request(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let may_begin = self.spans.is_used() && self.requests.span.is_none();
        if !may_begin || !self.may_begin_reading(now) {
            return Ok(());
        }
        let begun = self.moment(now);
        let mut request = None;
        if !self.spans.is_reading() {
            request = self.request_beyond(begun).await?;
        }
        if request.is_none() {
            request = self.spans.take_due_request(begun);
        }
        if let Some(request) = request {
            self.send_span_request(request);
        }
        Ok(())
    }

    /// Beyond due entries: refunds, which a single pass reads too, and payments.
    async fn request_beyond(
        &mut self,
        begun: SpanMoment,
    ) -> Result<Option<SpanRequest>, StoreError> {
        let is_once = self.pass.once.is_some();
        if self.spans.refunds_are_due(begun.at) {
            return Ok(Some(self.spans.take_refunds_request(begun, is_once)));
        }
        if is_once || !self.spans.paid_is_due(begun.at) {
            return Ok(None);
        }
        if self.setup.store.has_pending(&self.setup.account).await? {
            return Ok(Some(self.spans.take_paid_request(begun)));
        }
        self.spans.rest(begun.at);
        Ok(None)
    }

    fn send_span_request(&mut self, request: SpanRequest) {
        // Read again: the database was asked meanwhile, and the lease may be over since.
        let now = self.setup.clock.monotonic();
        let Ok(permit) = self.setup.limiter.lock().take(now) else {
            self.spans.give_up();
            return;
        };
        self.requests.list_was_last = true;
        let cursor = self.requests.span_cursor.take();
        let reader = SpanReader {
            provider: Arc::clone(&self.setup.provider),
            clock: Arc::clone(&self.setup.clock),
            limiter: self.setup.limiter.clone(),
            shared: Arc::clone(&self.shared),
        };
        let cursor = cursor.filter(|_| !request.is_first);
        let (limiter, clock) = (self.setup.limiter.clone(), Arc::clone(&self.setup.clock));
        let read = reader.read(request, cursor, permit);
        self.requests.span = Some(once_trusted(limiter, clock, read).boxed());
    }

    /// Accepts a page of a span.
    pub(super) fn accept_span_answer(&mut self, outcome: SpanOutcome) {
        self.meter_span(&outcome);
        let now = self.setup.clock.monotonic();
        self.settle(&outcome.permit, outcome.result.as_ref().map(|_| ()), true);
        let source = Source {
            number: outcome.number,
            started_at: outcome.started_at,
            roll: self.rng.f64(),
            is_span: true,
        };
        match outcome.result {
            Ok(read) => self.learn_span(&outcome.request, read, source, now),
            Err(error) => {
                tracing::debug!(account = %self.setup.account, %error, "request for the list by time failed");
                self.spans.fail(now);
                self.planner.plan_again();
            }
        }
    }

    fn learn_span(
        &mut self,
        request: &SpanRequest,
        read: SpanShown,
        source: Source,
        now: Duration,
    ) {
        self.note_unchanged(&read.unchanged, source, now);
        let unsettled = read.refunds.iter().map(|refund| &refund.transaction);
        let unsettled = unsettled.filter(|one| one.status == TransactionStatus::InProgress);
        let summary = SpanPageSummary {
            items: read.items,
            bytes: read.bytes,
            goes_on: read.next.is_some(),
            slots: &read.slots,
            polled: read.polled,
            unsettled_since: unsettled.map(|one| one.happened_at).min(),
        };
        let concluded = self.spans.learn_page(summary, now);
        self.requests.span_cursor = read.next;
        self.unmatched.hold_back(request, read.held);
        // A single pass has no later record.
        let is_last = concluded.is_some() && self.pass.once.is_some();
        self.recorder.read_span(self.setup.clock.now(), is_last);
        self.unmatched.take_in(source, read.shown, read.refunds);
        let Some(missed) = concluded else { return };
        self.unmatched.release_held(source);
        let mut shared = lock(&self.shared);
        for slot in missed.0 {
            shared.schedule.clear_place(slot);
        }
        if request.why == SpanWhy::Followed {
            self.put_off_followed(&mut shared.schedule, source, now);
        }
        drop(shared);
        self.planner.plan_again();
    }

    /// A complete search did not show these. That proves nothing, since their orders may still be
    /// created: they are searched for again at their next poll.
    fn put_off_followed(&self, schedule: &mut Schedule, source: Source, now: Duration) {
        let wall = self.setup.clock.now();
        let cadence = &self.setup.settings.cadence;
        for slot in schedule.due_slots(tick(now)).to_vec() {
            let followed = schedule.entry(slot).filter(|entry| {
                entry.kind == EntryKind::Followed && entry.is_answered_by(source.number)
            });
            let Some(entry) = followed else { continue };
            let (created_at, expiry) = (entry.created_at(), entry.expiry());
            let next = cadence.next_poll_while_open(created_at, expiry, wall, source.roll);
            let due = match self.pass.once {
                Some(_) => Tick::MAX - 1,
                None => tick(now + next.since(wall)),
            };
            schedule.postpone(slot, due);
        }
    }

    /// Plans the rows of ended invoices that a reading of payments did not show.
    pub(super) async fn plan_covered(&mut self) -> Result<(), StoreError> {
        if self.unmatched.covered.is_empty() {
            return Ok(());
        }
        let covered: Vec<ScheduledInvoice> = std::mem::take(&mut self.unmatched.covered);
        let ids: Vec<_> = covered.iter().map(|(_, id)| *id).collect();
        let invoices = match self.setup.store.load(&ids).await {
            Ok(invoices) => invoices,
            Err(error) => {
                let mut shared = lock(&self.shared);
                for (slot, _) in covered {
                    shared.schedule.make_due(slot);
                }
                return Err(error);
            }
        };
        let mut gone: HashSet<u32> = covered.iter().map(|(slot, _)| *slot).collect();
        for invoice in invoices {
            let slot = lock(&self.shared).schedule.slot_of(&invoice);
            let is_in_hand = slot.is_some_and(|slot| gone.remove(&slot));
            if is_in_hand && invoice.schedule.is_nudged() {
                // A program requested a poll that begins after that.
                slot.inspect(|slot| lock(&self.shared).schedule.remove(*slot));
                self.read_again_in(Duration::ZERO);
            } else if is_in_hand {
                self.plan_polled(Box::new(invoice));
            }
        }
        let mut shared = lock(&self.shared);
        for slot in gone {
            shared.schedule.remove(slot);
        }
        Ok(())
    }

    /// When the next request to the list by time could begin, if the limits allow it.
    pub(super) fn next_span_at(&self, now: Duration) -> Option<Duration> {
        if self.requests.span.is_some() {
            return None;
        }
        let next = self.spans.next_request(self.pass.once.is_some());
        next.map(|at| at.max(now))
    }

    fn moment(&self, now: Duration) -> SpanMoment {
        SpanMoment {
            at: now,
            theirs: self.their_time(self.setup.clock.now()),
        }
    }

    /// A time of our clock converted to the provider's clock.
    fn their_time(&self, ours: UnixMillis) -> UnixMillis {
        let difference = self.setup.provider.clock_difference();
        difference.map_or(ours, |difference| difference.their_time(ours))
    }
}
