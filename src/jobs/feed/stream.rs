//! The sink that publishes into a stream of NATS JetStream.
//!
//! At any moment the stream is a part of the outbox from its beginning on. Where it ends, the stream itself
//! tells: its last message is an event of the outbox, byte for byte. After a failure the sink connects
//! anew, asks, and goes on from there, whatever was acknowledged here:
//!
//! - The stream is ahead: an answer was lost, and so was our acknowledgement. It is made up for.
//! - The stream is behind: it has lost events at its end, and is filled again.
//! - It has no event of ours: it was purged, or is new. What was acknowledged is not sent again.
//!
//! An event is compared whole, not by its id: after a database was put back from a copy, an old id comes
//! again with a higher number, and what was written between the two must not be passed over.
//! Absent on purpose: any way to skip an event.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::Deserialize;

use super::{Delivered, FeedError, Sink};
use crate::jetstream::{
    BoundStream, Chain, Connection, Connector, Message, NatsError, StreamMessage,
};
use crate::store::{RoleHold, Store, StoreError, StoredEvent};

/// Events read, published and acknowledged at a time.
const BATCH: u32 = 2048;
/// Messages of others that are passed over, from the end of the stream, in search of one of ours.
const SEARCHED_MESSAGES: u64 = 100_000;
/// Messages asked for at a time in that search.
const SEARCHED_AT_ONCE: u64 = 64;
/// How often in a row others may come between before the sink pauses.
const CROWDED_TIMES: u32 = 10;

/// Takes the role of the consumer's only holder; None when another process has it.
pub type TakeRole = Arc<
    dyn Fn() -> BoxFuture<'static, Result<Option<Box<dyn RoleHold>>, StoreError>> + Send + Sync,
>;

/// What the sink needs.
#[derive(Clone)]
pub struct StreamSetup {
    /// Where the server is.
    pub connector: Connector,
    /// The stream; None = the one that has the subject.
    pub stream: Option<String>,
    /// First part of every subject.
    pub subject_prefix: String,
    /// The consumer whose place it is.
    pub consumer: String,
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// Held while the sink is connected, so that another process may try where this one cannot.
    pub take_role: TakeRole,
}

/// Publishes events into a stream.
pub struct StreamSink {
    setup: StreamSetup,
    session: Option<StreamSession>,
    /// How often others have come between since the last success.
    crowded: u32,
}

/// A connection, and what is known by it.
struct StreamSession {
    role: Box<dyn RoleHold>,
    connection: Connection,
    stream: BoundStream,
    /// None = it is not known which event is the last in the stream.
    chain: Option<Chain>,
}

/// The part of an event that tells its place in the outbox.
#[derive(Deserialize)]
struct Sequenced {
    sequence: String,
}

/// The last event of ours in a stream.
struct LastEvent {
    seq: i64,
    /// Whether what came after it in the stream would still be there: then it lost what it does not have.
    nothing_deleted: bool,
}

impl StreamSink {
    /// A sink that is not connected yet.
    pub fn new(setup: StreamSetup) -> Self {
        Self {
            setup,
            session: None,
            crowded: 0,
        }
    }

    /// The session, connected and bound.
    async fn connected(&mut self) -> Result<&mut StreamSession, FeedError> {
        if let Some(session) = &self.session {
            let held = session.role.require_held();
            if held.is_err() || session.connection.is_lost() {
                self.session = None;
            }
            held?;
        }
        if self.session.is_none() {
            self.session = Some(self.open().await?);
        }
        self.session
            .as_mut()
            .ok_or_else(|| FeedError::Stopped("not connected".to_owned()))
    }

    async fn open(&self) -> Result<StreamSession, FeedError> {
        let setup = &self.setup;
        let Some(role) = (setup.take_role)().await? else {
            return Err(FeedError::Standby(setup.consumer.clone()));
        };
        let connection = setup.connector.connect().await?;
        let stream = connection
            .bind(setup.stream.as_deref(), &setup.subject_prefix)
            .await?;
        let servers = setup.connector.servers();
        tracing::info!(servers, stream = stream.name(), "connected to JetStream");
        Ok(StreamSession {
            role,
            connection,
            stream,
            chain: None,
        })
    }
}

#[async_trait]
impl Sink for StreamSink {
    fn batch(&self) -> u32 {
        BATCH
    }

    async fn ready(&mut self) -> Result<Option<i64>, FeedError> {
        let store = Arc::clone(&self.setup.store);
        let consumer = self.setup.consumer.clone();
        let session = self.connected().await?;
        let resumed = session.resume(store.as_ref(), &consumer).await;
        if resumed.is_err() {
            self.session = None;
        }
        resumed
    }

