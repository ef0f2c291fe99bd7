//! The envelope of every answer of Crypto Pay: `{"ok":true,"result":…}` or
//! `{"ok":false,"error":{"code","name"}}`.
//!
//! The HTTP status takes precedence. If it is a success but the answer is not, the error's `code`
//! takes its place. A 400 of the API names an invalid parameter. A 500 sometimes does too, but
//! cannot be distinguished from a failure of the service.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::provider::ProviderError;
use crate::provider::http::judge_status;
use crate::provider::service::{ServiceClient, WholeAnswer};
use crate::provider::wire::{Raw, body_text, boolean, object, text};

/// 403 with this name: the method is not enabled for the app. The key is valid.
const METHOD_DISABLED: &str = "METHOD_DISABLED";

/// Why there is no result.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A parameter is invalid; holds the error's name.
    Parameter(String),
    /// Anything else.
    Error(ProviderError),
}

impl From<Refusal> for ProviderError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Parameter(name) => Self::Refused(name),
            Refusal::Error(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct ResultWire<'a> {
    #[serde(borrow)]
    ok: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct ErrorWire<'a> {
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
}

/// The result of a success.
pub(super) fn result<'a>(
    service: &ServiceClient,
    answer: &'a WholeAnswer,
) -> Result<&'a RawValue, Refusal> {
    let malformed = |what: String| Refusal::Error(ProviderError::Malformed(what));
    let is_success = matches!(answer.status, 200..=299);
    let wire = body_text(&answer.body)
        .and_then(|body| object::<ResultWire<'_>>(body).map_err(|error| error.to_string()));
    let wire = match wire {
        Ok(wire) => wire,
        Err(what) if is_success => return Err(malformed(what)),
        Err(_) => return Err(Refusal::Error(by_status(answer.status, answer, ""))),
    };
    if is_success && boolean(wire.ok) == Some(true) {
        let none = || malformed("success without a result".into());
        return wire.result.ok_or_else(none);
    }
    let (code, name) = code_and_name(wire.error);
    let name = service.words(&name);
    let status = if is_success {
        code
    } else {
        Some(answer.status)
    };
    match status {
        None => Err(malformed("neither a success nor an error".into())),
        Some(400) if !name.is_empty() => Err(Refusal::Parameter(name)),
        Some(403) if name == METHOD_DISABLED => Err(Refusal::Error(ProviderError::Refused(name))),
        Some(status) => Err(Refusal::Error(by_status(status, answer, &name))),
    }
}

fn by_status(status: u16, answer: &WholeAnswer, words: &str) -> ProviderError {
    judge_status(status, answer.retry_after, words)
        .unwrap_or_else(|| ProviderError::Malformed(format!("an error with the code {status}")))
}

/// An error's code and name; the error may be a plain text.
fn code_and_name(error: Raw<'_>) -> (Option<u16>, String) {
    let wire = error.and_then(|error| object::<ErrorWire<'_>>(error.get()).ok());
    match wire {
        Some(wire) => (
            text(wire.code).and_then(|code| code.parse().ok()),
            text(wire.name).unwrap_or_default().into_owned(),
        ),
        None => (None, text(error).unwrap_or_default().into_owned()),
    }
}
