//! Polling one account: take what is due, ask, decide, commit.
//!
//! Nothing is lost in here: what is under way is only claimed, the row stays due until its next
//! look is committed. A crash at any point repeats a question and nothing else. Questions and
//! commits overlap: while one batch is being written the next one gathers.

mod ask;
mod book;
mod committer;
mod details;
mod entry;
mod judge;
mod meter;
mod page;
mod plan;
mod queue;
mod reading;
mod region;
mod standing;
mod take;
mod turn;
mod watch;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::ask::{Answer, Asked, Asker, Step};
use self::committer::{Committer, Decided, Outcome};
use self::page::{Fetched, Taken};
use self::queue::Queue;
use self::reading::Reading;
use self::standing::Standing;
use self::take::Read;
use crate::clock::Clock;
use crate::domain::cadence::Cadence;
use crate::domain::decide::{Decision, decide};
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::sighting::{News, OrderState};
use crate::domain::state::{Status, reason};
use crate::domain::time::UnixMillis;
use crate::jobs::{Board, Heartbeat, LONGEST_NAP};
use crate::metrics::AccountMeter;
use crate::provider::{ApiKey, CouldNotAsk, Provider};
use crate::store::{Store, Written};
use crate::throttle::{Gate, Throttle, Trouble};

/// Most invoices read from the queue at a time.
const BATCH: usize = 500;
/// On the way out, questions under way may take so long.
pub const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// Due invoices left unasked by `run --once` are counted up to this.
const LEFT_COUNTED: u32 = 10_000;
/// `run --once` does not sit out a longer hold than this.
const ONCE_WAITS: Duration = Duration::from_secs(30);

/// Reads the account's key again.
pub type KeyReader = Arc<dyn Fn() -> Result<ApiKey, String> + Send + Sync>;

/// Which requests an account may make to look at its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Whichever covers what is due in fewer, cheaper requests.
    Auto,
    /// One order at a time.
    Preview,
    /// Only by pages of the list.
    List,
}

impl Strategy {
    /// Whether single orders may be looked at.
    pub(crate) fn has_looks(self) -> bool {
        self != Self::List
    }
}

/// What a poller is made of.
pub struct PollSetup {
    /// The account.
    pub account: AccountName,
    /// Its provider.
    pub provider: Arc<dyn Provider>,
    /// Reads its key again.
    pub read_key: KeyReader,
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// When to look.
    pub cadence: Cadence,
    /// "Not found" counts after this.
    pub not_found_grace: Duration,
    /// New rows are noticed at most this late.
    pub intake_interval: Duration,
    /// The account's budget, shared by all who ask in its name.
    pub gate: Gate,
    /// Which requests it may make.
    pub strategy: Strategy,
    /// Decoded bytes a second for pages beyond what is due; 0 = none beyond.
    pub list_bytes_per_second: u64,
    /// Wakes the feed after a commit.
    pub committed: Arc<Notify>,
    /// Somebody wrote to the database: what is due may be more than was planned.
    pub changed: Receiver<()>,
    /// Told at each turn.
    pub heartbeat: Heartbeat,
    /// Where the account's state is put up.
    pub board: Board,
    /// Where its work is counted.
    pub meter: AccountMeter,
    /// Seed of the jitter.
    pub seed: u64,
}

/// What a poller did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollCounts {
    /// Questions that brought an answer.
    pub answered: u64,
    /// Questions that could not be asked.
    pub could_not_ask: u64,
    /// Due invoices left unasked.
    pub left: u64,
}

/// The poller of one account.
pub struct Poller {
    setup: PollSetup,
    /// The trouble of the account that has been told of.
    trouble: Option<Trouble>,
    rng: fastrand::Rng,
    queue: Queue,
    /// Invoices read and not yet committed.
    claimed: HashSet<InvoiceId>,
    /// Tasks of their own, so that answers are read on every core.
    asks: JoinSet<Asked>,
    committer: Committer,
    /// For looks by pages of the list.
    reading: Option<Reading>,
    /// The page under way.
    page: Option<BoxFuture<'static, Fetched>>,
    /// Whether the next request belongs to a single look, if one waits.
    page_was_last: bool,
    /// What pages showed and nobody judged yet, with the time at which the page was asked for.
    taken: VecDeque<(UnixMillis, Taken)>,
    /// Entries of the book that a complete reading of the list did not show.
    missing: Vec<u32>,
    /// When orders just found paid without amounts were made, by the provider's clock.
    created: HashMap<InvoiceId, UnixMillis>,
    /// What is due, being read while earlier rows are asked about.
    read: Option<BoxFuture<'static, Read>>,
    /// What was read, to be taken at the next turn.
    fetched_due: Option<Read>,
    /// The queue was found empty; not before this is it read again.
    read_not_before: Duration,
    /// How often somebody was seen to write to the database.
    changes: u64,
    standing: Standing,
    counts: PollCounts,
    /// For one pass: only what was due then.
    once: Option<UnixMillis>,
    /// Whether the last read of the queue found nothing that is due.
    drained: bool,
    /// On the way out: nothing more is read or asked.
    finishing: bool,
}

