//! Writes decisions: one batch at a time, while the next one is collected.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::BATCH;
use super::database::DatabaseHealth;
use super::task::join_result;
use crate::clock::Clock;
use crate::domain::decide::Decision;
use crate::domain::invoice::Invoice;
use crate::store::{AccountRecord, Store, StoreError, Written};

/// How long polls that changed nothing wait for others before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// The pause between two commits, for other writers: the last commit's time divided by this.
const PAUSE_DIVISOR: u32 = 4;

/// With this many decisions waiting, no new requests are made: a provider answers faster than a
/// disk writes, and a page has up to 10,000 orders.
const FULL: usize = 5_000;

/// A decision with the row it came from, in case the write fails.
pub(super) struct Decided {
    pub(super) invoice: Box<Invoice>,
    pub(super) decision: Decision,
}

/// The outcome of a batch.
pub(super) struct WriteOutcome {
    batch: Vec<Decided>,
    /// Written alone, without a batch.
    record: Option<AccountRecord>,
    written: Result<Vec<Written>, StoreError>,
    took: Duration,
}

/// The decisions of one account that wait to be written or are being written.
pub(super) struct Writer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    gathered: Vec<Decided>,
    /// Whether one of them has an event.
    has_event: bool,
    gathering_since: Duration,
    /// The account's record, if its last write failed.
    failed_record: Option<AccountRecord>,
    /// A separate task: it holds the store's writer, which the poller may wait for elsewhere.
    under_way: Option<JoinHandle<WriteOutcome>>,
    pub(super) database: DatabaseHealth,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            gathered: Vec::new(),
            has_event: false,
            gathering_since: Duration::ZERO,
            failed_record: None,
            under_way: None,
            database: DatabaseHealth::default(),
        }
    }

    pub(super) fn add(&mut self, decided: Decided) {
        if self.gathered.is_empty() {
            self.gathering_since = self.clock.monotonic();
        }
        self.has_event |= decided.decision.event.is_some();
        self.gathered.push(decided);
    }

    fn note_gathered(&mut self) {
        let has_event = |decided: &Decided| decided.decision.event.is_some();
        self.has_event = self.gathered.iter().any(has_event);
    }

    /// Whether every decision is written.
    pub(super) fn is_idle(&self) -> bool {
        self.gathered.is_empty() && self.under_way.is_none()
    }

    /// Whether so much waits to be written that no new requests should be made.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.len() >= FULL
    }

    /// Time until the collected decisions should be written; None = nothing to write.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        if self.under_way.is_some() {
            return None;
        }
        if !self.gathered.is_empty() {
            return Some(self.due_at().saturating_sub(now));
        }
        let retry = self.failed_record.is_some();
        retry.then(|| self.database.not_before().saturating_sub(now))
    }

    /// At once if one of the decisions has an event, else when a few have been collected.
    fn due_at(&self) -> Duration {
        let at_once = self.gathered.len() >= BATCH || self.has_event;
        let patience = if at_once { Duration::ZERO } else { GATHER };
        (self.gathering_since + patience).max(self.database.not_before())
    }

    /// Begins to write if it is time; `hurry` writes without waiting for more decisions.
    pub(super) fn start_commit(&mut self, hurry: bool) {
        let now = self.clock.monotonic();
        let due = now >= self.due_at() || hurry && now >= self.database.not_before();
        if self.under_way.is_some() {
            return;
        }
        if self.gathered.is_empty() {
            if now >= self.database.not_before()
                && let Some(record) = self.failed_record.take()
            {
                self.start_record(record);
            }
            return;
        }
        if !due {
            return;
        }
        let batch: Vec<Decided> = self
            .gathered
            .drain(..self.gathered.len().min(BATCH))
            .collect();
        self.note_gathered();
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
            WriteOutcome {
                batch,
                record: None,
                written,
                took,
            }
        };
        self.under_way = Some(tokio::spawn(write));
    }

    /// Writes the account's record, if nothing else is being written.
    pub(super) fn start_record(&mut self, record: AccountRecord) {
        self.failed_record = None;
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let write = async move {
            let started = clock.monotonic();
            let written = store.record_account(&record).await.map(|()| Vec::new());
            let took = clock.monotonic().saturating_sub(started);
            WriteOutcome {
                batch: Vec::new(),
                record: Some(record),
                written,
                took,
            }
        };
        self.under_way = Some(tokio::spawn(write));
    }

    /// Whether a write is in progress.
    pub(super) fn is_writing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the write in progress; never returns without one. May be dropped and called again.
    pub(super) async fn wait_for_commit(&mut self) -> WriteOutcome {
        match &mut self.under_way {
            Some(write) => {
                let outcome = write.await;
                self.under_way = None;
                join_result(outcome)
            }
            None => std::future::pending().await,
        }
    }

    /// Handles an outcome. What could not be written is kept for the next attempt.
    pub(super) fn accept_outcome(&mut self, outcome: WriteOutcome) -> Vec<(Decided, Written)> {
        let now = self.clock.monotonic();
        match outcome.written {
            Ok(written) => {
                self.database
                    .note_commit(now + outcome.took / PAUSE_DIVISOR);
                let (rows, took) = (outcome.batch.len(), outcome.took);
                tracing::trace!(rows, ?took, "written");
                outcome.batch.into_iter().zip(written).collect()
            }
            Err(error) => {
                let gathered_since = std::mem::replace(&mut self.gathered, outcome.batch);
                self.gathered.extend(gathered_since);
                self.note_gathered();
                self.failed_record = outcome.record.or(self.failed_record.take());
                self.database.note_failure(&error, now);
                Vec::new()
            }
        }
    }

    /// Records a successful read: with nothing left to write, that proves that the database works.
    pub(super) fn note_success(&mut self) {
        if self.is_idle() && self.failed_record.is_none() {
            self.database.note_success();
        }
    }
}
