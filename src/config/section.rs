//! One section of the configuration, read key by key: a value that cannot be taken is noted, and
//! reading goes on, so that all problems are told at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::duration;
use super::error::{Problem, shown};
use super::shape::Table;
use super::text;

/// A table of settings with its defaults. Every reader returns some value of its type after a
/// problem; it is never used, since problems end the loading.
pub(super) struct Section<'a> {
    path: String,
    values: Option<&'a Table>,
    defaults: Option<&'a Table>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        path: impl Into<String>,
        values: Option<&'a Table>,
        defaults: Option<&'a Table>,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self {
            path: path.into(),
            values,
            defaults,
            problems,
        }
    }

    /// A value through `convert`; `accepted` says in words what it takes.
    fn read<T>(
        &mut self,
        key: &str,
        accepted: &str,
        convert: impl FnOnce(&ValueKind) -> Option<T>,
    ) -> Option<T> {
        self.read_or_say(key, |kind| {
            convert(kind).ok_or_else(|| format!("accepted is {accepted}"))
        })
    }

    fn read_or_say<T>(
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

    /// Whether somebody set `key`: a default has no origin.
    pub(super) fn is_given(&self, key: &str) -> bool {
        let own = self.values.and_then(|values| values.get(key));
        own.is_some_and(|value| value.origin().is_some())
    }

    /// A value through `convert`, whose error says what is accepted.
    pub(super) fn value<T>(
        &mut self,
        key: &str,
        convert: impl FnOnce(&ValueKind) -> Result<T, String>,
    ) -> Option<T> {
        self.read_or_say(key, convert)
    }

    /// Notes a problem with a value that was read well but does not fit the others.
    pub(super) fn refuse(&mut self, key: &str, message: String) {
        self.read_or_say::<()>(key, |_| Err(message));
    }

    /// A text through `rule`.
    pub(super) fn text<T>(&mut self, key: &str, rule: &text::Rule<T>) -> Option<T> {
        self.text_that(key, rule, |_| Ok(()))
    }

    /// A text through `rule` that also holds against `others`, whose error is the reason.
    pub(super) fn text_that<T>(
        &mut self,
        key: &str,
        rule: &text::Rule<T>,
        others: impl FnOnce(&T) -> Result<(), String>,
    ) -> Option<T> {
        self.read_or_say(key, |kind| {
            let converted = match kind {
                ValueKind::String(text) => (rule.convert)(text),
                _ => Err("not a text in quotes".to_owned()),
            };
            let held = converted.and_then(|value| others(&value).map(|()| value));
            held.map_err(|why| match why.as_str() {
                "" => format!("accepted is {}", rule.accepted),
                why => format!("{why}; accepted is {}", rule.accepted),
            })
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
        let accepted = match names.as_slice() {
            [only] => only.clone(),
            _ => format!("one of {}", names.join(", ")),
        };
        self.read(key, &accepted, |kind| match kind {
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
        let accepted = format!("a number from {} to {}", range.start(), range.end());
        self.read(key, &accepted, |kind| {
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
        let accepted = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, &accepted, |kind| match kind {
            ValueKind::I64(number) => T::try_from(*number)
                .ok()
                .filter(|number| range.contains(number)),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let accepted = duration::accepted(&range);
        self.read(key, &accepted, |kind| duration_within(kind, &range))
            .unwrap_or_default()
    }

    /// A duration; the empty text means never.
    pub(super) fn duration_or_never(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let accepted = format!("{}; or \"\" for never", duration::accepted(&range));
        self.read(key, &accepted, |kind| match kind {
            ValueKind::String(text) if text.is_empty() => Some(None),
            _ => duration_within(kind, &range).map(Some),
        })
        .flatten()
    }

    /// A list of durations, in rising order, each once.
    pub(super) fn durations(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        max_len: usize,
    ) -> Vec<Duration> {
        let accepted = format!(
            "a list of at most {max_len}, each {}",
            duration::accepted(&range)
        );
        let mut found: Vec<Duration> = self
            .read(key, &accepted, |kind| match kind {
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
