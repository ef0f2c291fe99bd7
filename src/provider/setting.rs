//! What a provider's accounts may set under `[account.settings]`: described here, read and checked by
//! `config`.

use std::collections::BTreeMap;

/// One setting of a provider. A key that several providers have is of one kind at all of them.
#[derive(Debug)]
pub struct Setting {
    /// Its name: `shop_id`.
    pub key: &'static str,
    /// What it accepts.
    pub kind: SettingKind,
    /// Its value when it is left out; None = it must be given.
    pub default: Option<&'static str>,
    /// What it is, in a few words.
    pub help: &'static str,
}

/// What a setting accepts.
#[derive(Debug)]
pub enum SettingKind {
    /// A text in quotes.
    Text {
        /// Whether a text is accepted; the default is not asked about.
        is_valid: fn(&str) -> bool,
        /// In words, after "expected".
        expected: &'static str,
    },
    /// A number without quotes, kept as a plain decimal.
    Decimal {
        /// The least one.
        least: f64,
        /// The greatest one.
        most: f64,
    },
}

/// The settings of one account: every one that its provider has, given or default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// The value of `key`; the empty text where the provider has no such setting.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

impl FromIterator<(&'static str, String)> for Settings {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
