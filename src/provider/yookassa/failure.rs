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
            words.push_str(&format!(" (parameter {})", self.parameter));
        }
        words
    }

    /// What it means by its HTTP status.
    pub(super) fn error(&self, answer: &WholeAnswer) -> ProviderError {
        let wait = answer.retry_after.or(self.wait);
        judge_status(answer.status, wait, &self.words()).unwrap_or_else(|| {
            ProviderError::Malformed(format!("unexpected HTTP {}", answer.status))
        })
    }

    /// A refusal that concerns what was asked about and nothing else, whatever its HTTP status.
    pub(super) fn about_one_order(&self, answer: &WholeAnswer) -> ProviderError {
        ProviderError::Refused(format!("HTTP {}: {}", answer.status, self.words()))
    }
}
