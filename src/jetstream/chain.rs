//! A chain of messages: each is stored only directly after the one before it.
//!
//! Every message states the number that the stream's last message must have, and from the second one on
//! also the id of that message; the server refuses it otherwise. Both are needed. With the number alone, a
//! later message could fit by chance where other publishers write into the stream, and the ones before it
//! would be missing. With the id alone, a server that was restarted would refuse every message, since it
//! knows only the ids of its duplicate window.
//!
//! The first message is sent alone. A message that the server recognises as a duplicate is not stored
//! again, so the messages sent after it do not fit; they are sent once its answer has come.

use std::collections::VecDeque;

use async_nats::HeaderMap;
use async_nats::header::{
    NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM,
    NATS_MESSAGE_ID,
};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::error::server_answer;
use super::message::Message;
use super::refusal::LastRefusal;
use super::{ANSWER_WITHIN, BoundStream, Connection, NatsError};
use crate::feed::nats::CONTENT_TYPE;

/// Messages in flight at a time.
const WINDOW: usize = 256;

/// The result of publishing messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// How many messages, from the first on, are in the stream.
    pub stored: usize,
    /// How many of them were in it before.
    pub duplicates: usize,
    /// Why the next one is not in it.
    pub failure: Option<NatsError>,
}

/// A chain of messages that begins at the end of a stream.
pub struct Chain {
    context: Context,
    lost: CancellationToken,
    refusal: LastRefusal,
    stream: String,
    /// The number of the stream's last message.
    last_sequence: u64,
    /// Its id, if this chain has published it.
    last_id: Option<String>,
    /// Messages in flight at a time: one until a message was stored.
    window: usize,
    /// Whether every message was answered, so that it is known which of them are stored.
    all_answered: bool,
}

/// Why no further message was sent.
enum SendingEnd {
    /// There was none.
    Complete,
    /// The last message was a duplicate: those in flight after it do not fit.
    Duplicate,
    Failed(NatsError),
}

impl Chain {
    /// Makes a chain that continues after the stream's message `last_sequence`.
    pub fn new(connection: &Connection, stream: &BoundStream, last_sequence: u64) -> Self {
        Self {
            context: connection.context.clone(),
            lost: connection.lost(),
            refusal: connection.refusal.clone(),
            stream: stream.name().to_owned(),
            last_sequence,
            last_id: None,
            window: 1,
            all_answered: true,
        }
    }

    /// Continues the chain after `last_sequence`, where other publishers have written after its last
    /// message. False when it is not known which of its messages are stored.
    pub fn continue_after(&mut self, last_sequence: u64) -> bool {
        self.last_sequence = last_sequence;
        self.last_id = None;
        self.window = 1;
        self.all_answered
    }

    /// Publishes messages in order. After a failure the end of the stream must be read again.
    pub async fn publish(&mut self, messages: &[Message<'_>]) -> Published {
        let mut published = Published::default();
        while published.stored < messages.len() {
            let (stored, end) = self.send_window(&messages[published.stored..]).await;
            published.stored += stored;
            match end {
                SendingEnd::Complete => {}
                SendingEnd::Duplicate if !self.all_answered => {
                    let why = "not every message was answered".to_owned();
                    published.failure = Some(NatsError::Silent(why));
                    break;
                }
                SendingEnd::Duplicate => published.duplicates += 1,
                SendingEnd::Failed(failure) => {
                    published.failure = Some(failure);
                    break;
                }
            }
        }
        published
    }

    /// Keeps a window of messages in flight until one is a duplicate or fails. Returns how many are stored.
    async fn send_window(&mut self, messages: &[Message<'_>]) -> (usize, SendingEnd) {
        let mut in_flight = VecDeque::with_capacity(self.window);
        let base = self.last_sequence;
        let (mut sent, mut stored) = (0, 0);
        while stored < messages.len() {
            while sent < messages.len() && in_flight.len() < self.window {
                match self.send_message(messages, sent, base).await {
                    Ok(answer) => in_flight.push_back(answer),
                    Err(error) => {
                        let failure = self.explain(&messages[sent], &error);
                        // Those in flight before it may be stored all the same.
                        return (stored, self.fail(failure, in_flight).await);
                    }
                }
                sent += 1;
            }
            let Some(answer) = in_flight.pop_front() else {
                break;
            };
            match self.await_answer(answer).await {
                Ok(ack) if ack.duplicate => {
                    self.window = 1;
                    self.all_answered = self.await_refusals(in_flight).await;
                    return (stored + 1, SendingEnd::Duplicate);
                }
                Ok(ack) => {
                    self.last_sequence = ack.sequence;
                    self.last_id = Some(messages[stored].id.to_owned());
                    self.window = WINDOW;
                    stored += 1;
                }
                Err(error) => {
                    let failure = self.explain(&messages[stored], &error);
                    return (stored, self.fail(failure, in_flight).await);
                }
            }
        }
        (stored, SendingEnd::Complete)
    }

    /// Sends the message at `index`. `base` is the number of the stream's last message before the first.
    async fn send_message(
        &self,
        messages: &[Message<'_>],
        index: usize,
        base: u64,
    ) -> Result<PublishAckFuture, PublishError> {
        let message = &messages[index];
        let id_before = match index.checked_sub(1) {
            Some(before) => Some(messages[before].id),
            None => self.last_id.as_deref(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message.id);
        headers.insert("Content-Type", CONTENT_TYPE);
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        headers.insert(
            NATS_EXPECTED_LAST_SEQUENCE,
            (base + index as u64).to_string().as_str(),
        );
        if let Some(id_before) = id_before {
            headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, id_before);
        }
        let payload = Bytes::copy_from_slice(message.payload.as_bytes());
        let subject = message.subject.to_owned();
        self.context
            .publish_with_headers(subject, headers, payload)
            .await
    }

    /// Waits for an answer, or until the connection fails, since no answer comes then.
    async fn await_answer(&self, answer: PublishAckFuture) -> Result<PublishAck, PublishError> {
        tokio::select! {
            biased;
            ack = answer.into_future() => ack,
            () = self.lost.cancelled() => Err(PublishError::new(PublishErrorKind::BrokenPipe)),
        }
    }

    fn explain(&self, message: &Message<'_>, error: &PublishError) -> NatsError {
        let failure = NatsError::from_publish_error(&self.stream, message, error);
        self.refusal.explain(failure)
    }

    async fn fail(
        &mut self,
        failure: NatsError,
        in_flight: VecDeque<PublishAckFuture>,
    ) -> SendingEnd {
        self.all_answered = false;
        if failure.is_answer() {
            self.all_answered = self.await_refusals(in_flight).await;
        }
        SendingEnd::Failed(failure)
    }

    /// Waits until nothing is in flight, so that the end of the stream does not change after it is read.
    /// False when a message was stored, or its answer did not come.
    async fn await_refusals(&self, in_flight: VecDeque<PublishAckFuture>) -> bool {
        let all = async {
            let mut all_refused = true;
            for answer in in_flight {
                all_refused &= match self.await_answer(answer).await {
                    // A duplicate is sent again.
                    Ok(ack) => ack.duplicate,
                    Err(error) => server_answer(&error).is_some(),
                };
            }
            all_refused
        };
        let answered = tokio::time::timeout(ANSWER_WITHIN, all).await;
        answered.unwrap_or(false)
    }
}
