//! Delivery: reads the outbox behind a consumer's place, hands events to a sink, acknowledges.
//!
//! In order, and nothing is acknowledged that the sink has not taken for good: what it has not comes
//! again. A sink that stalls or goes away concerns nobody but this job.

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
use crate::store::{Store, StoreError};

/// Why a delivery ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The outbox cannot be read, or the place not kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reader closed its end.
    #[error("output was closed by its reader")]
    ReaderGone,
    /// The output failed in another way.
    #[error("output could not be written: {0}")]
    Output(std::io::Error),
    /// The sink takes nothing for now. The same delivery may be turned again.
    #[error("{0}")]
    Stopped(String),
    /// Another process delivers to this consumer. The same delivery may be turned again.
    #[error("another process delivers to consumer {0}")]
    Standby(String),
}

/// A delivery under way.
pub struct Feed<S> {
    store: Arc<dyn Store>,
    /// Whose place in the outbox it is; None keeps no place.
    consumer: Option<String>,
    /// Where only one process may deliver to the consumer.
    role: Option<FeedRole>,
    sink: S,
    /// The last event that the sink has, or that was passed over.
    place: i64,
    /// The last event that was acknowledged.
    acknowledged: i64,
    meter: Option<FeedMeter>,
}

impl<S: Sink> Feed<S> {
    /// A delivery to `sink` that goes on after `place`.
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

    /// The same, which delivers only while it has the consumer's role.
    #[must_use]
    pub fn under(mut self, role: FeedRole) -> Self {
        self.role = Some(role);
        self
    }

    /// The same, its delay being measured.
    #[must_use]
    pub fn metered(mut self, meter: FeedMeter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Delivers what is there now, at most `limit` frames. Returns how many were delivered.
    ///
    /// # Errors
    /// Nothing is acknowledged that the sink has not taken; the same delivery may be turned again after
    /// an error of `Store`, `Stopped` and `Standby`.
    pub async fn run_once(&mut self, limit: Option<u64>) -> Result<u64, FeedError> {
        let mut frames = 0;
        loop {
            self.ensure_role().await?;
            if let Some(place) = self.sink.ready().await? {
                self.place = place;
            }
            // What an unusable database left over, and what the sink had without our knowing.
            self.acknowledge().await?;
            let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(frames));
            if left == 0 {
                return Ok(frames);
            }
            let events = self
                .store
                .events_after(self.place, self.sink.batch())
                .await?;
            if events.is_empty() {
                return Ok(frames);
            }
            let delivered = self.sink.deliver(&events, left).await;
            let taken = &events[..delivered.events];
            if let Some(last) = taken.last() {
                // From here on it is said, whatever becomes of the acknowledgement.
                self.place = last.seq;
            }
            if let Some(meter) = &self.meter {
                meter.delivered(taken.iter().map(|event| event.created_at));
            }
            self.acknowledge().await?;
            frames += delivered.frames;
            if let Some(failure) = delivered.failure {
                return Err(failure);
            }
        }
    }

    /// The last event that was delivered or passed over.
    pub fn place(&self) -> i64 {
        self.place
    }

    /// Its metrics, where it has some.
    pub fn meter(&self) -> Option<&FeedMeter> {
        self.meter.as_ref()
    }

    /// The consumer's name, for messages.
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
