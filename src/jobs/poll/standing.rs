//! How an account stands, as written to the database for `why`, `stats` and others who only read.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, ListRecord};
use crate::throttle::{Throttle, Trouble};

/// The record is refreshed this often while nothing changes.
const RECORD_EVERY: Duration = Duration::from_secs(10);

/// What is known, and what of it has been written.
#[derive(Debug)]
pub(super) struct Standing {
    since: UnixMillis,
    last_success_at: Option<UnixMillis>,
    last_failure: Option<(UnixMillis, String)>,
    written_state: Option<&'static str>,
    /// Whether a success, and a failure, has been written yet: the first is worth a record of its own.
    success_written: bool,
    failure_written: bool,
    written_at: Duration,
    news: bool,
}

impl Standing {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self {
            since: clock.now(),
            last_success_at: None,
            last_failure: None,
            written_state: None,
            success_written: false,
            failure_written: false,
            written_at: clock.monotonic(),
            news: false,
        }
    }

    pub(super) fn succeeded(&mut self, now: UnixMillis) {
        self.last_success_at = Some(now);
        self.news = true;
    }

    pub(super) fn failed(&mut self, now: UnixMillis, error: String) {
        self.last_failure = Some((now, error));
        self.news = true;
    }

    pub(super) fn changed(&mut self, now: UnixMillis) {
        self.since = now;
    }

    /// The record to write, when the state has changed or the last one is old; counts as written.
    pub(super) fn record(
        &mut self,
        account: &AccountName,
        provider: &str,
        throttle: &Throttle,
        clock: &dyn Clock,
        at_once: bool,
    ) -> Option<AccountRecord> {
        let now = clock.monotonic();
        let held_for = throttle.held_for(now);
        let (state, wait) = match (throttle.trouble(), held_for) {
            (Some(Trouble::KeyRefused), _) => ("key_refused", throttle.next_probe_in(now)),
            (Some(Trouble::NothingSucceeds), _) => ("paused", throttle.next_probe_in(now)),
            (None, Some(wait)) => ("held", Some(wait)),
            (None, None) => ("working", None),
        };
        let old = self.news && now.saturating_sub(self.written_at) >= RECORD_EVERY;
        let first_success = self.last_success_at.is_some() && !self.success_written;
        let first_failure = self.last_failure.is_some() && !self.failure_written;
        let first = first_success || first_failure;
        if self.written_state == Some(state) && !old && !first && !at_once {
            return None;
        }
        self.written_state = Some(state);
        self.success_written = self.last_success_at.is_some();
        self.failure_written = self.last_failure.is_some();
        self.written_at = now;
        self.news = false;
        Some(AccountRecord {
            name: account.clone(),
            provider: provider.to_owned(),
            state: state.to_owned(),
            state_since: self.since,
            resume_at: wait.map(|wait| clock.now().plus(wait)),
            last_success_at: self.last_success_at,
            last_failure_at: self.last_failure.as_ref().map(|(at, _)| *at),
            last_error: self.last_failure.as_ref().map(|(_, error)| error.clone()),
            list: ListRecord::default(),
        })
    }
}
