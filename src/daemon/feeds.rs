//! The feeds of the daemon: stdout and the stream of NATS JetStream. Each delivers the outbox to its own
//! consumer, in its own task, with its own retry delays. None delays polling or another feed.

mod feed_loop;
mod stdout;

use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::feed_loop::{FeedWakes, feed_loop};
use self::stdout::StdoutParts;
use super::parts::Parts;
use super::{DaemonError, NATS_CONSUMER};
use crate::jobs::feed::{Feed, FeedError, Frames, StreamSink};

/// The daemon's feeds.
pub(super) struct Feeds<W> {
    stdout: Option<Feed<Frames<W>>>,
    nats: Option<Feed<StreamSink>>,
}

/// Prepares the feeds at their acknowledged positions.
pub(super) async fn open<W>(parts: &Parts, output: W) -> Result<Feeds<W>, DaemonError>
where
    W: AsyncWrite + Unpin + Send,
{
    let stdout = match StdoutParts::from_config(parts) {
        None => None,
        Some(stdout) => Some(stdout.open_feed(output).await?),
    };
    let nats = match &parts.nats {
        Some(nats) => {
            let meter = parts.meter(NATS_CONSUMER);
            Some(nats.open_feed(Arc::clone(&parts.store), meter).await?)
        }
        None => None,
    };
    Ok(Feeds { stdout, nats })
}

impl<W: AsyncWrite + Unpin + Send + 'static> Feeds<W> {
    /// Starts a task for each feed. They end when `flush` is cancelled, after a last delivery.
    pub(super) fn start(self, parts: &Parts, flush: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let wakes = FeedWakes::from_parts(parts, &parts.wake_stdout);
        if let Some(feed) = self.stdout {
            tasks.spawn(feed_loop(feed, wakes, flush.clone()));
        }
        if let Some(feed) = self.nats {
            let wakes = FeedWakes::from_parts(parts, &parts.wake_nats);
            tasks.spawn(feed_loop(feed, wakes, flush.clone()));
        }
        tasks
    }
}

impl<W: AsyncWrite + Unpin + Send> Feeds<W> {
    /// Delivers all events that exist.
    pub(super) async fn drain(self) -> Result<(), DaemonError> {
        if let Some(mut feed) = self.stdout {
            require_delivered(feed.run_once(None).await)?;
        }
        if let Some(mut feed) = self.nats {
            require_delivered(feed.run_once(None).await)?;
        }
        Ok(())
    }
}

/// Checks that a single delivery succeeded. It also did if the reader closed its end, or if another process
/// delivers.
pub(super) fn require_delivered(outcome: Result<u64, FeedError>) -> Result<(), DaemonError> {
    match outcome {
        Ok(_) | Err(FeedError::ReaderGone | FeedError::Standby(_)) => Ok(()),
        Err(FeedError::Store(error)) => Err(error.into()),
        Err(error @ (FeedError::Output(_) | FeedError::Stopped(_))) => {
            Err(DaemonError::Failed(error.to_string()))
        }
    }
}
