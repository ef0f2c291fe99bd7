//! Polling one account: take what is due, plan, ask, decide, write.
//!
//! `queue` brings rows into the `schedule`; `domain::planner` makes requests of what is due; `load`
//! reads the rows that are asked about one by one, `fetch` and `page` make the requests; `matching`
//! finds the invoices that a page tells of; `writer` commits decisions in batches.
//!
//! Nothing is lost in here: what is under way is only in hand, the row stays due until what was
//! observed is committed. A crash at any point repeats a request and nothing else. Requests and
//! commits overlap: while one batch is being written the next one gathers.

mod entry;
mod fetch;
mod ledger;
mod load;
mod matching;
mod meter;
mod page;
mod queue;
mod recorder;
mod refunds;
mod schedule;
mod settle;
mod setup;
mod spans;
mod turn;
mod writer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use self::fetch::Fetcher;
use self::ledger::LedgerReader;
use self::load::Loader;
use self::matching::Unmatched;
use self::page::{Listed, Shared};
use self::queue::QueueReader;
use self::recorder::AccountRecorder;
pub use self::setup::PollSetup;
use self::spans::SpanOutcome;
use self::writer::Writer;
pub use crate::domain::planner::Strategy;
use crate::domain::planner::spans::SpanPlanner;
use crate::domain::planner::{Planner, Shapes};
use crate::domain::time::UnixMillis;
use crate::provider::SpanCursor;

/// Most invoices loaded, matched or written at a time.
const BATCH: usize = 500;
/// On the way out, requests under way may take so long.
pub const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// `run --once` does not wait longer than this for its turn.
const ONCE_WAITS: Duration = Duration::from_secs(30);

/// What a poller did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollCounts {
    /// Requests that brought an answer.
    pub answered: u64,
    /// Requests that failed.
    pub could_not_ask: u64,
    /// Due invoices left unasked.
    pub left: u64,
}

/// The poller of one account.
pub struct Poller {
    setup: PollSetup,
    rng: fastrand::Rng,
    /// The schedule, on which a page that arrives works as well.
    shared: Arc<Mutex<Shared>>,
    queue: QueueReader,
    planner: Planner,
    spans: SpanPlanner,
    requests: Requests,
    unmatched: Unmatched,
    writer: Writer,
    recorder: AccountRecorder,
    pass: Pass,
}

/// Requests of a poller, from their rows to their answers.
struct Requests {
    loader: Loader,
    fetcher: Fetcher,
    /// The request to the list that is under way.
    list: Option<BoxFuture<'static, Listed>>,
    /// The request to the list by time that is under way, and what leads to the page after the last.
    span: Option<BoxFuture<'static, SpanOutcome>>,
    span_cursor: Option<SpanCursor>,
    /// Where the provider keeps a ledger and no orders.
    ledger: Option<LedgerReader>,
    /// Whether the next request is for an order by its id, if one waits.
    list_was_last: bool,
}

/// How a poller goes on.
#[derive(Default)]
struct Pass {
    counts: PollCounts,
    /// For one pass: only what was due then.
    once: Option<UnixMillis>,
    /// On the way out: nothing more is read or asked.
    is_finishing: bool,
}

impl Poller {
    /// A poller that has asked nothing yet.
    pub fn new(setup: PollSetup) -> Self {
        let now = setup.clock.monotonic();
        let fetcher = Fetcher::new(
            Arc::clone(&setup.provider),
            Arc::clone(&setup.clock),
            setup.limiter.clone(),
            setup.not_found_grace,
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

    /// Polls until `stop`, then finishes what is under way within `FINISH_WITHIN`.
    pub async fn run(mut self, stop: CancellationToken, reload: Arc<Notify>) {
        // Made before each wait, not with it: what comes while something else is awaited counts.
        let reloaded = reload.notified();
        tokio::pin!(reloaded);
        let mut changed = self.setup.changed.clone();
        while !stop.is_cancelled() {
            self.turn().await;
            tokio::select! {
                // A fixed order, or no simulated run could be repeated. What comes last is kept
                // waiting by nobody: the others are rare.
                biased;
                () = stop.cancelled() => {}
                () = &mut reloaded => {
                    reloaded.set(reload.notified());
                    self.reload_key();
                    let now = self.setup.clock.monotonic();
                    self.setup.limiter.lock().probe_soon(now);
                }
                Ok(()) = changed.changed() => self.read_again_in(Duration::ZERO),
                () = self.progress() => {}
            }
        }
        self.finish().await;
    }

    /// One pass: every invoice that is due now, requested ones too.
    pub async fn run_once(mut self) -> PollCounts {
        self.pass.once = Some(self.setup.clock.now());
        loop {
            self.turn().await;
            let is_idle = self.requests.are_idle() && self.writer.is_idle();
            if is_idle && (self.has_polled_all() || self.gives_up_waiting()) {
                break;
            }
            self.progress().await;
        }
        self.pass.counts.left = self.due_now();
        self.pass.counts
    }

    fn has_polled_all(&self) -> bool {
        let has_judged_all = self.unmatched.is_empty() && !self.spans.has_due();
        self.queue.has_read_all() && has_judged_all && self.due_now() == 0
    }

    fn gives_up_waiting(&self) -> bool {
        let now = self.setup.clock.monotonic();
        let mut limiter = self.setup.limiter.lock();
        let wait = limiter.wait(now).unwrap_or_default();
        limiter.stop_reason().is_some() || self.writer.is_failing() || wait > ONCE_WAITS
    }

    /// Finishes what is under way; what is not done in time is asked again after the next start.
    async fn finish(&mut self) {
        self.pass.is_finishing = true;
        self.requests.drop_what_waits();
        let until = self.setup.clock.monotonic() + FINISH_WITHIN;
        while self.setup.clock.monotonic() < until {
            self.start_commit();
            if self.requests.are_idle() && self.writer.is_idle() {
                return;
            }
            let clock = Arc::clone(&self.setup.clock);
            let left = until.saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                () = self.progress() => {}
                () = clock.sleep(left) => {}
            }
        }
        tracing::warn!(account = %self.setup.account, "requests under way did not finish in time; they are made again after the next start");
    }

    fn shapes(&self) -> Shapes {
        self.planner.shapes()
    }
}

impl Requests {
    /// Whether nothing waits for its answer, or to be asked.
    fn are_idle(&self) -> bool {
        let ledger_is_idle = self.ledger.as_ref().is_none_or(LedgerReader::is_idle);
        let reads_lists = self.list.is_some() || self.span.is_some();
        self.loader.is_idle() && self.fetcher.is_idle() && !reads_lists && ledger_is_idle
    }

    /// What was not begun yet is not begun any more.
    fn drop_what_waits(&mut self) {
        self.loader.clear();
        self.list = None;
        self.span = None;
        if let Some(ledger) = &mut self.ledger {
            ledger.drop_request();
        }
    }
}

/// What a task brought. A panic in there is ours; nobody cancels one that is still waited for.
fn whole<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
