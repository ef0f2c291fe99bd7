//! The poller: its parts, and its main loop from start to stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::fetch::Fetcher;
use super::ledger::LedgerReader;
use super::load::Loader;
use super::page::{Listed, Shared};
use super::queue::QueueReader;
use super::recorder::AccountRecorder;
use super::setup::PollSetup;
use super::span_reader::SpanOutcome;
use super::unmatched::Unmatched;
use super::writer::Writer;
use crate::domain::planner::spans::SpanPlanner;
use crate::domain::planner::{Planner, Shapes};
use crate::domain::time::UnixMillis;
use crate::provider::SpanCursor;

/// Maximum time for requests in flight after a stop.
pub const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// Maximum time that `run --once` waits for the rate limit.
const ONCE_WAITS: Duration = Duration::from_secs(30);

/// The result of a poller's pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollCounts {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that failed.
    pub failed_requests: u64,
    /// Due invoices that were not polled.
    pub left: u64,
}

/// The poller of one account.
pub struct Poller {
    pub(super) setup: PollSetup,
    pub(super) rng: fastrand::Rng,
    /// The schedule, shared with the page being received.
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) queue: QueueReader,
    pub(super) planner: Planner,
    pub(super) spans: SpanPlanner,
    pub(super) requests: Requests,
    pub(super) unmatched: Unmatched,
    pub(super) writer: Writer,
    pub(super) recorder: AccountRecorder,
    pub(super) pass: Pass,
}

/// The requests of a poller, from loading their rows to their answers.
pub(super) struct Requests {
    pub(super) loader: Loader,
    pub(super) fetcher: Fetcher,
    /// The request to the list in flight.
    pub(super) list: Option<BoxFuture<'static, Listed>>,
    /// The request to the list by time in flight, and the cursor of the next page.
    pub(super) span: Option<BoxFuture<'static, SpanOutcome>>,
    pub(super) span_cursor: Option<SpanCursor>,
    /// Where the provider has a ledger and no orders.
    pub(super) ledger: Option<LedgerReader>,
    /// Whether a request for single orders goes next, if one waits.
    pub(super) list_was_last: bool,
}

/// The mode of a poller.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) counts: PollCounts,
    /// In a single pass: only what was due at this time.
    pub(super) once: Option<UnixMillis>,
    /// After a stop: nothing more is read or requested.
    pub(super) is_finishing: bool,
}

impl Poller {
    /// A poller that has made no request yet.
    pub fn new(setup: PollSetup) -> Self {
        let now = setup.clock.monotonic();
        let fetcher = Fetcher::new(
            Arc::clone(&setup.provider),
            Arc::clone(&setup.clock),
            setup.limiter.clone(),
            setup.settings.not_found_grace,
        );
        Self {
            rng: fastrand::Rng::with_seed(setup.seed),
            shared: Arc::default(),
            queue: QueueReader::default(),
            planner: Planner::new(setup.terms(), now),
            spans: SpanPlanner::new(setup.span_terms(), now),
            requests: Requests {
                loader: Loader::default(),
                fetcher,
                list: None,
                span: None,
                span_cursor: None,
                ledger: setup.provider.ledger().map(|_| LedgerReader::new()),
                list_was_last: false,
            },
            unmatched: Unmatched::default(),
            writer: Writer::new(Arc::clone(&setup.store), Arc::clone(&setup.clock)),
            recorder: AccountRecorder::new(setup.clock.as_ref()),
            pass: Pass::default(),
            setup,
        }
    }

    /// Polls until `stop`, then finishes the requests in flight within `FINISH_WITHIN`.
    pub async fn run(mut self, stop: CancellationToken, reload: Arc<Notify>) {
        // Created before the wait, so that a reload during another await counts.
        let reloaded = reload.notified();
        tokio::pin!(reloaded);
        let mut changed = self.setup.signals.changed.clone();
        while !stop.is_cancelled() {
            self.run_turn().await;
            tokio::select! {
                // In a fixed order, so that simulated runs are repeatable. The last branch is not
                // starved, since the others are rare.
                biased;
                () = stop.cancelled() => {}
                () = &mut reloaded => {
                    reloaded.set(reload.notified());
                    self.reload_key();
                    let now = self.setup.clock.monotonic();
                    self.setup.limiter.lock().probe_soon(now);
                }
                Ok(()) = changed.changed() => self.read_again_in(Duration::ZERO),
                () = self.wait_for_progress() => {}
            }
        }
        self.finish().await;
    }

    /// One pass: polls every invoice that is due now, including requested ones.
    pub async fn run_once(mut self) -> PollCounts {
        self.pass.once = Some(self.setup.clock.now());
        loop {
            self.run_turn().await;
            let is_quiet = !self.requests.is_under_way() && self.writer.is_idle();
            let has_polled_all = self.requests.is_idle() && self.has_polled_all();
            if is_quiet && (has_polled_all || self.should_give_up()) {
                break;
            }
            self.wait_for_progress().await;
        }
        let unasked = self.requests.loader.count_invoices() as u64;
        self.pass.counts.left = self.count_due_now() + unasked;
        self.pass.counts
    }

    fn has_polled_all(&self) -> bool {
        let now = self.setup.clock.monotonic();
        let reads_all = !self.spans.has_due() && !self.spans.refunds_are_due(now);
        let has_judged_all = self.unmatched.is_empty() && reads_all;
        self.queue.has_read_all() && has_judged_all && self.count_due_now() == 0
    }

    fn should_give_up(&self) -> bool {
        let now = self.setup.clock.monotonic();
        let mut limiter = self.setup.limiter.lock();
        let wait = limiter.wait(now).unwrap_or_default();
        let next_probe = limiter.next_probe_in(now).unwrap_or_default();
        next_probe > Duration::ZERO || self.writer.database.is_failing() || wait > ONCE_WAITS
    }

    /// Finishes the requests in flight; the rest is repeated after the next start.
    async fn finish(&mut self) {
        self.pass.is_finishing = true;
        self.requests.drop_waiting();
        let until = self.setup.clock.monotonic() + FINISH_WITHIN;
        while self.setup.clock.monotonic() < until {
            self.start_commit();
            if self.requests.is_idle() && self.writer.is_idle() {
                return;
            }
            let clock = Arc::clone(&self.setup.clock);
            let left = until.saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                () = self.wait_for_progress() => {}
                () = clock.sleep(left) => {}
            }
        }
        tracing::warn!(account = %self.setup.account, "requests in flight did not finish in time; they are repeated after the next start");
    }

    pub(super) fn shapes(&self) -> Shapes {
        self.planner.shapes()
    }
}

impl Requests {
    /// Whether nothing waits for an answer or a request.
    pub(super) fn is_idle(&self) -> bool {
        self.loader.count_ready() == 0 && !self.is_under_way()
    }

    /// Whether an answer or rows are waited for.
    fn is_under_way(&self) -> bool {
        let ledger_is_idle = self.ledger.as_ref().is_none_or(LedgerReader::is_idle);
        let reads_lists = self.list.is_some() || self.span.is_some();
        self.loader.is_loading() || !self.fetcher.is_idle() || reads_lists || !ledger_is_idle
    }

    /// Drops everything that was not begun yet.
    fn drop_waiting(&mut self) {
        self.loader.clear();
        self.list = None;
        self.span = None;
        if let Some(ledger) = &mut self.ledger {
            ledger.drop_request();
        }
    }
}