impl Poller {
    /// A poller that has asked nothing yet.
    pub fn new(setup: PollSetup) -> Self {
        let now = setup.clock.monotonic();
        Self {
            trouble: None,
            rng: fastrand::Rng::with_seed(setup.seed),
            queue: Queue::default(),
            claimed: HashSet::new(),
            asks: JoinSet::new(),
            committer: Committer::new(Arc::clone(&setup.store), Arc::clone(&setup.clock)),
            reading: Reading::new(&setup),
            page: None,
            page_was_last: false,
            taken: VecDeque::new(),
            missing: Vec::new(),
            created: HashMap::new(),
            read: None,
            fetched_due: None,
            read_not_before: now,
            changes: 0,
            standing: Standing::new(setup.clock.as_ref()),
            counts: PollCounts::default(),
            once: None,
            drained: false,
            finishing: false,
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
            self.refill().await;
            self.launch();
            self.start_commit(self.has_nothing_to_ask());
            tokio::select! {
                // A fixed order, or no simulated run could be repeated. What comes last is kept
                // waiting by nobody: the others are rare.
                biased;
                () = stop.cancelled() => {}
                () = &mut reloaded => {
                    reloaded.set(reload.notified());
                    self.reload_key();
                    self.gate().try_again(self.setup.clock.monotonic());
                }
                Ok(()) = changed.changed() => {
                    self.changes += 1;
                    self.read_again_in(Duration::ZERO);
                }
                () = self.progress() => {}
            }
        }
        self.finish().await;
    }

    /// One pass: every invoice that is due now, requested ones too.
    pub async fn run_once(mut self) -> PollCounts {
        let start = self.setup.clock.now();
        self.once = Some(start);
        loop {
            self.refill().await;
            self.launch();
            self.start_commit(self.has_nothing_to_ask());
            let idle = self.has_nothing_under_way() && self.committer.is_idle();
            let done = self.queue.is_empty() && self.list_is_done() && self.drained;
            if idle && (done || self.gives_up_waiting()) {
                break;
            }
            self.progress().await;
        }
        if self.reading.is_some() {
            self.counts.left = self.list_left();
            return self.counts;
        }
        let none = HashSet::new();
        let left = self
            .setup
            .store
            .due(&self.setup.account, start, LEFT_COUNTED, &none)
            .await;
        self.counts.left = left.map_or(1, |due| due.fresh.len() as u64);
        self.counts
    }

    fn gives_up_waiting(&mut self) -> bool {
        let now = self.setup.clock.monotonic();
        let wait = self.gate().wait(now).unwrap_or_default();
        self.gate().trouble().is_some() || self.committer.is_failing() || wait > ONCE_WAITS
    }

    /// Waits for whatever comes first: an answer, the end of a commit, or time.
    async fn progress(&mut self) {
        self.setup.heartbeat.beat(self.setup.clock.monotonic());
        self.tell_of_trouble();
        self.meter_gate();
        let nap = self.nap();
        let clock = Arc::clone(&self.setup.clock);
        let Self {
            asks,
            committer,
            page,
            read,
            ..
        } = self;
        tokio::select! {
            biased;
            outcome = committer.finished() => self.committed(outcome),
            fetched = under_way(page) => {
                self.page = None;
                self.fetched(fetched);
            }
            read = under_way(read) => {
                self.read = None;
                self.fetched_due = Some(read);
            }
            Some(asked) = asks.join_next() => self.settle(whole(asked)),
            () = clock.sleep(nap) => {}
        }
        while let Some(asked) = self.asks.try_join_next() {
            self.settle(whole(asked));
        }
    }

