//! The sink that writes frames: stdout, a pipe, a socket.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{Delivered, Feed, FeedError, Sink};
use crate::feed::{Format, Frame, Pattern};
use crate::store::{Store, StoredEvent};

/// Events written and flushed at a time.
const BATCH: u32 = 500;

/// What is written, for whom.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How events are written.
    pub format: Format,
    /// Whose place in the outbox it is; None keeps no place.
    pub consumer: Option<String>,
    /// Only these subjects; the others are acknowledged unseen.
    pub pattern: Option<Pattern>,
}

/// Frames on an output.
pub struct Frames<W> {
    format: Format,
    pattern: Option<Pattern>,
    output: W,
    opened: bool,
    buffer: Vec<u8>,
}

impl<W: AsyncWrite + Unpin + Send> Feed<Frames<W>> {
    /// A delivery to `output` that goes on after `place`.
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
    fn batch(&self) -> u32 {
        BATCH
    }

    async fn ready(&mut self) -> Result<Option<i64>, FeedError> {
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

    async fn deliver(&mut self, events: &[StoredEvent], left: u64) -> Delivered {
        let (events, frames) = self.encode(events, left);
        match self.write().await {
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
    /// Encodes up to `left` frames. Returns how many events they cover, and how many frames they are.
    fn encode(&mut self, events: &[StoredEvent], left: u64) -> (usize, u64) {
        self.buffer.clear();
        let mut frames = 0;
        for (index, event) in events.iter().enumerate() {
            if frames == left {
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

    async fn write(&mut self) -> Result<(), FeedError> {
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
