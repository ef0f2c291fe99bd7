//! The service's refusals: an object with a code, a message, and the invalid parameter.

use std::time::Duration;

use serde::Deserialize;

use crate::provider::ProviderError;
use crate::provider::http::judge_status;
use crate::provider::service::{ServiceClient, WholeAnswer};
use crate::provider::wire::{Raw, body_text, object, text};

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

/// A refusal as reported, each field on one line; all empty if the body is not from the service
/// itself.
#[derive(Debug, Default)]
pub(super) struct ServiceRefusal {
    /// Whether the object is marked as an error.
    is_error: bool,
    code: String,
    description: String,
    parameter: String,
    /// The wait that the answer requests, in its header or its body.
    wait: Option<Duration>,
}

impl ServiceRefusal {
    /// Parses a body. `service` removes the key from messages, and puts them on one line.
    pub(super) fn read(service: &ServiceClient, answer: &WholeAnswer) -> Self {
        let read =
            |token: Raw<'_>| text(token).map_or_else(String::new, |text| service.words(&text));
        let Some(told) = body_text(&answer.body)
            .ok()
            .and_then(|body| object::<ServiceRefusalWire<'_>>(body).ok())
        else {
            return Self {
                wait: answer.retry_after,
                ..Self::default()
            };
        };
        let millis = text(told.retry_after).and_then(|millis| millis.parse().ok());
        Self {
            is_error: text(told.r#type).as_deref() == Some("error"),
            code: read(told.code),
            description: read(told.description),
            parameter: read(told.parameter),
            wait: service.requested_wait(answer, millis.map(Duration::from_millis)),
        }
    }

    /// Whether the refusal comes from the service itself, not from a gateway.
    pub(super) fn is_from_service(&self) -> bool {
        !self.code.is_empty()
    }

    /// Whether the object is marked as an error, whatever the HTTP status.
    pub(super) fn is_error(&self) -> bool {
        self.is_error
    }

    /// Whether it names this parameter as invalid.
    pub(super) fn is_about(&self, parameter: &str) -> bool {
        self.parameter.eq_ignore_ascii_case(parameter)
    }

    /// Its message, for people.
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

    /// The error for its HTTP status.
    pub(super) fn error(&self, answer: &WholeAnswer) -> ProviderError {
        let words = self.words();
        judge_status(answer.status, self.wait, &words).unwrap_or_else(|| {
            let what = format!("HTTP {}: {words}", answer.status);
            match self.code.as_str() {
                "internal_server_error" => ProviderError::Unavailable { what, wait: None },
                _ => ProviderError::Malformed(what),
            }
        })
    }

    /// The error for a refusal that concerns only the requested order, whatever its HTTP status.
    pub(super) fn about_one_order(&self, answer: &WholeAnswer) -> ProviderError {
        ProviderError::Refused(format!("HTTP {}: {}", answer.status, self.words()))
    }
}
