//! Publishing in order: each message names the number that the stream must have reached, and from the
//! second on the message that must be its last.
//!
//! The number alone is not enough: where others publish too, a later link would fit by chance and the
//! ones before it would be missing. The message before alone is not enough either: a server that was
//! restarted knows only the ids of its duplicate window.
//!
//! The first message goes alone. A message that the server knows already makes the stream no longer, so
//! that what follows it would not fit: it is followed only after its answer.

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

use super::error::answer_of;
use super::message::Message;
use super::{ANSWER_WITHIN, BoundStream, Connection, NatsError};
use crate::feed::nats::CONTENT_TYPE;

/// Messages in flight at a time.
const WINDOW: usize = 256;

/// How far publishing came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// How many messages, from the first on, are in the stream.
    pub held: usize,
    /// How many of them were in it already.
    pub duplicates: usize,
    /// Why the next one is not.
    pub failure: Option<NatsError>,
}

/// A chain of messages, from an end of the stream on.
pub struct Chain {
    context: Context,
    lost: CancellationToken,
    stream: String,
    /// The number of the stream's last message.
    last_sequence: u64,
    /// Its id, when this chain has published it.
    last_id: Option<String>,
    /// Messages in flight at a time: one until a message was stored.
    window: usize,
    /// Every message that was sent has been answered as expected: what is in the stream is known.
    is_sound: bool,
}

/// How a part of the messages ended.
enum RoundEnd {
    Complete,
    /// The last one was in the stream already: what was in flight behind it does not fit.
    Duplicate,
    Failed(NatsError),
}

impl Chain {
    /// A chain that goes on after the stream's message `last_sequence`.
    pub fn new(connection: &Connection, stream: &BoundStream, last_sequence: u64) -> Self {
        Self {
            context: connection.context.clone(),
            lost: connection.lost(),
            stream: stream.name().to_owned(),
            last_sequence,
            last_id: None,
            window: 1,
            is_sound: true,
        }
    }

    /// Goes on after `last_sequence`, the stream's end by now: others have published behind the last
    /// message of ours. False when it is not known which that is.
    pub fn continue_after(&mut self, last_sequence: u64) -> bool {
        self.last_sequence = last_sequence;
        self.last_id = None;
        self.window = 1;
        self.is_sound
    }

    /// Publishes messages in order. After a failure the stream must be asked anew where it ends.
    pub async fn publish(&mut self, messages: &[Message<'_>]) -> Published {
        let mut published = Published {
            held: 0,
            duplicates: 0,
            failure: None,
        };
        while published.held < messages.len() {
            let (held, end) = self.round(&messages[published.held..]).await;
            published.held += held;
            match end {
                RoundEnd::Complete => {}
                RoundEnd::Duplicate if !self.is_sound => {
                    let why = "no answer to every message".to_owned();
                    published.failure = Some(NatsError::Silent(why));
                    break;
                }
                RoundEnd::Duplicate => published.duplicates += 1,
                RoundEnd::Failed(failure) => {
                    published.failure = Some(failure);
                    break;
                }
            }
        }
        published
    }

    /// Publishes until a message is a duplicate or fails. Returns how many are in the stream.
    async fn round(&mut self, messages: &[Message<'_>]) -> (usize, RoundEnd) {
        let mut in_flight = VecDeque::with_capacity(self.window);
        let base = self.last_sequence;
        let (mut sent, mut held) = (0, 0);
        while held < messages.len() {
            while sent < messages.len() && in_flight.len() < self.window {
                match self.send(messages, sent, base).await {
                    Ok(answer) => in_flight.push_back(answer),
                    Err(error) => {
                        let failure = NatsError::of_publish(&self.stream, &messages[sent], &error);
                        // Those before it may be in the stream all the same.
                        return (held, self.failed(failure, in_flight).await);
                    }
                }
                sent += 1;
            }
            let Some(answer) = in_flight.pop_front() else {
                break;
            };
            match self.answer(answer).await {
                Ok(ack) if ack.duplicate => {
                    self.window = 1;
                    self.is_sound = self.drain(in_flight).await;
                    return (held + 1, RoundEnd::Duplicate);
                }
                Ok(ack) => {
                    self.last_sequence = ack.sequence;
                    self.last_id = Some(messages[held].id.to_owned());
                    self.window = WINDOW;
                    held += 1;
                }
                Err(error) => {
                    let failure = NatsError::of_publish(&self.stream, &messages[held], &error);
                    return (held, self.failed(failure, in_flight).await);
                }
            }
        }
        (held, RoundEnd::Complete)
    }

    /// Sends the message at `index`, `base` being the stream's end before the first.
    async fn send(
        &self,
        messages: &[Message<'_>],
        index: usize,
        base: u64,
    ) -> Result<PublishAckFuture, PublishError> {
        let message = &messages[index];
        let before = match index.checked_sub(1) {
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
        if let Some(before) = before {
            headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, before);
        }
        let payload = Bytes::copy_from_slice(message.payload.as_bytes());
        let subject = message.subject.to_owned();
        self.context
            .publish_with_headers(subject, headers, payload)
            .await
    }

    /// Waits for an answer, at most until the connection fails: then none comes any more.
    async fn answer(&self, answer: PublishAckFuture) -> Result<PublishAck, PublishError> {
        tokio::select! {
            biased;
            ack = answer.into_future() => ack,
            () = self.lost.cancelled() => Err(PublishError::new(PublishErrorKind::BrokenPipe)),
        }
    }

    async fn failed(
        &mut self,
        failure: NatsError,
        in_flight: VecDeque<PublishAckFuture>,
    ) -> RoundEnd {
        self.is_sound = false;
        if failure.is_answer() {
            self.is_sound = self.drain(in_flight).await;
        }
        RoundEnd::Failed(failure)
    }

    /// Waits until nothing is in flight, so that what the stream tells next is its end. False when an
    /// answer did not come, or a message was stored.
    async fn drain(&self, in_flight: VecDeque<PublishAckFuture>) -> bool {
        let all = async {
            let mut is_refused = true;
            for answer in in_flight {
                is_refused &= match self.answer(answer).await {
                    // A duplicate is sent again.
                    Ok(ack) => ack.duplicate,
                    Err(error) => answer_of(&error).is_some(),
                };
            }
            is_refused
        };
        let drained = tokio::time::timeout(ANSWER_WITHIN, all).await;
        drained.unwrap_or(false)
    }
}
