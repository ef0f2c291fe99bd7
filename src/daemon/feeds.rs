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
use crate::domain::time::UnixMillis;
use crate::jobs::feed::{Feed, FeedError, Frames, Sink, StreamSink};
use crate::store::{Database, FeedFailure, StoreError};

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
    pub(super) async fn drain(self, parts: &Parts) -> Result<(), DaemonError> {
        let (store, now) = (parts.store.as_ref(), parts.clock.now());
        if let Some(mut feed) = self.stdout {
            deliver_once(&mut feed, store, now).await?;
        }
        if let Some(mut feed) = self.nats {
            deliver_once(&mut feed, store, now).await?;
        }
        Ok(())
    }
}

/// Delivers all events that exist, and records for other programs whether that succeeded, as the loop does.
pub(super) async fn deliver_once<S: Sink>(
    feed: &mut Feed<S>,
    store: &dyn Database,
    now: UnixMillis,
) -> Result<(), DaemonError> {
    let outcome = feed.run_once(None).await;
    let recorded = match &outcome {
        Ok(_) => feed.record_failure(None).await,
        Err(FeedError::Stopped(error)) => record_stop(feed, store, error, now).await,
        // The process that holds the consumer records, or the database cannot be written, or nobody reads.
        Err(
            FeedError::Standby(_)
            | FeedError::Unconfirmed(_)
            | FeedError::Store(_)
            | FeedError::ReaderGone
            | FeedError::Output(_),
        ) => Ok(()),
    };
    require_delivered(outcome)?;
    Ok(recorded?)
}

/// Records that the sink accepts nothing, since the first attempt in a row that failed.
async fn record_stop<S: Sink>(
    feed: &mut Feed<S>,
    store: &dyn Database,
    error: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let before = store.feed_record(feed.name()).await?.failure;
    let failure = FeedFailure {
        since: before.map_or(now, |before| before.since),
        error: error.to_owned(),
    };
    feed.record_failure(Some(&failure)).await
}

/// Checks that a single delivery succeeded. It also did if the reader closed its end, or if another process
/// delivers.
fn require_delivered(outcome: Result<u64, FeedError>) -> Result<(), DaemonError> {
    match outcome {
        Ok(_) | Err(FeedError::ReaderGone | FeedError::Standby(_)) => Ok(()),
        Err(FeedError::Store(error)) => Err(error.into()),
        Err(error @ (FeedError::Output(_) | FeedError::Stopped(_) | FeedError::Unconfirmed(_))) => {
            Err(DaemonError::Failed(error.to_string()))
        }
    }
}
