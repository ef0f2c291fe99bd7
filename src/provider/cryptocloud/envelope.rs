//! What every answer comes in: `status`, which is not the invoice's, and `result`, which is an object, an
//! array or a map of complaints, by call and outcome. Refused keys also come as `{"detail": …}`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::text::one_line;
use crate::provider::ProviderError;
use crate::provider::http::judge_status;
use crate::provider::service::{ServiceClient, WholeAnswer};
use crate::provider::wire::{self, Raw};

/// The complaint about a key, under a status that says nothing of it.
const KEY_COMPLAINT: &str = "authorization";

#[derive(Deserialize)]
struct CloudEnvelopeWire<'a> {
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    detail: Raw<'a>,
}

/// An answer's body, once it is known to be JSON of the right form.
struct CloudEnvelope<'a> {
    is_success: bool,
    result: Raw<'a>,
    /// What the service complains about, by field.
    complaints: Vec<(String, String)>,
}

impl<'a> CloudEnvelope<'a> {
    /// The envelope of `answer`; the error says why there is none.
    fn read(answer: &'a WholeAnswer) -> Result<Self, String> {
        let body = wire::body_text(&answer.body)?;
        let told: CloudEnvelopeWire<'_> = wire::object(body).map_err(|error| error.to_string())?;
        let is_success = match wire::word(told.status).as_deref() {
            Some("success") => true,
            Some("error") => false,
            Some(other) => return Err(format!("unexpected status {}", one_line(other))),
            None if told.detail.is_some() => false,
            None => return Err("no status in the envelope".into()),
        };
        let complaints = if is_success {
            Vec::new()
        } else {
            complaints(told.result, told.detail)
        };
        Ok(Self {
            is_success,
            result: told.result,
            complaints,
        })
    }

    /// Whether the service complains about `field`.
    fn complains_about(&self, field: &str) -> bool {
        self.complaints.iter().any(|(about, _)| about == field)
    }

    fn names_a_field(&self) -> bool {
        self.complaints.iter().any(|(about, _)| !about.is_empty())
    }

    /// The complaints on one line.
    fn words(&self) -> String {
        let each = self.complaints.iter().map(|(field, words)| {
            if field.is_empty() {
                words.clone()
            } else {
                format!("{field}: {words}")
            }
        });
        each.collect::<Vec<_>>().join("; ")
    }
}

/// `{"amount": "amount not passed."}`, a text, or `{"detail": "Invalid token."}`.
fn complaints(result: Raw<'_>, detail: Raw<'_>) -> Vec<(String, String)> {
    let words = |token: &RawValue| {
        wire::text(Some(token)).map_or_else(|| token.get().to_owned(), Cow::into_owned)
    };
    let by_field = result.map(|result| wire::object::<BTreeMap<String, &RawValue>>(result.get()));
    let mut complaints: Vec<(String, String)> = match (by_field, result) {
        (Some(Ok(fields)), _) => fields
            .into_iter()
            .map(|(field, token)| (field, words(token)))
            .collect(),
        (_, Some(result)) => vec![(String::new(), words(result))],
        (_, None) => Vec::new(),
    };
    complaints.extend(detail.map(|detail| (String::new(), words(detail))));
    complaints
}

/// Why an answer is no success.
pub(super) enum Failure {
    /// The service refuses what was asked, and says which field is at fault.
    Complaint {
        /// Its words, on one line, without the key.
        words: String,
        /// It names a field of the invoice: not the project's id, which is configured.
        is_about_invoice: bool,
    },
    /// Nothing was said about what was asked.
    Error(ProviderError),
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Complaint { words, .. } => Self::Refused(words),
            Failure::Error(error) => error,
        }
    }
}

/// The `result` of a success. Which word wins: HTTP 401, 403, 429 and 5xx whatever the body; then the
/// complaint about the key; then the envelope's status.
pub(super) fn result<'a>(
    service: &ServiceClient,
    answer: &'a WholeAnswer,
) -> Result<&'a RawValue, Failure> {
    let envelope = CloudEnvelope::read(answer);
    let words = envelope
        .as_ref()
        .map_or_else(|_| String::new(), |told| service.words(&told.words()));
    let by_status = judge_status(answer.status, answer.retry_after, &words);
    let envelope = match (by_status, envelope) {
        (Some(ProviderError::Refused(_)), Ok(told)) if !told.is_success => told,
        (Some(error), _) => return Err(Failure::Error(error)),
        (None, Err(what)) => return Err(Failure::Error(ProviderError::Malformed(what))),
        (None, Ok(told)) => told,
    };
    if !envelope.is_success {
        return Err(refusal(&envelope, words));
    }
    let none = || Failure::Error(ProviderError::Malformed("no result in the envelope".into()));
    envelope.result.ok_or_else(none)
}

fn refusal(envelope: &CloudEnvelope<'_>, words: String) -> Failure {
    if envelope.complains_about(KEY_COMPLAINT) {
        return Failure::Error(ProviderError::KeyRefused(words));
    }
    Failure::Complaint {
        is_about_invoice: envelope.names_a_field() && !envelope.complains_about("shop_id"),
        words: if words.is_empty() {
            "error without a reason".into()
        } else {
            words
        },
    }
}
