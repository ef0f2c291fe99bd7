//! The state of an account: one vocabulary for the database, metrics, health, pages and commands.

use std::fmt;

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

    /// Whether only probes go out.
    pub fn is_stopped(self) -> bool {
        match self {
            Self::Paused | Self::KeyRefused => true,
            Self::Working | Self::Held | Self::Unknown => false,
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
    fn words_read_back() {
        for state in AccountState::ALL {
            assert_eq!(AccountState::parse(state.as_str()), Some(state));
        }
        assert_eq!(AccountState::parse("WORKING"), None);
    }
}
