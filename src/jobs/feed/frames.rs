//! The sink that writes frames to stdout, a pipe or a socket.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{Delivered, Feed, FeedError, Sink};
use crate::feed::{Format, Frame, Pattern};
use crate::store::{Store, StoredEvent};

/// Events written and flushed at a time.
const BATCH: u32 = 500;

/// What is written, and for which consumer.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The format of each event.
    pub format: Format,
    /// The consumer that the events are acknowledged for; None acknowledges nothing.
    pub consumer: Option<String>,
    /// Only events with these subjects are written; the others are acknowledged too.
    pub pattern: Option<Pattern>,
}

/// Writes frames to an output.
pub struct Frames<W> {
    format: Format,
    pattern: Option<Pattern>,
    output: W,
    opened: bool,
    buffer: Vec<u8>,
}

impl<W: AsyncWrite + Unpin + Send> Feed<Frames<W>> {
    /// Makes a delivery to `output` that continues after `place`.
    pub fn new(store: Arc<dyn Store>, delivery: Delivery, place: i64, output: W) -> Self {
        let frames = Frames {
            format: delivery.format,
            pattern: delivery.pattern,
            output,
            opened: false,
            buffer: Vec::new(),
        };
        Self::into_sink(store, delivery.consumer, place, frames)
    }
}

#[async_trait]
impl<W: AsyncWrite + Unpin + Send> Sink for Frames<W> {
    fn batch_size(&self) -> u32 {
        BATCH
    }

    async fn prepare(&mut self, _acknowledged: i64) -> Result<Option<i64>, FeedError> {
        if !self.opened {
            self.output
                .write_all(self.format.preamble())
                .await
                .map_err(output_error)?;
            self.output.flush().await.map_err(output_error)?;
            self.opened = true;
        }
        Ok(None)
    }

    async fn deliver(&mut self, events: &[StoredEvent], limit: u64) -> Delivered {
        let (events, frames) = self.encode(events, limit);
        match self.write_buffer().await {
            Ok(()) => Delivered {
                events,
                frames,
                failure: None,
            },
            Err(failure) => Delivered {
                failure: Some(failure),
                ..Delivered::default()
            },
        }
    }
}

impl<W: AsyncWrite + Unpin + Send> Frames<W> {
    /// Encodes up to `limit` frames into the buffer. Returns the number of events that they cover, and of
    /// frames.
    fn encode(&mut self, events: &[StoredEvent], limit: u64) -> (usize, u64) {
        self.buffer.clear();
        let mut frames = 0;
        for (index, event) in events.iter().enumerate() {
            if frames == limit {
                return (index, frames);
            }
            let pattern = self.pattern.as_ref();
            if pattern.is_none_or(|pattern| pattern.matches(&event.subject)) {
                let frame = Frame {
                    subject: &event.subject,
                    event_id: &event.event_id,
                    payload: &event.payload,
                };
                self.format.encode(&frame, &mut self.buffer);
                frames += 1;
            }
        }
        (events.len(), frames)
    }

    async fn write_buffer(&mut self) -> Result<(), FeedError> {
        if !self.buffer.is_empty() {
            self.output
                .write_all(&self.buffer)
                .await
                .map_err(output_error)?;
            self.output.flush().await.map_err(output_error)?;
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
