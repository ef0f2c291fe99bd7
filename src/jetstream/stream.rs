//! The stream that the publisher binds to. It is never made or changed here.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamByNameErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, RawMessageError, Stream};
use bytes::Bytes;
use futures::future::try_join_all;

use super::error::answer_of;
use super::{Connection, NatsError};

/// A stream that exists.
pub struct BoundStream {
    stream: Stream<()>,
    name: String,
    prefix: String,
}

/// Where a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// The highest number ever given to a message of it.
    pub last_sequence: u64,
    /// Whether every message between the first and the last number is there: none was deleted.
    pub is_whole: bool,
}

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamMessage {
    /// Its number.
    pub sequence: u64,
    /// Its content.
    pub payload: Bytes,
}

impl Connection {
    /// Binds to `stream`, or to the one that has the subjects of `prefix`.
    ///
    /// # Errors
    /// `NoStream` with the line that makes one; `NoJetStream`; `Silent`.
    pub async fn bind(&self, stream: Option<&str>, prefix: &str) -> Result<BoundStream, NatsError> {
        let name = match stream {
            Some(name) => name.to_owned(),
            None => self.stream_of(prefix).await?,
        };
        let stream = self
            .context
            .get_stream_no_info(&name)
            .await
            .map_err(|error| NatsError::Silent(error.to_string()))?;
        let bound = BoundStream {
            stream,
            name,
            prefix: prefix.to_owned(),
        };
        bound.info().await?;
        Ok(bound)
    }

    async fn stream_of(&self, prefix: &str) -> Result<String, NatsError> {
        let subject = format!("{prefix}.>");
        let found = self.context.stream_by_subject(&subject).await;
        found.map_err(|error| match error.kind() {
            GetStreamByNameErrorKind::NotFound => NatsError::NoStream {
                what: format!("no stream has subject {subject}"),
                add: stream_add_line(None, prefix),
            },
            // The client tells no difference between a silent server and one without JetStream.
            _ if !self.context.client().server_info().jetstream => NatsError::NoJetStream,
            _ => NatsError::Silent(error.to_string()),
        })
    }
}

impl BoundStream {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it ends. Asked of its leader.
    pub async fn position(&self) -> Result<StreamPosition, NatsError> {
        let state = self.info().await?.state;
        let numbers = (state.last_sequence + 1).saturating_sub(state.first_sequence);
        Ok(StreamPosition {
            last_sequence: state.last_sequence,
            is_whole: state.messages == 0 || numbers == state.messages,
        })
    }

    /// The last message with a subject of ours.
    pub async fn last_message(&self) -> Result<Option<StreamMessage>, NatsError> {
        let subject = format!("{}.>", self.prefix);
        let found = self.stream.get_last_raw_message_by_subject(&subject).await;
        self.message(found)
    }

    /// The messages with the numbers from `first` to `last` that are there, the last one first.
    pub async fn messages(&self, first: u64, last: u64) -> Result<Vec<StreamMessage>, NatsError> {
        let each = (first..=last).rev().map(|sequence| async move {
            let found = self.stream.get_raw_message(sequence).await;
            self.message(found)
        });
        let found = try_join_all(each).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn message(
        &self,
        found: Result<async_nats::jetstream::message::StreamMessage, RawMessageError>,
    ) -> Result<Option<StreamMessage>, NatsError> {
        match found {
            Ok(message) => Ok(Some(StreamMessage {
                sequence: message.sequence,
                payload: message.payload,
            })),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(answer) => Err(NatsError::Other {
                    stream: self.name.clone(),
                    why: answer.to_string(),
                }),
                LastRawMessageErrorKind::InvalidSubject | LastRawMessageErrorKind::Other => {
                    Err(NatsError::Silent(error.to_string()))
                }
            },
        }
    }

    pub(super) async fn info(&self) -> Result<Info, NatsError> {
        let info = self.stream.get_info().await;
        info.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &RequestError) -> NatsError {
        if error.kind() == RequestErrorKind::NoResponders {
            return NatsError::NoJetStream;
        }
        let Some(answer) = answer_of(error) else {
            return NatsError::Silent(error.to_string());
        };
        match answer.error_code() {
            ErrorCode::STREAM_NOT_FOUND => NatsError::NoStream {
                what: format!("there is no stream {}", self.name),
                add: stream_add_line(Some(&self.name), &self.prefix),
            },
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                NatsError::NoJetStream
            }
            _ => NatsError::Other {
                stream: self.name.clone(),
                why: answer.to_string(),
            },
        }
    }

    /// Counts of messages by subject, of at most `limit` subjects.
    pub(super) async fn subjects(&self, limit: usize) -> Result<Vec<(String, usize)>, NatsError> {
        use futures::TryStreamExt as _;
        let counts = self.stream.info_with_subjects(">").await;
        let mut counts = counts.map_err(|error| self.failed(&error))?;
        let mut found = Vec::new();
        while found.len() < limit {
            let next = counts.try_next().await;
            match next.map_err(|error| self.failed(&error))? {
                Some(count) => found.push(count),
                None => break,
            }
        }
        Ok(found)
    }
}

/// The command of the NATS command line that makes a fitting stream.
pub fn stream_add_line(name: Option<&str>, prefix: &str) -> String {
    let name = name.map_or_else(
        || prefix.to_uppercase().replace('.', "_"),
        ToOwned::to_owned,
    );
    format!(
        "nats stream add {name} --subjects '{prefix}.>' --storage file --replicas 1 --retention limits --discard new \
         --max-age 30d --dupe-window 2m --defaults (--replicas 3 in a cluster)"
    )
}