    /// How long to wait when nothing happens.
    fn nap(&mut self) -> Duration {
        let now = self.setup.clock.monotonic();
        let mut nap = LONGEST_NAP;
        if let Some(wait) = self.committer.wait(now) {
            nap = nap.min(wait);
        }
        if self.finishing || self.committer.is_full() && self.queue.is_empty() {
            // Only answers and commits are waited for: what could be asked now is no reason to wake.
            return nap.max(Duration::from_millis(1));
        }
        if self.reading.is_some() && self.queue.is_empty() {
            // The book and its plan want more turns than the reads of the queue.
            let nap = nap.min(self.setup.intake_interval).min(self.list_nap(now));
            return nap.max(Duration::from_millis(1));
        }
        let room = self.gate().wait(now);
        if self.read.is_some() {
            return nap;
        }
        if self.queue.is_empty() {
            nap = nap.min(
                self.read_not_before
                    .max(now + room.unwrap_or(nap))
                    .saturating_sub(now),
            );
        } else if let Some(room) = room {
            nap = nap.min(room);
        }
        nap.max(Duration::from_millis(1))
    }

    // ------------------------------------------------------------------------------ asking

    fn launch(&mut self) {
        let now = self.setup.clock.now();
        while let Some(invoice) = self.queue.pop() {
            match ask::step(&invoice, self.setup.provider.as_ref(), now) {
                Step::Known(news) => {
                    self.claimed.insert(invoice.id);
                    self.decide(invoice, *news);
                }
                Step::Nothing => {
                    self.claimed.insert(invoice.id);
                    self.plan_only(invoice);
                }
                step @ (Step::Create(_) | Step::Look(_)) => {
                    if let Some(invoice) = self.ask(invoice, step) {
                        self.queue.push_front(invoice);
                        return;
                    }
                }
            }
        }
    }

    /// Asks, or gives the invoice back when the account's budget does not allow it now.
    fn ask(&mut self, invoice: Box<Invoice>, step: Step) -> Option<Box<Invoice>> {
        let now = self.setup.clock.monotonic();
        let Ok(permit) = self.gate().take(now) else {
            return Some(invoice);
        };
        if permit.probe && self.gate().trouble() == Some(Trouble::KeyRefused) {
            self.reload_key();
        }
        let asker = Asker {
            provider: Arc::clone(&self.setup.provider),
            clock: Arc::clone(&self.setup.clock),
            gate: self.setup.gate.clone(),
            not_found_grace: self.setup.not_found_grace,
        };
        self.claimed.insert(invoice.id);
        match step {
            Step::Create(creation) => {
                self.asks.spawn(asker.create(invoice, permit, creation));
            }
            Step::Look(order) => {
                self.asks.spawn(asker.look(invoice, permit, order));
            }
            Step::Known(_) | Step::Nothing => self.gate().give_back(&permit),
        }
        None
    }

    fn reload_key(&mut self) {
        match (self.setup.read_key)() {
            Ok(key) => self.setup.provider.set_key(key),
            Err(error) => {
                tracing::warn!(account = %self.setup.account, error, "the key could not be read again");
            }
        }
    }

    fn settle(&mut self, asked: Asked) {
        self.meter_asked(&asked);
        let Asked {
            invoice,
            permit,
            answer,
        } = asked;
        let now = self.setup.clock.monotonic();
        match answer {
            Ok(Answer { news, proves }) => {
                if proves {
                    self.gate().settle(&permit, Ok(()), now);
                } else {
                    self.gate().settle_unproven(&permit, now);
                }
                self.standing.succeeded(self.setup.clock.now());
                self.tell_of_trouble();
                self.counts.answered += 1;
                self.remember_creation(invoice.id, &news);
                self.decide(invoice, news);
            }
            Err(error) => {
                let mut gate = self.gate();
                let blamed = gate.blames_order() && blames_order(&error);
                gate.settle(&permit, Err(&error), now);
                drop(gate);
                self.standing
                    .failed(self.setup.clock.now(), error.to_string());
                self.tell_of_trouble();
                self.counts.could_not_ask += 1;
                self.put_off(invoice, &error, blamed);
            }
        }
    }