    async fn deliver(&mut self, events: &[StoredEvent], left: u64) -> Delivered {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        let messages: Vec<Message<'_>> = events.iter().take(wanted).map(message).collect();
        let (mut held, mut duplicates) = (0, 0);
        let failure = loop {
            let Some(session) = &mut self.session else {
                break None;
            };
            let Some(chain) = &mut session.chain else {
                break None;
            };
            let published = chain.publish(&messages[held..]).await;
            held += published.held;
            duplicates += published.duplicates;
            if published.held > 0 {
                self.crowded = 0;
            }
            match published.failure {
                None => break None,
                Some(NatsError::Crowded { .. }) if self.crowded < CROWDED_TIMES => {
                    self.crowded += 1;
                    match session.catch_up().await {
                        Ok(true) => {}
                        // `ready` finds the place.
                        Ok(false) => break None,
                        Err(failure) => break Some(failure),
                    }
                }
                Some(failure) => break Some(failure),
            }
        };
        if duplicates > 0 {
            tracing::info!(
                duplicates,
                "stream has events already; each counts as published"
            );
        }
        match &failure {
            None => {}
            // The chain catches up at the next attempt.
            Some(NatsError::Crowded { .. }) => self.crowded = 0,
            Some(_) => self.session = None,
        }
        Delivered {
            events: held,
            frames: held as u64,
            failure: failure.map(FeedError::from),
        }
    }
}

impl StreamSession {
    /// Makes sure that there is a chain at the end of the stream. Where it had to find out which event is
    /// the last there, that one is returned.
    async fn resume(
        &mut self,
        store: &dyn Store,
        consumer: &str,
    ) -> Result<Option<i64>, FeedError> {
        if self.chain.is_some() {
            return Ok(None);
        }
        // The end is asked for before the message: what is stored in between does not fit then.
        let position = self.stream.position().await?;
        let last = match self.stream.last_message().await? {
            Some(message) => {
                let from = message.sequence.min(position.last_sequence);
                let is_end = from == position.last_sequence;
                self.last_event(store, from).await?.map(|seq| LastEvent {
                    seq,
                    nothing_deleted: is_end || position.is_whole,
                })
            }
            None => None,
        };
        self.chain = Some(Chain::new(
            &self.connection,
            &self.stream,
            position.last_sequence,
        ));
        // Another process may have published since this one began.
        let acknowledged = store.consumer(consumer).await?;
        Ok(Some(self.place(last.as_ref(), acknowledged)))
    }

    /// Lets the chain continue behind messages that others published. False when some message of ours
    /// has no answer: the last event in the stream must be searched for.
    ///
    /// Little time may pass until the next message is published, or others come between again.
    async fn catch_up(&mut self) -> Result<bool, NatsError> {
        let position = self.stream.position().await?;
        let continues = self
            .chain
            .as_mut()
            .is_some_and(|chain| chain.continue_after(position.last_sequence));
        if !continues {
            self.chain = None;
        }
        Ok(continues)
    }

    fn place(&self, last: Option<&LastEvent>, acknowledged: i64) -> i64 {
        let stream = self.stream.name();
        match last {
            Some(last) if last.seq >= acknowledged => last.seq,
            Some(last) if last.nothing_deleted => {
                let (seq, acknowledged) = (last.seq, acknowledged);
                tracing::warn!(
                    stream,
                    seq,
                    acknowledged,
                    "stream lacks events that it had acknowledged; publishing them again"
                );
                last.seq
            }
            Some(_) | None => {
                tracing::info!(
                    stream,
                    acknowledged,
                    "stream does not end with an event of this database; going on after the last acknowledged one"
                );
                acknowledged
            }
        }
    }

    /// The newest message, from the number `last` back, that is an event of this outbox: its place there.
    async fn last_event(&self, store: &dyn Store, last: u64) -> Result<Option<i64>, FeedError> {
        let first_kept = store.first_seq().await?;
        let oldest = last.saturating_sub(SEARCHED_MESSAGES).max(1);
        let mut last = last;
        let mut first = last;
        loop {
            for message in &self.stream.messages(first, last).await? {
                let Some(seq) = sequence_of(message) else {
                    continue;
                };
                if is_in_outbox(store, seq, message).await? {
                    return Ok(Some(seq));
                }
                if seq < first_kept {
                    // Deleted by retention, like all before it: acknowledged, too.
                    return Ok(None);
                }
            }
            if first <= oldest {
                return Ok(None);
            }
            // Usually the first one is it.
            last = first - 1;
            first = last.saturating_sub(SEARCHED_AT_ONCE - 1).max(oldest);
        }
    }
}

/// The place in an outbox that a message bears, if it is an event.
fn sequence_of(message: &StreamMessage) -> Option<i64> {
    let event: Sequenced = serde_json::from_slice(&message.payload).ok()?;
    event.sequence.parse().ok()
}

async fn is_in_outbox(
    store: &dyn Store,
    seq: i64,
    message: &StreamMessage,
) -> Result<bool, StoreError> {
    let events = store.events_after(seq.saturating_sub(1), 1).await?;
    let is_it =
        |event: &StoredEvent| event.seq == seq && event.payload.as_bytes() == message.payload;
    Ok(events.first().is_some_and(is_it))
}

fn message(event: &StoredEvent) -> Message<'_> {
    Message {
        subject: &event.subject,
        id: &event.event_id,
        payload: &event.payload,
    }
}

impl From<NatsError> for FeedError {
    fn from(error: NatsError) -> Self {
        Self::Stopped(error.to_string())
    }
}
