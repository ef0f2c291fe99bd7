//! Writes the state of an account to the database, for `why`, `stats` and other read-only commands.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::account::{AccountState, FailureRun};
use crate::domain::invoice::AccountName;
use crate::domain::listing::{PageSummary, Positions};
use crate::domain::time::UnixMillis;
use crate::limit::{Limiter, StopReason};
use crate::store::{AccountRecord, ListRecord};

/// The record is refreshed this often while nothing changes.
const RECORD_EVERY: Duration = Duration::from_secs(10);

/// A run of failures that began or ended is written this soon, so that an outage shows at once and
/// single failures among answers cost few writes.
const RUN_EVERY: Duration = Duration::from_secs(1);

/// A wait that is longer by less than this is not written again.
const NEAR: Duration = Duration::from_millis(100);

/// The known state, and which part of it has been written.
#[derive(Debug)]
pub(super) struct AccountRecorder {
    /// Why it is stopped, as last reported.
    stop: Option<StopReason>,
    since: UnixMillis,
    last_success_at: Option<UnixMillis>,
    last_failure: Option<(UnixMillis, String)>,
    /// The requests that have failed since the last answer.
    failures: Option<FailureRun>,
    /// Whether the written record has such a run.
    written_run: bool,
    written_state: Option<AccountState>,
    /// Until when the written record holds the account, by the monotonic clock.
    written_hold: Duration,
    /// Whether a success and a failure have been written yet: the first of each is written at once.
    written_once: WrittenOnce,
    written_at: Duration,
    has_unwritten: bool,
    /// What the configuration lacks, as last logged.
    warned_of: String,
    /// What is known of the order list.
    list: ListRecord,
}

/// What has been written so far.
#[derive(Debug, Default)]
struct WrittenOnce {
    success: bool,
    failure: bool,
    page: bool,
}

impl AccountRecorder {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self {
            stop: None,
            since: clock.now(),
            last_success_at: None,
            last_failure: None,
            failures: None,
            written_run: false,
            written_state: None,
            written_hold: Duration::ZERO,
            written_once: WrittenOnce::default(),
            written_at: clock.monotonic(),
            has_unwritten: false,
            warned_of: String::new(),
            list: ListRecord::default(),
        }
    }

    /// Records an answer. `proves`: it shows that the service works, which "not found" does not.
    pub(super) fn note_success(&mut self, proves: bool, now: UnixMillis) {
        self.last_success_at = Some(now);
        self.has_unwritten = true;
        if proves {
            self.failures = None;
        }
    }

    pub(super) fn note_failure(&mut self, now: UnixMillis, error: String) {
        self.last_failure = Some((now, error));
        self.has_unwritten = true;
        self.failures = Some(FailureRun::extended(self.failures, now));
    }

    /// The requests that have failed since the last answer.
    pub(super) fn failures(&self) -> Option<FailureRun> {
        self.failures
    }

    /// Whether the account stopped or recovered since the last report.
    pub(super) fn has_stop_changed(&self, stop: Option<StopReason>) -> bool {
        self.stop != stop
    }

    pub(super) fn note_stop(&mut self, stop: Option<StopReason>, now: UnixMillis) {
        self.stop = stop;
        let failing = self.failures.filter(|_| stop == Some(StopReason::Failing));
        self.since = failing.map_or(now, |run| run.since);
    }

    /// Records a page of the list that was read completely.
    pub(super) fn note_page(&mut self, page: &PageSummary, now: UnixMillis) {
        self.list.read_at = Some(now);
        self.list.read_from = i64::try_from(page.offset).ok();
        self.list.read_to = i64::try_from(page.offset + page.items).ok();
    }

    /// Records a page of a list by time that was read completely. `is_last`: the place that the reading
    /// reached is written at once.
    pub(super) fn read_span(&mut self, now: UnixMillis, is_last: bool) {
        self.list.read_at = Some(now);
        if is_last {
            self.written_once.page = false;
        }
    }

    /// Records a complete reading of a ledger that began at `begun_at`: it was a poll of every open
    /// invoice that was due by then.
    pub(super) fn note_reading(&mut self, begun_at: UnixMillis, now: UnixMillis) {
        self.list.read_at = Some(now);
        self.list.caught_up_at = Some(begun_at);
    }

    /// Adds the other fields of the list's record. `is_caught_up`: no poll is overdue.
    pub(super) fn describe_list(
        &mut self,
        positions: &Positions,
        is_caught_up: bool,
        now: UnixMillis,
    ) -> ListRecord {
        self.written_once.page = self.list.read_at.is_some();
        if positions.total() > 0 {
            self.list.total = i64::try_from(positions.total()).ok();
            self.list.floor = i64::try_from(positions.floor()).ok();
            self.list.positions = Some(positions.to_text());
        }
        if is_caught_up {
            self.list.caught_up_at = Some(now);
        }
        self.list.clone()
    }

    /// Whether this lack of the configuration was not logged yet.
    pub(super) fn is_first_warning(&mut self, what: &str) -> bool {
        let is_first = self.warned_of != what;
        what.clone_into(&mut self.warned_of);
        is_first
    }

    /// Takes the record to write if the state has changed or the last record is old; it then counts
    /// as written.
    pub(super) fn take_record(
        &mut self,
        account: &AccountName,
        provider: &str,
        limiter: &Limiter,
        clock: &dyn Clock,
    ) -> Option<AccountRecord> {
        let now = clock.monotonic();
        let (state, wait) = limiter.state(now);
        let old = self.has_unwritten && now.saturating_sub(self.written_at) >= RECORD_EVERY;
        let first_success = self.last_success_at.is_some() && !self.written_once.success;
        let first_failure = self.last_failure.is_some() && !self.written_once.failure;
        let first_page = self.list.read_at.is_some() && !self.written_once.page;
        let first = first_success || first_failure || first_page;
        // Whoever polls the account next must know of the whole wait.
        let hold = now + wait.unwrap_or_default();
        let is_longer = wait.is_some() && hold > self.written_hold + NEAR;
        let has_run = self.failures.is_some();
        let is_other_run =
            self.written_run != has_run && now.saturating_sub(self.written_at) >= RUN_EVERY;
        let is_new = first || is_longer || is_other_run;
        if self.written_state == Some(state) && !old && !is_new {
            return None;
        }
        self.written_run = has_run;
        self.written_state = Some(state);
        self.written_hold = hold;
        self.written_once.success = self.last_success_at.is_some();
        self.written_once.failure = self.last_failure.is_some();
        self.written_at = now;
        self.has_unwritten = false;
        Some(AccountRecord {
            name: account.clone(),
            provider: provider.to_owned(),
            state,
            state_since: self.since,
            failures: self.failures,
            is_key_refused: state == AccountState::KeyRefused,
            resume_at: wait.map(|wait| clock.now().plus(wait)),
            last_success_at: self.last_success_at,
            last_failure_at: self.last_failure.as_ref().map(|(at, _)| *at),
            last_error: self.last_failure.as_ref().map(|(_, error)| error.clone()),
            list: ListRecord::default(),
        })
    }
}
