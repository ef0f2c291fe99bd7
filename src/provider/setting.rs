//! The settings of a provider's accounts under `[account.settings]`: described here, parsed and
//! checked by `config`.

use std::collections::BTreeMap;

/// One setting of a provider. A key that several providers have has the same kind everywhere.
#[derive(Debug)]
pub struct Setting {
    /// Its name: `shop_id`.
    pub key: &'static str,
    /// The accepted values.
    pub kind: SettingKind,
    /// Its default; None = required.
    pub default: Option<&'static str>,
    /// What an account without it cannot do, in words that follow "is not set: "; empty = nothing
    /// to mention.
    pub unset: &'static str,
    /// A short description.
    pub help: &'static str,
}

/// The accepted values of a setting.
#[derive(Debug)]
pub enum SettingKind {
    /// A text in quotes.
    Text {
        /// Whether a text is accepted; not applied to the default.
        is_valid: fn(&str) -> bool,
        /// The description after "expected".
        expected: &'static str,
    },
    /// A number without quotes, kept as a plain decimal.
    Decimal {
        /// The minimum.
        least: f64,
        /// The maximum.
        most: f64,
    },
}

/// The settings of one account: all of its provider's, given or default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// The value of `key`; empty if the provider has no such setting.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

impl FromIterator<(&'static str, String)> for Settings {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
