//! The stream that the publisher binds to. Absent: creating or changing a stream.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamByNameErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, RawMessageError, Stream};
use bytes::Bytes;
use futures::future::try_join_all;

use super::error::server_answer;
use super::refusal::LastRefusal;
use super::{Connection, NatsError};

/// A stream that exists at the server.
pub struct BoundStream {
    stream: Stream<()>,
    name: String,
    prefix: String,
    refusal: LastRefusal,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// The highest number ever given to a message of the stream.
    pub last_sequence: u64,
    /// Whether no message between the first and the last number was deleted.
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
    /// `NoStream` with the command that creates one; `NoJetStream`; `Denied`; `Silent`.
    pub async fn bind(&self, stream: Option<&str>, prefix: &str) -> Result<BoundStream, NatsError> {
        let name = match stream {
            Some(name) => name.to_owned(),
            None => self.find_stream(prefix).await?,
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
            refusal: self.refusal.clone(),
        };
        bound.fetch_info().await?;
        Ok(bound)
    }

    /// Finds the name of the stream that has the subjects of `prefix`.
    async fn find_stream(&self, prefix: &str) -> Result<String, NatsError> {
        let subject = format!("{prefix}.>");
        let found = self.context.stream_by_subject(&subject).await;
        found.map_err(|error| match error.kind() {
            GetStreamByNameErrorKind::NotFound => NatsError::NoStream {
                what: format!("no stream has subject {subject}"),
                add: stream_add_line(None, prefix),
            },
            // The error of the library is the same for a silent server and one without JetStream.
            _ if !self.context.client().server_info().jetstream => NatsError::NoJetStream,
            _ => self.refusal.explain(NatsError::Silent(error.to_string())),
        })
    }
}

impl BoundStream {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fetches the end of the stream from its leader.
    pub async fn fetch_end(&self) -> Result<StreamEnd, NatsError> {
        let state = self.fetch_info().await?.state;
        let numbers = (state.last_sequence + 1).saturating_sub(state.first_sequence);
        Ok(StreamEnd {
            last_sequence: state.last_sequence,
            is_whole: state.messages == 0 || numbers == state.messages,
        })
    }

    /// Fetches the last message whose subject begins with the prefix.
    pub async fn fetch_last_message(&self) -> Result<Option<StreamMessage>, NatsError> {
        let subject = format!("{}.>", self.prefix);
        let found = self.stream.get_last_raw_message_by_subject(&subject).await;
        self.convert_message(found)
    }

    /// Fetches the messages with the numbers from `first` to `last` that exist, the last one first.
    pub async fn fetch_messages(
        &self,
        first: u64,
        last: u64,
    ) -> Result<Vec<StreamMessage>, NatsError> {
        let each = (first..=last).rev().map(|sequence| async move {
            let found = self.stream.get_raw_message(sequence).await;
            self.convert_message(found)
        });
        let found = try_join_all(each).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn convert_message(
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
                    let error = NatsError::Silent(error.to_string());
                    Err(self.refusal.explain(error))
                }
            },
        }
    }

    pub(super) async fn fetch_info(&self) -> Result<Info, NatsError> {
        let info = self.stream.get_info().await;
        info.map_err(|error| self.convert_error(&error))
    }

    fn convert_error(&self, error: &RequestError) -> NatsError {
        if error.kind() == RequestErrorKind::NoResponders {
            return NatsError::NoJetStream;
        }
        let Some(answer) = server_answer(error) else {
            let error = NatsError::Silent(error.to_string());
            return self.refusal.explain(error);
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

    /// Counts messages by subject, for at most `limit` subjects.
    pub(super) async fn count_by_subject(
        &self,
        limit: usize,
    ) -> Result<Vec<(String, usize)>, NatsError> {
        use futures::TryStreamExt as _;
        let counts = self.stream.info_with_subjects(">").await;
        let mut counts = counts.map_err(|error| self.convert_error(&error))?;
        let mut found = Vec::new();
        while found.len() < limit {
            let next = counts.try_next().await;
            match next.map_err(|error| self.convert_error(&error))? {
                Some(count) => found.push(count),
                None => break,
            }
        }
        Ok(found)
    }
}

/// The command of the NATS command line that creates a suitable stream.
pub fn stream_add_line(name: Option<&str>, prefix: &str) -> String {
    let name = name.map_or_else(
        || prefix.to_uppercase().replace('.', "_"),
        ToOwned::to_owned,
    );
    format!(
        "nats stream add {name} --subjects '{prefix}.>' --storage file --replicas 1 --retention limits --discard new \
         --max-age 30d --dupe-window 2m --defaults"
    )
}