    /// Where the amounts of a payment are still to be found in the list, its place follows from when
    /// the order was made.
    fn remember_creation(&mut self, id: InvoiceId, news: &News) {
        if let (News::Seen(seen), true) = (news, self.reading.is_some())
            && seen.state == OrderState::Paid
            && let Some(created_at) = seen.created_at
        {
            if self.created.len() > BATCH * 2 {
                self.created.clear();
            }
            self.created.insert(id, created_at);
        }
    }

    /// Says that the account stopped or works again, whoever of those who ask in its name found out.
    fn tell_of_trouble(&mut self) {
        let gate = self.gate();
        let trouble = gate.trouble();
        if trouble == self.trouble {
            return;
        }
        let cause = gate.cause().to_owned();
        drop(gate);
        self.trouble = trouble;
        let (account, board) = (&self.setup.account, &self.setup.board);
        match trouble {
            Some(Trouble::KeyRefused) => {
                tracing::error!(%account, error = cause, "the provider refuses the account's key: nothing is asked but a probe until it is accepted");
                board.put(&account.0, "the provider refuses the key");
            }
            Some(Trouble::NothingSucceeds) => {
                tracing::warn!(%account, error = cause, "nothing succeeds any more: the account pauses but for probes");
                board.put(&account.0, format!("the provider cannot be asked: {cause}"));
            }
            None => {
                tracing::info!(%account, "the account works again");
                board.put(&account.0, "polling");
            }
        }
        self.standing.changed(self.setup.clock.now());
        if let Some(reading) = &mut self.reading {
            reading.account_stops(trouble.is_some());
        }
    }

