//! What keeps events from a stream, in words that say what to do.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

use super::message::Message;

/// Why nothing can be published. Nothing is ever skipped for it: the publisher waits and tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// The credential, or the file of certificates, cannot be used.
    #[error("{0}")]
    Credential(String),
    /// No server answers.
    #[error("NATS server {servers} cannot be reached: {why}")]
    Unreachable { servers: String, why: String },
    /// The server does not accept the credential.
    #[error("NATS server {servers} refused the credential; check nats.credentials_file")]
    Refused { servers: String },
    /// JetStream is off.
    #[error("no JetStream on the NATS server, or none for this account; enable it there")]
    NoJetStream,
    /// There is no such stream. `add` is the line that makes one.
    #[error("{what}; make it, for example: {add}")]
    NoStream { what: String, add: String },
    /// The connection failed, or an answer did not come in time.
    #[error("NATS server stopped answering: {0}")]
    Silent(String),
    /// Nobody takes the subject: the stream is gone, or JetStream is off.
    #[error(
        "no stream takes subject {subject}, or JetStream is not enabled; the stream's subjects must cover it"
    )]
    NotTaken { subject: String },
    /// The stream has no room: `why` in the server's words.
    #[error("stream {stream} is full ({why}); raise its limits or purge it")]
    Full { stream: String, why: String },
    /// The event is longer than the stream or the server allows.
    #[error(
        "event {id} has {bytes} bytes, too many: {why}; raise max_payload of the server and the stream's maximum message size"
    )]
    TooLarge {
        id: String,
        bytes: usize,
        why: String,
    },
    /// Another program published into the stream meanwhile.
    #[error(
        "stream {stream} is published into by others at the same time; give payrecond a stream of its own"
    )]
    Crowded { stream: String },
    /// Another answer of the server, in its words.
    #[error("stream {stream}: {why}")]
    Other { stream: String, why: String },
}

impl NatsError {
    /// What a refused message tells.
    pub(super) fn of_publish(stream: &str, message: &Message<'_>, error: &PublishError) -> Self {
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
                Self::crowded(stream)
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Self::Silent(error.to_string())
            }
            PublishErrorKind::MaxPayloadExceeded => too_large(error.to_string()),
            PublishErrorKind::MaxAckPending | PublishErrorKind::Other => match answer_of(error) {
                Some(answer) => Self::of_answer(stream, answer, too_large),
                None => Self::Silent(error.to_string()),
            },
        }
    }

    fn of_answer(
        stream: &str,
        answer: &jetstream::Error,
        too_large: impl FnOnce(String) -> Self,
    ) -> Self {
        let stream = stream.to_owned();
        let why = words(answer);
        match answer.error_code() {
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => too_large(why),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Self::Crowded { stream },
            ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Self::Full { stream, why },
            _ => Self::Other { stream, why },
        }
    }

    pub(super) fn crowded(stream: &str) -> Self {
        Self::Crowded {
            stream: stream.to_owned(),
        }
    }

    /// Whether the server has answered, so that the connection can be used on.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Full { .. }
            | Self::TooLarge { .. }
            | Self::Crowded { .. }
            | Self::Other { .. } => true,
            Self::Credential(_)
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::NoJetStream
            | Self::NoStream { .. }
            | Self::Silent(_)
            | Self::NotTaken { .. } => false,
        }
    }
}

/// The server's own answer in an error, where there is one.
pub(super) fn answer_of<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e jetstream::Error> {
    error.source()?.downcast_ref::<jetstream::Error>()
}

/// The server's words, without its codes.
fn words(answer: &jetstream::Error) -> String {
    let text = answer.to_string();
    let before_codes = text.rsplit_once(" (code ").map(|(words, _)| words);
    before_codes.unwrap_or(&text).to_owned()
}
