//! The envelope of every answer: `status`, which is not the invoice's, and `result`, which is an
//! object, an array or a map of errors, depending on the call and its outcome. A refused key may
//! also come as `{"detail": …}`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::text::one_line;
use crate::provider::ProviderError;
use crate::provider::http::judge_status;
use crate::provider::service::{ServiceClient, WholeAnswer};
use crate::provider::wire::{self, Raw};

/// Invoice fields of a creation request. An error under any other name may be a failure of the
/// service.
const INVOICE_FIELDS: [&str; 10] = [
    "amount",
    "currency",
    "order_id",
    "email",
    "add_fields",
    "time_to_pay",
    "email_to_send",
    "available_currencies",
    "cryptocurrency",
    "period",
];
/// The error about a key, which comes with an HTTP status that does not indicate it.
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

/// The body of an answer, known to be JSON of the right form.
struct CloudEnvelope<'a> {
    is_success: bool,
    result: Raw<'a>,
    /// The service's errors, by field.
    complaints: Vec<(String, String)>,
}

impl<'a> CloudEnvelope<'a> {
    /// Parses the envelope of `answer`; the error explains why it has none.
    fn read(answer: &'a WholeAnswer) -> Result<Self, String> {
        let body = wire::body_text(&answer.body)?;
        let told: CloudEnvelopeWire<'_> = wire::object(body).map_err(|error| error.to_string())?;
        let is_success = match wire::word(told.status).as_deref() {
            Some("success") => true,
            Some("error") => false,
            Some(other) => return Err(format!("unexpected status {}", one_line(other))),
            None if told.detail.is_some() => false,
            None => return Err("answer without a status".into()),
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

    /// Whether the service reports an error for `field`.
    fn complains_about(&self, field: &str) -> bool {
        self.complaints.iter().any(|(about, _)| about == field)
    }

    fn complains_about_an_invoice(&self) -> bool {
        INVOICE_FIELDS
            .iter()
            .any(|field| self.complains_about(field))
    }

    /// The errors on one line.
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

/// `{"amount": "amount not passed."}`, a plain text, or `{"detail": "Invalid token."}`.
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
    /// The service refuses the request and names the invalid field.
    Complaint {
        /// Its message, on one line, without the key.
        words: String,
        /// Whether the field belongs to the invoice: the project's id comes from the configuration.
        is_about_invoice: bool,
    },
    /// The answer says nothing about the request itself.
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

/// The `result` of a success. Precedence: HTTP 401, 403, 429 and 5xx, whatever the body; then an
/// error about the key; then the envelope's status.
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
        is_about_invoice: envelope.complains_about_an_invoice()
            && !envelope.complains_about("shop_id"),
        words: if words.is_empty() {
            "error without a reason".into()
        } else {
            words
        },
    }
}
