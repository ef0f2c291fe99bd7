//! The sink that publishes events into a stream of NATS JetStream.
//!
//! The stream holds a prefix of the outbox at every moment: events are published in order, and the server
//! refuses an event that does not follow the one before it. So the last event in the stream is the
//! publisher's position. After a failure the sink connects anew, reads that event, and continues after it.
//! Where other publishers write in between, it reads only the end of the stream, and is offered the rest of
//! the same events.
//!
//! Absent on purpose: a way to skip an event.

mod position;
mod session;

use std::sync::Arc;

use async_trait::async_trait;

use self::session::StreamSession;
use super::{Delivered, FeedError, Sink};
use crate::jetstream::{Connector, Message, NatsError, Published};
use crate::store::{Store, StoredEvent};

/// Events read, published and acknowledged at a time.
const BATCH: u32 = 2048;
/// How often in a row other publishers may interrupt the chain before the sink pauses.
const INTERRUPTIONS: u32 = 10;

/// What the sink needs.
#[derive(Clone)]
pub struct StreamSetup {
    /// Connects to the server.
    pub connector: Connector,
    /// The stream; None = the one that has the subject.
    pub stream: Option<String>,
    /// First part of every subject.
    pub subject_prefix: String,
    /// The outbox.
    pub store: Arc<dyn Store>,
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

    /// The session; a new one where there is none, or its connection was lost.
    async fn ensure_connected(&mut self) -> Result<&mut StreamSession, FeedError> {
        if self.session.as_ref().is_some_and(StreamSession::is_lost) {
            self.session = None;
        }
        if self.session.is_none() {
            self.session = Some(StreamSession::open(&self.setup).await?);
        }
        self.session
            .as_mut()
            .ok_or_else(|| FeedError::Stopped("not connected".to_owned()))
    }

    /// Publishes messages. Without a chain none is published, and `prepare` makes one.
    async fn publish(&mut self, messages: &[Message<'_>]) -> Published {
        match self.session.as_mut().and_then(StreamSession::chain) {
            Some(chain) => chain.publish(messages).await,
            None => Published::default(),
        }
    }

    /// What a failure means for the session, and for the delivery.
    fn handle_failure(&mut self, failure: NatsError) -> Option<FeedError> {
        let Some(session) = &mut self.session else {
            return Some(failure.into());
        };
        if !matches!(failure, NatsError::Interrupted { .. }) {
            self.session = None;
            return Some(failure.into());
        }
        // The connection works: `prepare` continues the chain.
        session.interrupt();
        self.interruptions += 1;
        if self.interruptions <= INTERRUPTIONS {
            return None;
        }
        self.interruptions = 0;
        Some(failure.into())
    }
}

#[async_trait]
impl Sink for StreamSink {
    fn batch_size(&self) -> u32 {
        BATCH
    }

    async fn prepare(&mut self, acknowledged: i64) -> Result<Option<i64>, FeedError> {
        let store = Arc::clone(&self.setup.store);
        let session = self.ensure_connected().await?;
        let prepared = session.prepare(store.as_ref(), acknowledged).await;
        if prepared.is_err() {
            self.session = None;
        }
        prepared
    }

    async fn deliver(&mut self, events: &[StoredEvent], limit: u64) -> Delivered {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let messages: Vec<Message<'_>> = events.iter().take(limit).map(message_of).collect();
        let published = self.publish(&messages).await;
        let duplicates = published.duplicates;
        if duplicates > 0 {
            tracing::info!(
                duplicates,
                "events are in the stream already; they count as published"
            );
        }
        if published.stored > 0 {
            self.interruptions = 0;
        }
        let failure = published.failure;
        Delivered {
            events: published.stored,
            frames: published.stored as u64,
            failure: failure.and_then(|failure| self.handle_failure(failure)),
        }
    }

    fn forget(&mut self) {
        if let Some(session) = &mut self.session {
            session.forget();
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