    fn gate(&self) -> MutexGuard<'_, Throttle> {
        self.setup.gate.lock()
    }

    // ---------------------------------------------------------------------------- deciding

    fn decide(&mut self, invoice: Box<Invoice>, news: News) {
        let now = self.setup.clock.now();
        let paid_already = matches!(&news, News::Created(seen) if seen.state != OrderState::Open);
        let mut decision = decide(&invoice, self.setup.provider.name(), news);
        let schedule = &mut decision.row.schedule;
        schedule.last_polled_at = Some(now);
        schedule.polls += 1;
        schedule.failures = 0;
        schedule.last_error = None;
        let roll = self.rng.f64();
        let next = self.setup.cadence.next_look(&decision.row, now, roll);
        decision.row.schedule.next_poll_at = if paid_already { Some(now) } else { next };
        self.keep(invoice, decision);
    }

    /// A look that could not be made moves the next one on, and nothing else.
    fn put_off(&mut self, invoice: Box<Invoice>, error: &CouldNotAsk, blamed: bool) {
        tracing::debug!(account = %invoice.account, external_id = %invoice.external_id, %error, "could not ask");
        let now = self.setup.clock.now();
        let mut row = invoice.clone();
        row.schedule.last_error = Some(error.to_string());
        if blamed {
            row.schedule.failures += 1;
        }
        let roll = self.rng.f64();
        let next = if blamed {
            self.setup.cadence.after_failure(&row, now, roll)
        } else {
            self.setup.cadence.after_trouble(&row, now, roll)
        };
        row.schedule.next_poll_at = Some(next);
        self.keep_plan(invoice, row);
    }

    /// Nothing to ask about: the next look is planned all the same, for a person may change that.
    fn plan_only(&mut self, invoice: Box<Invoice>) {
        let now = self.setup.clock.now();
        let mut row = invoice.clone();
        let roll = self.rng.f64();
        row.schedule.next_poll_at = self.setup.cadence.next_look(&row, now, roll);
        self.keep_plan(invoice, row);
    }

    fn keep_plan(&mut self, invoice: Box<Invoice>, row: Box<Invoice>) {
        let decision = Decision {
            based_on_version: invoice.version,
            based_on_next_poll_at: invoice.schedule.next_poll_at,
            facts_changed: false,
            order_learned: false,
            event: None,
            earlier: Vec::new(),
            transactions: Vec::new(),
            row,
        };
        self.keep(invoice, decision);
    }

    fn keep(&mut self, invoice: Box<Invoice>, decision: Decision) {
        log_decision(&invoice, &decision);
        self.committer.keep(Decided { invoice, decision });
    }

    // -------------------------------------------------------------------------- committing

    /// What was decided gets no more company.
    fn has_nothing_to_ask(&self) -> bool {
        self.queue.is_empty() && self.has_nothing_under_way()
    }

    fn has_nothing_under_way(&self) -> bool {
        self.asks.is_empty() && self.read.is_none() && self.page.is_none()
    }

    fn start_commit(&mut self, hurry: bool) {
        self.committer.start(hurry);
        if self.committer.is_writing() || self.committer.is_failing() {
            return;
        }
        let setup = &self.setup;
        let clock = setup.clock.as_ref();
        let at_once = self.reading.as_ref().is_some_and(Reading::wants_record);
        let name = setup.provider.name();
        let record = self
            .standing
            .record(&setup.account, name, &setup.gate.lock(), clock, at_once);
        if let Some(mut record) = record {
            if let Some(reading) = &mut self.reading {
                record.list = reading.list_record(clock.now());
            }
            self.committer.record(record);
        }
    }

    fn committed(&mut self, outcome: Outcome) {
        let written = self.committer.conclude(outcome);
        self.meter_written(&written);
        let says =
            |(_, written): &(Decided, Written)| matches!(written, Written::Yes { seq: Some(_) });
        if written.iter().any(says) {
            self.setup.committed.notify_one();
        }
        for (decided, written) in written {
            self.release(decided, written);
        }
    }

    fn release(&mut self, decided: Decided, written: Written) {
        match written {
            Written::Yes { .. } => {
                self.note_committed(&decided, true);
                if let Some(next) = decided.decision.row.schedule.next_poll_at {
                    self.read_again_in(next.since(self.setup.clock.now()));
                }
            }
            Written::Stale => {
                self.note_committed(&decided, false);
                self.read_again_in(Duration::ZERO);
            }
            Written::Refused(_) => {}
        }
        let Decided { invoice, decision } = decided;
        let why = match written {
            Written::Yes { .. } | Written::Stale => {
                self.claimed.remove(&invoice.id);
                return;
            }
            Written::Refused(why) => why,
        };
        tracing::error!(account = %invoice.account, external_id = %invoice.external_id, why, "the database refuses what was decided");
        if invoice.facts.status == Status::Requested && decision.event.is_some() {
            // The order that came back belongs to another invoice already.
            let observed_at = self.setup.clock.now();
            self.decide(invoice, News::CreationConflict { observed_at });
        } else if decision.facts_changed {
            self.put_off(invoice, &CouldNotAsk::Malformed(why), true);
        }
        // Else not even its plan can be written: it stays claimed, or it would spin.
    }

    /// Finishes what is under way; what is not done in time is asked again after the next start.
    async fn finish(&mut self) {
        // What they would have shown is asked again after the next start.
        self.finishing = true;
        self.queue.clear();
        (self.page, self.read, self.fetched_due) = (None, None, None);
        let until = self.setup.clock.monotonic() + FINISH_WITHIN;
        while self.setup.clock.monotonic() < until {
            self.start_commit(true);
            if self.asks.is_empty() && self.committer.is_idle() {
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
        tracing::warn!(account = %self.setup.account, "not everything under way could be finished in time; it will be asked again");
    }
}

/// What a task brought. A panic in there is ours; nobody cancels one that is still waited for.
fn whole<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The end of what is under way; never when there is nothing.
async fn under_way<T>(reading: &mut Option<BoxFuture<'static, T>>) -> T {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// Whether an order can be the cause: the account's own troubles are nobody's fault.
fn blames_order(error: &CouldNotAsk) -> bool {
    match error {
        CouldNotAsk::RateLimited { .. } | CouldNotAsk::KeyRefused(_) => false,
        CouldNotAsk::Unreachable(_)
        | CouldNotAsk::Unavailable { .. }
        | CouldNotAsk::Malformed(_)
        | CouldNotAsk::Refused(_) => true,
    }
}

/// Says what happened: a change of state, or something odd that changed none.
fn log_decision(before: &Invoice, decision: &Decision) {
    let (row, facts) = (&decision.row, &decision.row.facts);
    let order_id = facts
        .order_id
        .as_ref()
        .map(|id| id.0.as_str())
        .unwrap_or_default();
    let why = facts.reason.as_deref().unwrap_or_default();
    if let Some(event) = &decision.event {
        tracing::info!(account = %row.account, external_id = %row.external_id, order_id, r#type = event.event_type.as_str(), why, "said");
    } else if facts.reason != before.facts.reason
        && !why.is_empty()
        && why != reason::UNKNOWN_ACCOUNT
    {
        tracing::warn!(account = %row.account, external_id = %row.external_id, order_id, why, "an odd answer changed nothing");
    }
}
