//! The state of an account: one vocabulary for the database, metrics, health, pages and commands.

use std::fmt;

/// Whether an account's requests go out. Written to `accounts.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// They do.
    #[default]
    Working,
    /// The provider asked for a pause.
    Held,
    /// Every request fails, the harmless one too: probes only.
    Paused,
    /// The provider refuses the key: probes only.
    KeyRefused,
    /// Invoices name the account, the configuration does not.
    Unknown,
}

impl AccountState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::Held,
        Self::Paused,
        Self::KeyRefused,
        Self::Unknown,
    ];
    /// Those that an account of the configuration can be in.
    pub const CONFIGURED: [Self; 4] = [Self::Working, Self::Held, Self::Paused, Self::KeyRefused];

    /// The word in the database and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::KeyRefused => "key_refused",
            Self::Unknown => "unknown",
        }
    }

    /// The state that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether no request goes out but probes.
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
