//! The destination of a delivery.

use async_trait::async_trait;

use super::FeedError;
use crate::store::StoredEvent;

/// Accepts events in order, and reports which it has accepted permanently.
#[async_trait]
pub trait Sink: Send {
    /// The number of events to read, deliver and acknowledge at a time.
    fn batch_size(&self) -> u32;

    /// Prepares the sink for events after `acknowledged`; called before each delivery. Returns the event to
    /// continue after if the sink had to find out which events it holds, else None.
    async fn prepare(&mut self, acknowledged: i64) -> Result<Option<i64>, FeedError>;

    /// Delivers events, at least one of them and at most `limit` frames.
    async fn deliver(&mut self, events: &[StoredEvent], limit: u64) -> Delivered;

    /// Drops what is known of the events that the sink holds: another process may have delivered since.
    fn forget(&mut self) {}
}

/// The result of delivering events.
#[derive(Debug, Default)]
pub struct Delivered {
    /// How many of the events, from the first on, the sink has accepted permanently or left out.
    pub events: usize,
    /// How many of them it has accepted.
    pub frames: u64,
    /// Why it did not accept the next one; None if it was not offered, or is accepted once the sink is
    /// prepared again.
    pub failure: Option<FeedError>,
}
