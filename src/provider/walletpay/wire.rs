//! What Wallet Pay writes, read with leniency: the envelope and the pieces of JSON in it. `order`
//! reads what is inside.
//!
//! Every field is taken as a raw piece first, so a field of a wrong type never spoils the rest and
//! no number goes through a float. A duplicate of a known field is an error: two ids or two states
//! are none. Unknown fields are passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::text::one_line;

/// A field as it stands; None when absent or null.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// The envelope's status. It has grown before: any other word may come.
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

    /// The status that `token` names; None for null, the empty text and what is no text.
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

/// What every answer comes in.
pub(super) struct Envelope<'a> {
    pub(super) word: Option<StatusWord>,
    /// On one line; empty when there is none.
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

/// Reads a whole body.
pub(super) fn envelope(body: &[u8]) -> Result<Envelope<'_>, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())?;
    let wire: EnvelopeWire<'_> = object(body).map_err(|error| error.to_string())?;
    let message = text(wire.message).or_else(|| text(wire.error));
    Ok(Envelope {
        word: StatusWord::read(wire.status),
        message: message.map_or_else(String::new, |words| one_line(&words)),
        data: wire.data,
    })
}

/// What a body of the wrong form is called.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnObject {
    #[error("not a JSON object")]
    OtherJson,
    #[error("broken JSON: {0}")]
    Broken(serde_json::Error),
}

impl NotAnObject {
    /// Whether it is JSON at all, so that what follows it can be trusted.
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::OtherJson => true,
            Self::Broken(error) => error.is_data(),
        }
    }
}

/// Reads an object; serde alone would take an array in its place.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, NotAnObject> {
    if json.trim_ascii_start().starts_with('{') {
        return serde_json::from_str(json).map_err(NotAnObject::Broken);
    }
    match serde_json::from_str::<&RawValue>(json) {
        Ok(_) => Err(NotAnObject::OtherJson),
        Err(error) => Err(NotAnObject::Broken(error)),
    }
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
        .ok_or_else(|| "totalAmount is no count".to_owned())
}

/// `data`, which every success must have.
pub(super) fn required(data: Raw<'_>) -> Result<&RawValue, String> {
    data.ok_or_else(|| "no data in the envelope".to_owned())
}

/// The text of a string, or the digits of a number as they stand. None for the empty text too:
/// nowhere in this API does it mean anything.
pub(super) fn text(token: Raw<'_>) -> Option<Cow<'_, str>> {
    let token = token?.get();
    let inner = token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let text = match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(serde_json::from_str(token).ok()?),
        None if token.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Cow::Borrowed(token),
        None => return None,
    };
    (!text.is_empty()).then_some(text)
}
