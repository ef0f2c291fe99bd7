//! Why a message cannot be published, and what to do about it.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

use super::message::Message;

/// Why a message cannot be published. No error makes the publisher skip a message; it retries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// The credential or the file of certificates cannot be used.
    #[error("{0}")]
    Credential(String),
    /// No server answers.
    #[error("NATS server {servers} cannot be reached: {why}")]
    Unreachable { servers: String, why: String },
    /// The server refused the credential.
    #[error("NATS server {servers} refused the credential; check nats.credentials_file")]
    Refused { servers: String },
    /// The credential has not the right to do this. `why` in the server's words.
    #[error(
        "NATS server refused a request: {why}; give the publisher the rights listed in docs/nats.md"
    )]
    Denied { why: String },
    /// JetStream is not enabled.
    #[error("no JetStream on the NATS server, or none for this account; enable it there")]
    NoJetStream,
    /// The stream does not exist. `add` is the command that creates it.
    #[error("{what}; make it, for example: {add}")]
    NoStream { what: String, add: String },
    /// The connection failed, or an answer did not come in time.
    #[error("NATS server stopped answering: {0}")]
    Silent(String),
    /// No stream has the subject: it was deleted, or JetStream is not enabled.
    #[error(
        "no stream takes subject {subject}, or JetStream is not enabled; the stream's subjects must cover it"
    )]
    NotTaken { subject: String },
    /// The stream, or the server's storage, is full. `why` in the server's words.
    #[error("stream {stream} is full ({why}); raise its limits or purge it")]
    Full { stream: String, why: String },
    /// The event is larger than the stream or the server allows.
    #[error(
        "event {id} has {bytes} bytes, too many: {why}; raise max_payload of the server and the stream's maximum message size"
    )]
    TooLarge {
        id: String,
        bytes: usize,
        why: String,
    },
    /// Another program published into the stream between two messages of the chain.
    #[error(
        "stream {stream} is published into by others at the same time; give payrecond a stream of its own"
    )]
    Interrupted { stream: String },
    /// Another error of the server, in its words.
    #[error("stream {stream}: {why}")]
    Other { stream: String, why: String },
}

impl NatsError {
    /// Converts the error of a message that was not stored.
    pub(super) fn from_publish_error(
        stream: &str,
        message: &Message<'_>,
        error: &PublishError,
    ) -> Self {
        let too_large = |why: String| Self::TooLarge {
            id: message.id.to_owned(),
            bytes: message.payload.len(),
            why,
        };
        match error.kind() {
            PublishErrorKind::StreamNotFound => Self::NotTaken {
                subject: message.subject.to_owned(),
            },
            PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => {
                Self::Interrupted {
                    stream: stream.to_owned(),
                }
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Self::Silent(error.to_string())
            }
            PublishErrorKind::MaxPayloadExceeded => too_large(error.to_string()),
            PublishErrorKind::MaxAckPending | PublishErrorKind::Other => match server_answer(error)
            {
                Some(answer) => Self::from_answer(stream, answer, too_large),
                None => Self::Silent(error.to_string()),
            },
        }
    }

    fn from_answer(
        stream: &str,
        answer: &jetstream::Error,
        too_large: impl FnOnce(String) -> Self,
    ) -> Self {
        let stream = stream.to_owned();
        let why = without_codes(answer);
        match answer.error_code() {
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => too_large(why),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Self::Interrupted { stream },
            ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Self::Full { stream, why },
            _ => Self::Other { stream, why },
        }
    }

    /// Whether it is an answer of the server, so that the connection still works.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Full { .. }
            | Self::TooLarge { .. }
            | Self::Interrupted { .. }
            | Self::Other { .. } => true,
            Self::Credential(_)
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Denied { .. }
            | Self::NoJetStream
            | Self::NoStream { .. }
            | Self::Silent(_)
            | Self::NotTaken { .. } => false,
        }
    }
}

/// The answer of the server that an error contains, if any.
pub(super) fn server_answer<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e jetstream::Error> {
    error.source()?.downcast_ref::<jetstream::Error>()
}

/// The text of an answer, without its codes.
fn without_codes(answer: &jetstream::Error) -> String {
    let text = answer.to_string();
    let before_codes = text.rsplit_once(" (code ").map(|(text, _)| text);
    before_codes.unwrap_or(&text).to_owned()
}
