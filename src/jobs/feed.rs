//! Delivery: reads the outbox behind a consumer's place, writes frames, flushes, acknowledges.
//!
//! At least once, in order: what was not flushed is not acknowledged and comes again. A reader that
//! stalls or goes away concerns nobody but this job.

use std::sync::Arc;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::feed::{Format, Frame, Pattern};
use crate::metrics::FeedMeter;
use crate::store::{Store, StoreError, StoredEvent};

/// Events read, written and acknowledged at a time.
const BATCH: u32 = 500;

/// What is delivered, to whom.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How events are written.
    pub format: Format,
    /// Whose place in the outbox it is; None keeps no place.
    pub consumer: Option<String>,
    /// Only these subjects; the others are acknowledged unseen.
    pub pattern: Option<Pattern>,
}

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
}

/// A delivery under way.
pub struct Feed<W> {
    store: Arc<dyn Store>,
    delivery: Delivery,
    output: W,
    /// The last event that was written and flushed, or passed over.
    place: i64,
    /// The last event that was acknowledged.
    acknowledged: i64,
    opened: bool,
    buffer: Vec<u8>,
    meter: Option<FeedMeter>,
}

impl<W: AsyncWrite + Unpin + Send> Feed<W> {
    /// A delivery that goes on after `place`.
    pub fn new(store: Arc<dyn Store>, delivery: Delivery, place: i64, output: W) -> Self {
        Self {
            store,
            delivery,
            output,
            place,
            acknowledged: place,
            opened: false,
            buffer: Vec::new(),
            meter: None,
        }
    }

    /// The same, its delay being measured.
    #[must_use]
    pub fn metered(mut self, meter: FeedMeter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Delivers what is there now, at most `limit` frames. Returns how many were written.
    ///
    /// # Errors
    /// Nothing is acknowledged that was not flushed; the same delivery may be turned again after
    /// a `Store` error.
    pub async fn run_once(&mut self, limit: Option<u64>) -> Result<u64, FeedError> {
        self.open().await?;
        // What an unusable database left over.
        self.acknowledge().await?;
        let mut written = 0;
        loop {
            let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(written));
            if left == 0 {
                return Ok(written);
            }
            let events = self.store.events_after(self.place, BATCH).await?;
            if events.is_empty() {
                return Ok(written);
            }
            written += self.deliver(&events, left).await?;
        }
    }

    /// The last event that was delivered or passed over.
    pub fn place(&self) -> i64 {
        self.place
    }

    async fn open(&mut self) -> Result<(), FeedError> {
        if !self.opened {
            self.output
                .write_all(self.delivery.format.preamble())
                .await
                .map_err(output_error)?;
            self.output.flush().await.map_err(output_error)?;
            self.opened = true;
        }
        Ok(())
    }

    /// Writes a batch, up to `left` frames of it, and acknowledges it.
    async fn deliver(&mut self, events: &[StoredEvent], left: u64) -> Result<u64, FeedError> {
        self.buffer.clear();
        let mut frames = 0;
        let mut place = self.place;
        for event in events {
            if frames == left {
                break;
            }
            place = event.seq;
            let wanted = self
                .delivery
                .pattern
                .as_ref()
                .is_none_or(|p| p.matches(&event.subject));
            if wanted {
                let StoredEvent {
                    subject,
                    event_id,
                    payload,
                    ..
                } = event;
                let frame = Frame {
                    subject,
                    event_id,
                    payload,
                };
                self.delivery.format.encode(&frame, &mut self.buffer);
                frames += 1;
            }
        }
        if !self.buffer.is_empty() {
            self.output
                .write_all(&self.buffer)
                .await
                .map_err(output_error)?;
            self.output.flush().await.map_err(output_error)?;
        }
        // From here on it is said, whatever becomes of the acknowledgement.
        self.place = place;
        if let Some(meter) = &self.meter {
            let said = events.iter().take_while(|event| event.seq <= place);
            meter.flushed(said.map(|event| event.created_at));
        }
        self.acknowledge().await?;
        Ok(frames)
    }

    async fn acknowledge(&mut self) -> Result<(), StoreError> {
        if let Some(consumer) = &self.delivery.consumer
            && self.acknowledged < self.place
        {
            self.store.acknowledge(consumer, self.place).await?;
            self.acknowledged = self.place;
        }
        Ok(())
    }
}

fn output_error(error: std::io::Error) -> FeedError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionReset => FeedError::ReaderGone,
        _ => FeedError::Output(error),
    }
}
