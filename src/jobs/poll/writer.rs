//! Writing decisions: one batch at a time, while the next one gathers.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{BATCH, whole};
use crate::clock::Clock;
use crate::domain::decide::Decision;
use crate::domain::invoice::Invoice;
use crate::retry::Waits;
use crate::store::{AccountRecord, Store, StoreError, Written};

/// Polls that changed nothing wait so long for company before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// Of the time that a commit took, this part is left to other writers before the next.
const BREATHER: u32 = 4;

/// With so many decisions waiting, nothing more is asked: a provider answers faster than any disk
/// writes, and a page brings up to 10,000.
const FULL: usize = 5_000;

/// A decision with the row it came from, to fall back on.
pub(super) struct Decided {
    pub(super) invoice: Box<Invoice>,
    pub(super) decision: Decision,
}

/// What came of a batch.
pub(super) struct CommitOutcome {
    batch: Vec<Decided>,
    written: Result<Vec<Written>, StoreError>,
    took: Duration,
}

/// The decisions of one account on their way into the database.
pub(super) struct Writer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    gathered: Vec<Decided>,
    gathering_since: Duration,
    /// A task of its own: it holds the store's writer, which the poller may wait for elsewhere.
    under_way: Option<JoinHandle<CommitOutcome>>,
    /// A breather for others, or the wait of a database that cannot be used.
    not_before: Duration,
    waits: Waits,
    failing: bool,
    /// What failed last was a load, which may have to write as well: that a read succeeds shows nothing.
    load_fails: bool,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            gathered: Vec::new(),
            gathering_since: Duration::ZERO,
            under_way: None,
            not_before: Duration::ZERO,
            waits: Waits::of_database(),
            failing: false,
            load_fails: false,
        }
    }

    pub(super) fn keep(&mut self, decided: Decided) {
        if self.gathered.is_empty() {
            self.gathering_since = self.clock.monotonic();
        }
        self.gathered.push(decided);
    }

    /// Whether everything that was decided is written.
    pub(super) fn is_idle(&self) -> bool {
        self.gathered.is_empty() && self.under_way.is_none()
    }

    /// Whether so much waits to be written that nothing more should be asked.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.len() >= FULL
    }

    /// Whether the database cannot be written just now: nothing more should be asked.
    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Time until the gathered decisions should be written; None = nothing to begin.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let waiting = !self.gathered.is_empty() && self.under_way.is_none();
        waiting.then(|| self.due_at().saturating_sub(now))
    }

    /// At once when one of the decisions has something to say, else when a few have gathered.
    fn due_at(&self) -> Duration {
        let says = |decided: &Decided| decided.decision.event.is_some();
        let at_once = self.gathered.len() >= BATCH || self.gathered.iter().any(says);
        let patience = if at_once { Duration::ZERO } else { GATHER };
        (self.gathering_since + patience).max(self.not_before)
    }

    /// Begins to write if it is time; `hurry` does not wait for company.
    pub(super) fn start(&mut self, hurry: bool) {
        let now = self.clock.monotonic();
        let due = now >= self.due_at() || hurry && now >= self.not_before;
        if self.under_way.is_some() || self.gathered.is_empty() || !due {
            return;
        }
        let batch: Vec<Decided> = self
            .gathered
            .drain(..self.gathered.len().min(BATCH))
            .collect();
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let write = async move {
            let started = clock.monotonic();
            let (invoices, decisions): (Vec<Box<Invoice>>, Vec<Decision>) = batch
                .into_iter()
                .map(|decided| (decided.invoice, decided.decision))
                .unzip();
            let written = store.commit(&decisions, clock.now()).await;
            let batch = invoices
                .into_iter()
                .zip(decisions)
                .map(|(invoice, decision)| Decided { invoice, decision })
                .collect();
            let took = clock.monotonic().saturating_sub(started);
            CommitOutcome {
                batch,
                written,
                took,
            }
        };
        self.under_way = Some(tokio::spawn(write));
    }

    /// Writes down what is known about the account, when nothing else is being written.
    pub(super) fn record(&mut self, record: AccountRecord) {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let write = async move {
            let started = clock.monotonic();
            let written = store.record_account(&record).await.map(|()| Vec::new());
            let took = clock.monotonic().saturating_sub(started);
            CommitOutcome {
                batch: Vec::new(),
                written,
                took,
            }
        };
        self.under_way = Some(tokio::spawn(write));
    }

    /// Whether something is being written now.
    pub(super) fn is_writing(&self) -> bool {
        self.under_way.is_some()
    }

    /// The end of the write under way; never when there is none. May be dropped and called again.
    pub(super) async fn finished(&mut self) -> CommitOutcome {
        match &mut self.under_way {
            Some(write) => {
                let outcome = write.await;
                self.under_way = None;
                whole(outcome)
            }
            None => std::future::pending().await,
        }
    }

    /// Takes note of an outcome. What could not be written is kept for the next try.
    pub(super) fn conclude(&mut self, outcome: CommitOutcome) -> Vec<(Decided, Written)> {
        let now = self.clock.monotonic();
        match outcome.written {
            Ok(written) => {
                self.load_fails = false;
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the database can be used again");
                }
                self.waits.reset();
                self.not_before = now + outcome.took / BREATHER;
                let (rows, took) = (outcome.batch.len(), outcome.took);
                tracing::trace!(rows, ?took, "written");
                outcome.batch.into_iter().zip(written).collect()
            }
            Err(error) => {
                let gathered_since = std::mem::replace(&mut self.gathered, outcome.batch);
                self.gathered.extend(gathered_since);
                self.fail(&error);
                Vec::new()
            }
        }
    }

    /// The database failed, in writing or reading: says so once, and waits longer each time.
    pub(super) fn fail(&mut self, error: &StoreError) -> Duration {
        if !self.failing {
            tracing::error!(%error, "the database cannot be used: waiting for it");
        }
        self.failing = true;
        self.not_before = self.clock.monotonic() + self.waits.next_wait();
        self.not_before
    }

    /// A load failed.
    pub(super) fn fail_load(&mut self, error: &StoreError) -> Duration {
        self.load_fails = true;
        self.fail(error)
    }

    /// A load succeeded, or there is none to be made.
    pub(super) fn loaded(&mut self) {
        self.load_fails = false;
        self.recovered();
    }

    /// Whether what failed is not to be tried again yet.
    pub(super) fn must_wait(&self, now: Duration) -> bool {
        self.failing && now < self.not_before
    }

    /// What was tried succeeded: with nothing left to write, that is enough to go on.
    pub(super) fn recovered(&mut self) {
        if self.gathered.is_empty() && !self.load_fails && std::mem::take(&mut self.failing) {
            tracing::info!("the database can be used again");
            self.waits.reset();
        }
    }
}
