//! The envelope of Wallet Pay's answers. `order` parses its content.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::text::one_line;
use crate::provider::wire::{Raw, body_text, object, text};

/// The envelope's status. The set has grown before, so any other value may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StatusWord {
    Success,
    Already,
    Conflict,
    AccessDenied,
    InvalidRequest,
    InternalError,
    /// On one line.
    Other(String),
}

impl StatusWord {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Success => "SUCCESS",
            Self::Already => "ALREADY",
            Self::Conflict => "CONFLICT",
            Self::AccessDenied => "ACCESS_DENIED",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InternalError => "INTERNAL_ERROR",
            Self::Other(word) => word,
        }
    }

    /// The status in `token`; None for null, an empty text, or another type.
    pub(super) fn read(token: Raw<'_>) -> Option<Self> {
        let word = text(token)?;
        Some(match &*word {
            "SUCCESS" => Self::Success,
            "ALREADY" => Self::Already,
            "CONFLICT" => Self::Conflict,
            "ACCESS_DENIED" => Self::AccessDenied,
            "INVALID_REQUEST" => Self::InvalidRequest,
            "INTERNAL_ERROR" => Self::InternalError,
            other => Self::Other(one_line(other)),
        })
    }
}

/// The envelope of every answer.
pub(super) struct Envelope<'a> {
    pub(super) word: Option<StatusWord>,
    /// On one line; empty if there is none.
    pub(super) message: String,
    pub(super) data: Raw<'a>,
}

#[derive(Deserialize)]
struct EnvelopeWire<'a> {
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    /// Not documented; seen in a client's fixture of a 401.
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    data: Raw<'a>,
}

/// Parses a whole body.
pub(super) fn envelope(body: &[u8]) -> Result<Envelope<'_>, String> {
    let wire: EnvelopeWire<'_> = object(body_text(body)?).map_err(|error| error.to_string())?;
    let message = text(wire.message).or_else(|| text(wire.error));
    Ok(Envelope {
        word: StatusWord::read(wire.status),
        message: message.map_or_else(String::new, |words| one_line(&words)),
        data: wire.data,
    })
}

/// `data.totalAmount`.
pub(super) fn total_amount(data: Raw<'_>) -> Result<u64, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct AmountWire<'a> {
        #[serde(borrow)]
        total_amount: Raw<'a>,
    }
    let wire: AmountWire<'_> = object(required(data)?.get()).map_err(|error| error.to_string())?;
    text(wire.total_amount)
        .filter(|count| count.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| "totalAmount is not a count".to_owned())
}

/// `data`, which every success must have.
pub(super) fn required(data: Raw<'_>) -> Result<&RawValue, String> {
    data.ok_or_else(|| "answer without data".to_owned())
}
