//! Errors of a configuration, for the person who wrote it.

use std::fmt;

use ::config::{Value, ValueKind};

/// Longest value shown in a message, in characters.
const SHOWN_CHARS: usize = 120;

/// A configuration that cannot be used: every problem found, one line each. The process ends with
/// exit code 78.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    pub(super) fn one(problem: impl Into<String>) -> Self {
        Self {
            problems: vec![problem.into()],
        }
    }

    pub(super) fn many(problems: impl IntoIterator<Item: fmt::Display>) -> Self {
        let problems = problems.into_iter();
        Self {
            problems: problems.map(|problem| problem.to_string()).collect(),
        }
    }

    /// The problems, one line each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// One value that is not accepted.
#[derive(Debug)]
pub(super) struct Problem {
    /// Its path in the configuration: `account[0].base_url`.
    pub path: String,
    /// The value as text, sanitized for display.
    pub value: String,
    /// The file and line, or the variable, that it came from.
    pub origin: Option<String>,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.path, self.value)?;
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A value as written in the file, truncated when long.
pub(super) fn shown(value: &Value) -> String {
    let text = match &value.kind {
        ValueKind::Nil => "nothing".to_owned(),
        ValueKind::Boolean(value) => value.to_string(),
        ValueKind::I64(value) => value.to_string(),
        ValueKind::I128(value) => value.to_string(),
        ValueKind::U64(value) => value.to_string(),
        ValueKind::U128(value) => value.to_string(),
        ValueKind::Float(value) => format!("{value:?}"),
        ValueKind::String(text) => format!("{:?}", without_credentials(text)),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
    };
    cut(text)
}

/// An address without what may be secret in it: user, password, query, and a bot's token.
fn without_credentials(text: &str) -> String {
    match text.split_once("/bot") {
        Some((before, after)) if after.contains(':') => {
            format!("{}/bot…", without_user(before))
        }
        Some(_) | None => without_user(text),
    }
}

fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => text.to_owned(),
        };
    };
    let (before_query, query) = match rest.split_once('?') {
        Some((before, _)) => (before, "?…"),
        None => (rest, ""),
    };
    match before_query.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{query}"),
        None => format!("{scheme}://{before_query}{query}"),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Whether a setting's name suggests a secret. Its value is not shown then: people put keys in the
/// wrong place.
pub(super) fn suggests_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "secret", "token", "password"]
        .iter()
        .any(|word| name.contains(word))
}
