//! Reads one section of the configuration key by key. A value that is not accepted is recorded as a
//! problem and reading goes on, so that all problems are reported at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::duration;
use super::error::{Problem, shown};
use super::table::SettingsTable;
use super::text;

/// A table of settings with its defaults. Every reader returns some value of its type after a
/// problem; it is never used, since problems end the loading.
pub(super) struct Section<'a> {
    path: String,
    values: Option<&'a SettingsTable>,
    defaults: Option<&'a SettingsTable>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        path: impl Into<String>,
        values: Option<&'a SettingsTable>,
        defaults: Option<&'a SettingsTable>,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self {
            path: path.into(),
            values,
            defaults,
            problems,
        }
    }

    /// Reads a value through `convert`; `expected` describes what it accepts.
    fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&ValueKind) -> Option<T>,
    ) -> Option<T> {
        self.read_or_report(key, |kind| {
            convert(kind).ok_or_else(|| format!("expected {expected}"))
        })
    }

    fn read_or_report<T>(
        &mut self,
        key: &str,
        convert: impl FnOnce(&ValueKind) -> Result<T, String>,
    ) -> Option<T> {
        let missing = Value::new(None, ValueKind::Nil);
        let own = self.values.and_then(|values| values.get(key));
        let value = own.or_else(|| self.defaults?.get(key)).unwrap_or(&missing);
        match convert(&value.kind) {
            Ok(converted) => Some(converted),
            Err(message) => {
                self.problems.push(Problem {
                    path: format!("{}.{key}", self.path),
                    value: shown(value),
                    origin: value.origin().map(str::to_owned),
                    message,
                });
                None
            }
        }
    }

    /// Whether `key` was set: a default has no origin.
    pub(super) fn is_given(&self, key: &str) -> bool {
        let own = self.values.and_then(|values| values.get(key));
        own.is_some_and(|value| value.origin().is_some())
    }

    /// Reads a value through `convert`, whose error is the message.
    pub(super) fn value<T>(
        &mut self,
        key: &str,
        convert: impl FnOnce(&ValueKind) -> Result<T, String>,
    ) -> Option<T> {
        self.read_or_report(key, convert)
    }

    /// Records a problem with a value that is valid alone but does not fit the others.
    pub(super) fn refuse(&mut self, key: &str, message: String) {
        self.read_or_report::<()>(key, |_| Err(message));
    }

    /// Reads a string by `rule`.
    pub(super) fn text<T>(&mut self, key: &str, rule: &text::Rule<T>) -> Option<T> {
        self.text_that(key, rule, |_| Ok(()))
    }

    /// Reads a string by `rule` and checks it with `others`, whose error is the reason.
    pub(super) fn text_that<T>(
        &mut self,
        key: &str,
        rule: &text::Rule<T>,
        others: impl FnOnce(&T) -> Result<(), String>,
    ) -> Option<T> {
        self.read_or_report(key, |kind| {
            let converted = match kind {
                ValueKind::String(text) => (rule.convert)(text),
                _ => Err("not a string in quotes".to_owned()),
            };
            let held = converted.and_then(|value| others(&value).map(|()| value));
            held.map_err(|why| match why.as_str() {
                "" => format!("expected {}", rule.expected),
                why => format!("{why}; expected {}", rule.expected),
            })
        })
    }

    /// Reads one of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
        let expected = match names.as_slice() {
            [only] => only.clone(),
            _ => format!("one of {}", names.join(", ")),
        };
        self.read(key, &expected, |kind| match kind {
            ValueKind::String(text) => words
                .iter()
                .find(|(name, _)| name == text)
                .map(|(_, word)| *word),
            _ => None,
        })
    }

    pub(super) fn boolean(&mut self, key: &str) -> bool {
        self.read(key, "true or false", |kind| match kind {
            ValueKind::Boolean(value) => Some(*value),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn float(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.read(key, &expected, |kind| {
            let number = match kind {
                ValueKind::Float(number) => *number,
                ValueKind::I64(number) => f64::from(i32::try_from(*number).ok()?),
                _ => return None,
            };
            range.contains(&number).then_some(number)
        })
        .unwrap_or_default()
    }

    pub(super) fn integer<T>(&mut self, key: &str, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Default + std::fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, &expected, |kind| match kind {
            ValueKind::I64(number) => T::try_from(*number)
                .ok()
                .filter(|number| range.contains(number)),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let expected = duration::expected(&range);
        self.read(key, &expected, |kind| duration_within(kind, &range))
            .unwrap_or_default()
    }

    /// Reads a duration; the empty string means never.
    pub(super) fn duration_or_never(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let expected = format!("{}; or \"\" for never", duration::expected(&range));
        self.read(key, &expected, |kind| match kind {
            ValueKind::String(text) if text.is_empty() => Some(None),
            _ => duration_within(kind, &range).map(Some),
        })
        .flatten()
    }

    /// Reads a list of durations, sorted, each once.
    pub(super) fn durations(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        max_len: usize,
    ) -> Vec<Duration> {
        let expected = format!(
            "a list of at most {max_len}, each {}",
            duration::expected(&range)
        );
        let mut found: Vec<Duration> = self
            .read(key, &expected, |kind| match kind {
                ValueKind::Array(items) if items.len() <= max_len => items
                    .iter()
                    .map(|item| duration_within(&item.kind, &range))
                    .collect(),
                _ => None,
            })
            .unwrap_or_default();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn duration_within(kind: &ValueKind, range: &RangeInclusive<Duration>) -> Option<Duration> {
    match kind {
        ValueKind::String(text) => duration::parse(text).filter(|found| range.contains(found)),
        _ => None,
    }
}
