//! The feed on stdout.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use super::feed_loop::{FeedWakes, feed_loop};
use crate::config::StdoutFeed;
use crate::daemon::nats_feed::consumer_position;
use crate::daemon::parts::Parts;
use crate::daemon::{STDOUT_CONSUMER, database_options};
use crate::feed::Format;
use crate::jobs::feed::{Delivery, Feed, Frames};
use crate::metrics::FeedMeter;
use crate::store::{Database, DatabaseOptions, Role, Store, StoreError};

/// The interval of attempts to take the consumer from another process.
const TAKE_EVERY: Duration = Duration::from_secs(1);

/// The parts of the feed on stdout.
pub(super) struct StdoutParts {
    store: Arc<dyn Database>,
    options: DatabaseOptions,
    format: Format,
    meter: FeedMeter,
}

impl StdoutParts {
    /// The parts as configured; None if the feed is off.
    pub(super) fn from_config(parts: &Parts) -> Option<Self> {
        let format = match parts.config.feed.stdout {
            StdoutFeed::Nats => Format::Nats,
            StdoutFeed::Hpub => Format::Hpub,
            StdoutFeed::Jsonl => Format::Jsonl,
            StdoutFeed::Off => return None,
        };
        Some(Self {
            store: Arc::clone(&parts.store),
            options: database_options(&parts.config),
            format,
            meter: parts.meter(STDOUT_CONSUMER),
        })
    }

    /// Opens the feed at its acknowledged position.
    pub(super) async fn open_feed<W>(&self, output: W) -> Result<Feed<Frames<W>>, StoreError>
    where
        W: AsyncWrite + Unpin + Send,
    {
        let place = consumer_position(self.store.as_ref(), STDOUT_CONSUMER).await?;
        let delivery = Delivery {
            format: self.format,
            consumer: Some(STDOUT_CONSUMER.to_owned()),
            pattern: None,
        };
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let feed = Feed::new(store, delivery, place, output);
        Ok(feed.metered(self.meter.clone()))
    }

    /// Waits until no other process has the consumer, and then delivers.
    pub(super) async fn wait_and_deliver<W>(
        self,
        output: W,
        wakes: FeedWakes,
        flush: CancellationToken,
    ) where
        W: AsyncWrite + Unpin + Send,
    {
        loop {
            // Released at the end of this task; then the next daemon can take it.
            let hold = self.options.hold(Role::Consumer(STDOUT_CONSUMER)).await;
            if let Ok(Some(_hold)) = &hold
                && consumer_position(self.store.as_ref(), STDOUT_CONSUMER)
                    .await
                    .is_ok()
            {
                if let Ok(feed) = self.open_feed(output).await {
                    feed_loop(feed, wakes, flush).await;
                }
                return;
            }
            drop(hold);
            self.meter.set_standby();
            tokio::select! {
                biased;
                () = flush.cancelled() => return,
                () = wakes.clock.sleep(TAKE_EVERY) => {}
            }
        }
    }
}
