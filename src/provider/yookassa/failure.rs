//! What the service says when it refuses: one object with a code, words, and the parameter at fault.

use std::time::Duration;

use serde::Deserialize;

use crate::provider::ProviderError;
use crate::provider::http::judge_status;
use crate::provider::service::WholeAnswer;
use crate::provider::wire::{Raw, body_text, object, text};

/// Longest wait that a body may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

#[derive(Deserialize)]
struct ServiceRefusalWire<'a> {
    #[serde(borrow)]
    r#type: Raw<'a>,
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow)]
    description: Raw<'a>,
    #[serde(borrow)]
    parameter: Raw<'a>,
    /// In milliseconds.
    #[serde(borrow)]
    retry_after: Raw<'a>,
}

/// A refusal as it was told, on one line each; all empty when it is none of the service's own.
#[derive(Debug, Default)]
pub(super) struct ServiceRefusal {
    /// Whether the object says that it is an error.
    is_error: bool,
    code: String,
    description: String,
    parameter: String,
    wait: Option<Duration>,
}

impl ServiceRefusal {
    /// Reads a body. `harmless` takes the key out of words, and puts them on one line.
    pub(super) fn read(body: &[u8], harmless: impl Fn(&str) -> String) -> Self {
        let read = |token: Raw<'_>| text(token).map_or_else(String::new, |text| harmless(&text));
        let Some(told) = body_text(body)
            .ok()
            .and_then(|body| object::<ServiceRefusalWire<'_>>(body).ok())
        else {
            return Self::default();
        };
        Self {
            is_error: text(told.r#type).as_deref() == Some("error"),
            code: read(told.code),
            description: read(told.description),
            parameter: read(told.parameter),
            wait: text(told.retry_after)
                .and_then(|millis| millis.parse().ok())
                .map(|millis| Duration::from_millis(millis).min(LONGEST_WAIT)),
        }
    }

    /// Whether the service itself speaks, not some gateway.
    pub(super) fn is_told(&self) -> bool {
        !self.code.is_empty()
    }

    /// Whether the object says that it is an error, whatever the HTTP status.
    pub(super) fn is_error(&self) -> bool {
        self.is_error
    }

    /// Whether it names this parameter as the one at fault.
    pub(super) fn is_about(&self, parameter: &str) -> bool {
        self.parameter.eq_ignore_ascii_case(parameter)
    }

    /// Its words, for people.
    pub(super) fn words(&self) -> String {
        let mut words = self.code.clone();
        if !self.description.is_empty() {
            words.push_str(": ");
            words.push_str(&self.description);
        }
        if !self.parameter.is_empty() {
            words.push_str(" (parameter ");
            words.push_str(&self.parameter);
            words.push(')');
        }
        words
    }

    /// What it means by its HTTP status.
    pub(super) fn error(&self, answer: &WholeAnswer) -> ProviderError {
        let wait = answer.retry_after.or(self.wait);
        let words = self.words();
        judge_status(answer.status, wait, &words).unwrap_or_else(|| {
            let what = format!("HTTP {}: {words}", answer.status);
            match self.code.as_str() {
                "internal_server_error" => ProviderError::Unavailable { what, wait: None },
                _ => ProviderError::Malformed(what),
            }
        })
    }

    /// A refusal that concerns what was asked about and nothing else, whatever its HTTP status.
    pub(super) fn about_one_order(&self, answer: &WholeAnswer) -> ProviderError {
        ProviderError::Refused(format!("HTTP {}: {}", answer.status, self.words()))
    }
}
