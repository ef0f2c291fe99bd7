//! Delivery: reads the events after a consumer's position, hands them to a sink, and acknowledges those that
//! the sink has accepted.
//!
//! Events are delivered in order and at least once: an event that the sink has not accepted permanently is
//! not acknowledged, and is delivered again. A sink that stalls or fails delays only its own delivery.

mod frames;
mod role;
mod sink;
mod stream;

use std::sync::Arc;

pub use self::frames::{Delivery, Frames};
pub use self::role::FeedRole;
pub use self::sink::{Delivered, Sink};
pub use self::stream::{StreamSetup, StreamSink, TakeRole};
use crate::metrics::FeedMeter;
use crate::store::{FeedFailure, Store, StoreError};

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
    #[error("another process delivers to consumer {0}")]
    Standby(String),
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
    /// After `Store`, `Stopped` and `Standby` it may be called again; no event is lost.
    pub async fn run_once(&mut self, limit: Option<u64>) -> Result<u64, FeedError> {
        let mut frames = 0;
        loop {
            self.ensure_role().await?;
            if let Some(place) = self.sink.prepare().await? {
                self.place = place;
            }
            // Acknowledges what an unavailable database prevented before, and what `prepare` found in the sink.
            self.acknowledge().await?;
            let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(frames));
            if left == 0 {
                return Ok(frames);
            }
            let events = self
                .store
                .events_after(self.place, self.sink.batch_size())
                .await?;
            if events.is_empty() {
                return Ok(frames);
            }
            let delivered = self.sink.deliver(&events, left).await;
            let accepted = &events[..delivered.events];
            if let Some(last) = accepted.last() {
                // Not delivered again by this process, even if the acknowledgement fails.
                self.place = last.seq;
            }
            if let Some(meter) = &self.meter {
                meter.count_delivered(accepted.iter().map(|event| event.created_at));
            }
            self.acknowledge().await?;
            frames += delivered.frames;
            if let Some(failure) = delivered.failure {
                return Err(failure);
            }
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

    /// After the role was taken, the delivery goes on where another process left off.
    async fn ensure_role(&mut self) -> Result<(), FeedError> {
        if let Some(role) = &mut self.role
            && role.ensure().await?
            && let Some(consumer) = &self.consumer
        {
            self.place = self.store.consumer(consumer).await?;
            self.acknowledged = self.place;
        }
        Ok(())
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
