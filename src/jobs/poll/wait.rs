//! Waiting for whatever comes first: an answer, the end of a commit, or time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::ledger::{LedgerAnswer, LedgerReader};
use super::page::lock;
use super::poller::Poller;
use super::schedule::{tick, tick_begin};
use crate::jobs::LONGEST_NAP;

/// Delay until due entries that could not be planned or begun are planned again.
const PLAN_AGAIN_AFTER: Duration = Duration::from_millis(500);

impl Poller {
    /// Waits for whatever comes first: an answer, the end of a commit, or time.
    pub(super) async fn wait_for_progress(&mut self) {
        self.setup
            .signals
            .heartbeat
            .beat(self.setup.clock.monotonic());
        self.report_stop();
        self.meter_limits();
        let nap = self.time_to_next_work();
        let clock = Arc::clone(&self.setup.clock);
        let Self {
            requests, writer, ..
        } = self;
        tokio::select! {
            biased;
            outcome = writer.wait_for_commit() => self.accept_commit(outcome),
            answer = wait_for_ledger(&mut requests.ledger) => self.accept_ledger_answer(answer),
            listed = wait_for_list(&mut requests.list) => {
                self.requests.list = None;
                self.accept_list_answer(listed);
            }
            outcome = wait_for_list(&mut requests.span) => {
                self.requests.span = None;
                self.accept_span_answer(outcome);
            }
            loaded = requests.loader.wait_for_rows() => self.accept_rows(loaded),
            Some(asked) = requests.fetcher.next() => self.accept_answer(asked),
            () = clock.sleep(nap) => {}
        }
        while let Some(asked) = self.requests.fetcher.try_next() {
            self.accept_answer(asked);
        }
    }

    /// How long to wait if nothing happens.
    fn time_to_next_work(&mut self) -> Duration {
        let now = self.setup.clock.monotonic();
        let mut nap = LONGEST_NAP;
        if let Some(wait) = self.writer.wait(now) {
            nap = nap.min(wait);
        }
        // After a stop, or while much waits to be written, possible requests are no reason to wake.
        if !self.pass.is_finishing && !self.writer.is_full() {
            nap = nap.min(self.next_work_at(now).saturating_sub(now));
        }
        nap.max(Duration::from_millis(1))
    }

    /// The time of the next work if nothing returns before.
    fn next_work_at(&mut self, now: Duration) -> Duration {
        if self.writer.database.is_failing() {
            // Nothing is planned or requested meanwhile: only the next attempt at the database
            // counts.
            if self.queue.has_more() && !self.writer.database.must_wait(now) {
                return now;
            }
            let again = self.queue.not_before();
            return if again > now {
                again
            } else {
                now + self.setup.settings.intake_interval
            };
        }
        if self.queue.has_more() || !self.unmatched.is_empty() || self.has_ledger_work() {
            return now;
        }
        let mut wakes = vec![self.queue.not_before()];
        {
            let mut shared = lock(&self.shared);
            if shared.schedule.count_due(tick(now)) > 0 {
                wakes.push(now + PLAN_AGAIN_AFTER);
            }
            wakes.extend(shared.schedule.next_due().map(tick_begin));
        }
        let (room, probe) = {
            let mut limiter = self.setup.limiter.lock();
            let is_stopped = limiter.stop_reason().is_some();
            let room = limiter.wait(now).filter(|_| !is_stopped);
            (room, limiter.wait_for_probe(now))
        };
        wakes.extend(probe.map(|wait| now + wait));
        let next_page = self.next_ledger_request_at(now);
        if let Some(room) = room {
            wakes.extend(self.next_span_at(now).map(|at| at.max(now + room)));
            wakes.extend(next_page.map(|at| at.max(now + room)));
            wakes.extend(self.next_request_at(now).map(|at| at.max(now + room)));
        }
        wakes.into_iter().min().unwrap_or(now + LONGEST_NAP)
    }

    /// When the next request could begin, if the limits allow it.
    fn next_request_at(&self, now: Duration) -> Option<Duration> {
        let is_loading = self.requests.loader.is_loading();
        let has_ready = self.requests.loader.count_ready() > 0;
        if has_ready || self.planner.has_fetches() && !is_loading {
            return Some(now);
        }
        if self.requests.list.is_some() || self.shapes().page_limit == 0 {
            return None;
        }
        let for_due = (!self.planner.is_idle()).then(|| self.planner.listing.not_before());
        let beyond = self
            .planner
            .next_beyond()
            .filter(|_| self.pass.once.is_none());
        for_due.into_iter().chain(beyond).min()
    }
}

/// Waits for the answer of a ledger; never returns without one.
async fn wait_for_ledger(ledger: &mut Option<LedgerReader>) -> LedgerAnswer {
    match ledger {
        Some(ledger) => ledger.wait_for_answer().await,
        None => std::future::pending().await,
    }
}

/// Waits for the request in flight; never returns without one.
async fn wait_for_list<T>(under_way: &mut Option<BoxFuture<'static, T>>) -> T {
    match under_way {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
