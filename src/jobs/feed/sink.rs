//! What events are delivered to.

use async_trait::async_trait;

use super::FeedError;
use crate::store::StoredEvent;

/// Takes events in order, and says which it has taken for good.
#[async_trait]
pub trait Sink: Send {
    /// Events read, delivered and acknowledged at a time.
    fn batch(&self) -> u32;

    /// Makes the sink ready to take events. Called before each batch; does nothing while it is ready.
    /// Where it had to find out anew which events it has, the event is returned after which to go on.
    async fn ready(&mut self) -> Result<Option<i64>, FeedError>;

    /// Delivers events, at least one and up to `left` frames of them.
    async fn deliver(&mut self, events: &[StoredEvent], left: u64) -> Delivered;
}

/// How far a delivery came.
#[derive(Debug, Default)]
pub struct Delivered {
    /// How many of the events, from the first on, the sink has taken for good or passed over.
    pub events: usize,
    /// How many of them it has taken.
    pub frames: u64,
    /// Why it did not take the others, where that is not just that they were not asked for.
    pub failure: Option<FeedError>,
}
