//! The feed on stdout.

use std::sync::Arc;

use tokio::io::AsyncWrite;

use crate::config::StdoutFeed;
use crate::daemon::nats_feed::{consumer_position, take_role};
use crate::daemon::parts::Parts;
use crate::daemon::{STDOUT_CONSUMER, database_options};
use crate::feed::Format;
use crate::jobs::feed::{Delivery, Feed, FeedRole, Frames};
use crate::metrics::FeedMeter;
use crate::store::{Database, DatabaseOptions, Store, StoreError};

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
        let feed = feed.metered(self.meter.clone());
        if self.store.leases().is_none() {
            return Ok(feed);
        }
        // One of several daemons has it at a time.
        let take = take_role(self.options.clone(), STDOUT_CONSUMER);
        Ok(feed.under(FeedRole::in_turn(STDOUT_CONSUMER, take)))
    }
}
