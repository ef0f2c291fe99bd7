//! The sink that publishes events into a stream of NATS JetStream.
//!
//! The stream holds a prefix of the outbox at every moment: events are published in order, and the server
//! refuses an event that does not follow the one before it. So the last event in the stream is the
//! publisher's position. After a failure the sink connects anew, reads that event, and continues after it.
//!
//! Absent on purpose: a way to skip an event.

mod position;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use self::session::StreamSession;
use super::{Delivered, FeedError, Sink};
use crate::jetstream::{Connector, Message, NatsError};
use crate::store::{RoleHold, Store, StoreError, StoredEvent};

/// Events read, published and acknowledged at a time.
const BATCH: u32 = 2048;
/// How often in a row other publishers may interrupt the chain before the sink pauses.
const INTERRUPTIONS: u32 = 10;

/// Takes the role of the consumer's only holder; None when another process has it.
pub type TakeRole = Arc<
    dyn Fn() -> BoxFuture<'static, Result<Option<Box<dyn RoleHold>>, StoreError>> + Send + Sync,
>;

/// What the sink needs.
#[derive(Clone)]
pub struct StreamSetup {
    /// Connects to the server.
    pub connector: Connector,
    /// The stream; None = the one that has the subject.
    pub stream: Option<String>,
    /// First part of every subject.
    pub subject_prefix: String,
    /// The consumer that the events are acknowledged for.
    pub consumer: String,
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// Takes the role, which the sink holds only while it is connected: so another process may publish
    /// where this one cannot.
    pub take_role: TakeRole,
}

/// Publishes events into a stream.
pub struct StreamSink {
    setup: StreamSetup,
    /// None = not connected.
    session: Option<StreamSession>,
    /// Interruptions by other publishers since an event was stored.
    interruptions: u32,
}

impl StreamSink {
    /// Makes a sink that is not connected yet.
    pub fn new(setup: StreamSetup) -> Self {
        Self {
            setup,
            session: None,
            interruptions: 0,
        }
    }

    /// The session; a new one where there is none, or its connection or role was lost.
    async fn ensure_connected(&mut self) -> Result<&mut StreamSession, FeedError> {
        if let Some(session) = &self.session {
            let held = session.require_role();
            if held.is_err() || session.is_lost() {
                self.session = None;
            }
            held?;
        }
        if self.session.is_none() {
            self.session = Some(StreamSession::open(&self.setup).await?);
        }
        self.session
            .as_mut()
            .ok_or_else(|| FeedError::Stopped("not connected".to_owned()))
    }

    /// Publishes messages, also where other publishers interrupt the chain. Returns how many are stored,
    /// and how many of them were in the stream before.
    async fn publish(&mut self, messages: &[Message<'_>]) -> (usize, usize, Option<NatsError>) {
        let (mut stored, mut duplicates) = (0, 0);
        loop {
            let Some(session) = &mut self.session else {
                return (stored, duplicates, None);
            };
            let Some(chain) = session.chain() else {
                return (stored, duplicates, None);
            };
            let published = chain.publish(&messages[stored..]).await;
            stored += published.stored;
            duplicates += published.duplicates;
            if published.stored > 0 {
                self.interruptions = 0;
            }
            let failure = match published.failure {
                Some(NatsError::Interrupted { .. }) if self.interruptions < INTERRUPTIONS => {
                    self.interruptions += 1;
                    match session.catch_up().await {
                        Ok(true) => continue,
                        // `prepare` finds the position.
                        Ok(false) => None,
                        Err(failure) => Some(failure),
                    }
                }
                failure => failure,
            };
            return (stored, duplicates, failure);
        }
    }
}

#[async_trait]
impl Sink for StreamSink {
    fn batch_size(&self) -> u32 {
        BATCH
    }

    async fn prepare(&mut self) -> Result<Option<i64>, FeedError> {
        let store = Arc::clone(&self.setup.store);
        let consumer = self.setup.consumer.clone();
        let session = self.ensure_connected().await?;
        let resumed = session.resume(store.as_ref(), &consumer).await;
        if resumed.is_err() {
            self.session = None;
        }
        resumed
    }

    async fn deliver(&mut self, events: &[StoredEvent], limit: u64) -> Delivered {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let messages: Vec<Message<'_>> = events.iter().take(limit).map(message_of).collect();
        let (stored, duplicates, failure) = self.publish(&messages).await;
        if duplicates > 0 {
            tracing::info!(
                duplicates,
                "events are in the stream already; they count as published"
            );
        }
        match &failure {
            None => {}
            // The connection works: the chain catches up at the next attempt.
            Some(NatsError::Interrupted { .. }) => self.interruptions = 0,
            Some(_) => self.session = None,
        }
        Delivered {
            events: stored,
            frames: stored as u64,
            failure: failure.map(FeedError::from),
        }
    }
}

fn message_of(event: &StoredEvent) -> Message<'_> {
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
