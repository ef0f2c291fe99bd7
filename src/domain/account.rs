//! The state of an account: one vocabulary for the database, metrics, health, pages and commands.

use std::fmt;

use super::time::UnixMillis;

/// Whether an account's requests go out. Written to `accounts.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// Requests go out.
    #[default]
    Working,
    /// The provider requested a pause.
    Held,
    /// Every request fails, including the probe; only probes go out.
    Paused,
    /// The provider refuses the API key; only probes go out.
    KeyRefused,
    /// Invoices name the account, but the configuration does not have it.
    Unknown,
}

impl AccountState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::Held,
        Self::Paused,
        Self::KeyRefused,
        Self::Unknown,
    ];
    /// States that a configured account can be in.
    pub const CONFIGURED: [Self; 4] = [Self::Working, Self::Held, Self::Paused, Self::KeyRefused];

    /// The name in the database and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::KeyRefused => "key_refused",
            Self::Unknown => "unknown",
        }
    }

    /// Parses the name that `as_str` returns.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// What the state means, in a few words for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Working => "requests go out",
            Self::Held => "the provider asked for a pause (Retry-After)",
            Self::Paused => "every request fails, so only probes go out",
            Self::KeyRefused => "the provider refuses the API key, so only probes go out",
            Self::Unknown => "the account is not in the configuration, so its invoices wait",
        }
    }

    /// Whether the state began with the first of the failed requests that led to it.
    pub fn counts_from_failures(self) -> bool {
        match self {
            Self::Paused => true,
            Self::Working | Self::Held | Self::KeyRefused | Self::Unknown => false,
        }
    }

    /// Whether only probes go out.
    pub fn is_stopped(self) -> bool {
        match self {
            Self::Paused | Self::KeyRefused => true,
            Self::Working | Self::Held | Self::Unknown => false,
        }
    }
}

/// Requests of an account that failed one after the other, without an answer between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRun {
    /// When the first of them failed.
    pub since: UnixMillis,
    /// Their number.
    pub requests: u32,
}

impl FailureRun {
    /// The run after another failure at `now`.
    pub fn extended(run: Option<Self>, now: UnixMillis) -> Self {
        let (since, before) = run.map_or((now, 0), |run| (run.since, run.requests));
        Self {
            since,
            requests: before.saturating_add(1),
        }
    }
}

impl fmt::Display for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_failures_counts_from_its_first() {
        let first = FailureRun::extended(None, UnixMillis(10));
        let second = FailureRun::extended(Some(first), UnixMillis(20));
        assert_eq!((second.since, second.requests), (UnixMillis(10), 2));
    }

    #[test]
    fn words_read_back() {
        for state in AccountState::ALL {
            assert_eq!(AccountState::parse(state.as_str()), Some(state));
        }
        assert_eq!(AccountState::parse("WORKING"), None);
    }
}
