//! Delivery: reads the events after a consumer's position, hands them to a sink, and acknowledges those that
//! the sink has accepted.
//!
//! Events are delivered in order and at least once: an event that the sink has not accepted permanently is
//! not acknowledged, and is delivered again. A sink that stalls or fails delays only its own delivery.
//!
//! Where several processes may deliver to a consumer, the loop holds the consumer's role, and sinks know
//! nothing of it. The role is checked directly before events are handed to the sink: after the sink was
//! prepared, so that what another process delivered meanwhile is never taken for this one's own.

mod frames;
mod role;
mod sink;
mod stream;

use std::sync::Arc;

pub use self::frames::{Delivery, Frames};
pub use self::role::{FeedRole, TakeRole};
pub use self::sink::{Delivered, Sink};
pub use self::stream::{StreamSetup, StreamSink};
use crate::metrics::FeedMeter;
use crate::store::{FeedFailure, Store, StoreError, StoredEvent};

/// Why a delivery ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The outbox could not be read, or the acknowledgement not written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reader closed its end.
    #[error("output was closed by its reader")]
    ReaderGone,
    /// The output failed in another way.
    #[error("output could not be written: {0}")]
    Output(std::io::Error),
    /// The sink accepts nothing at present. `run_once` may be called again.
    #[error("{0}")]
    Stopped(String),
    /// Another process delivers to this consumer. `run_once` may be called again.
    #[error("consumer {0} is held by another process; waiting")]
    Standby(String),
    /// The consumer's role could not be renewed, so another process may have it. `run_once` may be called
    /// again.
    #[error("the consumer may be held by another process: {0}")]
    Unconfirmed(StoreError),
}

/// A delivery from the outbox to a sink.
pub struct Feed<S> {
    store: Arc<dyn Store>,
    /// The consumer that events are acknowledged for; None acknowledges nothing.
    consumer: Option<String>,
    /// Where only one process may deliver to the consumer.
    role: Option<FeedRole>,
    sink: S,
    /// The last event that the sink has accepted or left out.
    place: i64,
    /// The last acknowledged event.
    acknowledged: i64,
    meter: Option<FeedMeter>,
}

impl<S: Sink> Feed<S> {
    /// Makes a delivery to `sink` that continues after `place`.
    pub fn into_sink(store: Arc<dyn Store>, consumer: Option<String>, place: i64, sink: S) -> Self {
        Self {
            store,
            consumer,
            role: None,
            sink,
            place,
            acknowledged: place,
            meter: None,
        }
    }

    /// The same delivery, made only while it has the consumer's role.
    #[must_use]
    pub fn under(mut self, role: FeedRole) -> Self {
        self.role = Some(role);
        self
    }

    /// The same delivery, measured by `meter`.
    #[must_use]
    pub fn metered(mut self, meter: FeedMeter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Delivers the events that exist now, at most `limit` frames. Returns the number of frames.
    ///
    /// # Errors
    /// After `Store`, `Stopped`, `Standby` and `Unconfirmed` it may be called again; no event is lost.
    pub async fn run_once(&mut self, limit: Option<u64>) -> Result<u64, FeedError> {
        let outcome = self.deliver_up_to(limit.unwrap_or(u64::MAX)).await;
        if let (Err(FeedError::Stopped(_)), Some(role)) = (&outcome, &mut self.role) {
            // Another process may be able to deliver.
            role.release();
        }
        outcome
    }

    async fn deliver_up_to(&mut self, limit: u64) -> Result<u64, FeedError> {
        let mut frames = 0;
        let mut events: Vec<StoredEvent> = Vec::new();
        loop {
            if self.ensure_role().await? {
                events.clear();
            }
            if let Some(place) = self.sink.prepare(self.acknowledged).await? {
                self.place = place;
                events.clear();
            }
            // Acknowledges what an unavailable database prevented before, and what `prepare` found in the sink.
            self.acknowledge().await?;
            if frames >= limit {
                return Ok(frames);
            }
            if events.is_empty() {
                let batch = self.sink.batch_size();
                events = self.store.events_after(self.place, batch).await?;
            }
            if events.is_empty() {
                return Ok(frames);
            }
            if self.role.as_ref().is_some_and(|role| !role.is_held()) {
                // `ensure_role` takes it again, or returns the reason why not.
                continue;
            }
            let delivered = self.sink.deliver(&events, limit - frames).await;
            self.count_accepted(&events[..delivered.events]);
            events.drain(..delivered.events);
            self.acknowledge().await?;
            frames += delivered.frames;
            if let Some(failure) = delivered.failure {
                return Err(failure);
            }
        }
    }

    fn count_accepted(&mut self, accepted: &[StoredEvent]) {
        if let Some(last) = accepted.last() {
            // Not delivered again by this process, even if the acknowledgement fails.
            self.place = last.seq;
        }
        if let Some(meter) = &self.meter {
            meter.count_delivered(accepted.iter().map(|event| event.created_at));
        }
    }

    /// The last event that was delivered or left out.
    pub fn place(&self) -> i64 {
        self.place
    }

    /// Its metrics, if it is measured.
    pub fn meter(&self) -> Option<&FeedMeter> {
        self.meter.as_ref()
    }

    /// The consumer's name for messages.
    pub fn name(&self) -> &str {
        self.consumer.as_deref().unwrap_or("none")
    }

    /// Makes sure that the role is held, where there is one. Returns whether it was taken just now: then the
    /// delivery continues where another process left off.
    async fn ensure_role(&mut self) -> Result<bool, FeedError> {
        let Some(role) = &mut self.role else {
            return Ok(false);
        };
        if !role.ensure().await? {
            return Ok(false);
        }
        self.sink.forget();
        if let Some(consumer) = &self.consumer {
            let position = self.store.consumer(consumer).await;
            if position.is_err() {
                // Read again before anything is delivered.
                role.release();
            }
            self.place = position?;
            self.acknowledged = self.place;
        }
        Ok(true)
    }

    /// Records why nothing is delivered, for other programs; None = it is delivered.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn record_failure(
        &mut self,
        failure: Option<&FeedFailure>,
    ) -> Result<(), StoreError> {
        match &self.consumer {
            Some(consumer) => self.store.record_feed_failure(consumer, failure).await,
            None => Ok(()),
        }
    }

    async fn acknowledge(&mut self) -> Result<(), StoreError> {
        if let Some(consumer) = &self.consumer
            && self.acknowledged < self.place
        {
            self.store.acknowledge(consumer, self.place).await?;
            self.acknowledged = self.place;
        }
        Ok(())
    }
}
