//! The situation of an account in words: the same on the status page, in health checks and in every
//! command.

use crate::domain::account::{AccountState, FailureRun};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::metrics::AccountGauges;
use crate::store::AccountRecord;
use crate::words;

/// What is known of an account, from the daemon itself or from the database.
#[derive(Clone, Copy, Debug)]
pub struct AccountSituation<'a> {
    /// Whether its requests go out.
    pub state: AccountState,
    since: Option<UnixMillis>,
    failures: Option<FailureRun>,
    error: Option<&'a str>,
    resume_at: Option<UnixMillis>,
}

impl<'a> AccountSituation<'a> {
    /// As the database has it.
    pub fn of_record(record: &'a AccountRecord) -> Self {
        Self {
            state: record.state,
            since: Some(record.state_since),
            failures: record.failures,
            error: record.last_error.as_deref(),
            resume_at: record.resume_at,
        }
    }

    /// As the daemon knows it.
    pub fn of_gauges(gauges: &'a AccountGauges) -> Self {
        Self {
            state: gauges.state,
            since: gauges.since,
            failures: gauges.failures,
            error: gauges.last_failure.as_ref().map(|(_, e)| e.as_str()),
            resume_at: gauges.resume_at,
        }
    }

    /// Whether the latest request was answered, and the next one may go out.
    pub fn is_well(&self) -> bool {
        self.state == AccountState::Working && self.failures.is_none()
    }

    /// The state and what it means, on one line: `paused: every request fails, …`.
    pub fn describe(&self, now: UnixMillis) -> String {
        match self.explanation(now) {
            Some(explanation) => format!("{}: {explanation}", self.state),
            None => self.state.to_string(),
        }
    }

    /// What the state means and what led to it; None if the account is well.
    pub fn explanation(&self, now: UnixMillis) -> Option<String> {
        if self.is_well() {
            return None;
        }
        let mut parts = Vec::new();
        match self.state {
            AccountState::Working => {}
            AccountState::Held
            | AccountState::Paused
            | AccountState::KeyRefused
            | AccountState::Unknown => parts.push(self.state.meaning().to_owned()),
        }
        if let Some(told) = self.failures_in_words(now) {
            parts.push(told);
        }
        if let Some(at) = self.resume_at {
            parts.push(next_request(at, now));
        }
        Some(parts.join("; "))
    }

    /// The same in few words, where the state stands beside it and the line is short.
    pub fn brief(&self, now: UnixMillis) -> Option<String> {
        if self.is_well() {
            return None;
        }
        let failed = self.failures.map(|run| {
            let failed = words::counted(run.requests.into(), "request");
            format!("{failed} failed in {}", words::span(now.since(run.since)))
        });
        let next = self.resume_at.map(|at| next_request(at, now));
        let error = self.error.map(one_line);
        let parts: Vec<String> = [next, failed, error].into_iter().flatten().collect();
        Some(parts.join("; "))
    }

    /// The run of failures with its last error; without a run, since when the state holds.
    fn failures_in_words(&self, now: UnixMillis) -> Option<String> {
        let error = self.error.map(one_line);
        if let Some(run) = self.failures {
            let failed = words::counted(run.requests.into(), "request");
            let since = words::absolute(run.since, now);
            let error = error.map_or_else(String::new, |error| format!(": {error}"));
            let in_a_row = if run.requests > 1 { " in a row" } else { "" };
            return Some(format!("{failed}{in_a_row} failed since {since}{error}"));
        }
        let since = self.since.filter(|_| self.state.is_stopped());
        match (since, error) {
            (Some(since), Some(error)) => {
                Some(format!("since {}: {error}", words::absolute(since, now)))
            }
            (Some(since), None) => Some(format!("since {}", words::absolute(since, now))),
            (None, Some(error)) => Some(format!("last error: {error}")),
            (None, None) => None,
        }
    }
}

fn next_request(at: UnixMillis, now: UnixMillis) -> String {
    if at <= now {
        "next request at once".to_owned()
    } else {
        format!("next request {}", words::relative(at, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_293_000_000);

    fn of(state: AccountState, failures: Option<u32>) -> AccountSituation<'static> {
        AccountSituation {
            state,
            since: Some(UnixMillis(NOW.0 - 300_000)),
            failures: failures.map(|requests| FailureRun {
                since: UnixMillis(NOW.0 - 65_000),
                requests,
            }),
            error: Some("timed\nout"),
            resume_at: None,
        }
    }

    #[test]
    fn failures_of_a_working_account_are_shown_from_the_first_on() {
        assert_eq!(of(AccountState::Working, None).describe(NOW), "working");
        let told = of(AccountState::Working, Some(1)).describe(NOW);
        assert!(
            told.starts_with("working: 1 request failed since 2026-"),
            "{told}"
        );
        assert!(told.ends_with("(65 s ago): timed out"), "{told}");
    }

    #[test]
    fn every_state_begins_with_its_own_word() {
        for state in AccountState::ALL {
            for failures in [None, Some(8)] {
                let told = of(state, failures).describe(NOW);
                assert!(told.starts_with(state.as_str()), "{told}");
                assert!(!told.contains('\n'), "{told}");
            }
        }
    }

    #[test]
    fn a_time_that_has_passed_means_at_once() {
        let mut paused = of(AccountState::Paused, Some(9));
        paused.resume_at = Some(UnixMillis(NOW.0 - 1));
        assert!(paused.describe(NOW).ends_with("; next request at once"));
        paused.resume_at = Some(UnixMillis(NOW.0 + 180_000));
        assert!(paused.describe(NOW).ends_with("; next request in 3 min"));
    }
}
