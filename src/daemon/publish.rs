//! The publisher alone: for a host that may reach NATS where the daemon may not.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::feeds::{self, FeedWakes, feed_loop};
use super::nats_feed::NatsFeed;
use super::{DaemonError, NATS_CONSUMER, database_options};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Environment};
use crate::lifecycle;
use crate::metrics::Metrics;
use crate::store::Database;

/// Publishes all that is there, and then what comes, until a signal; with `once`, only what is there.
pub async fn publish(config: Config, env: &Environment, once: bool) -> Result<(), DaemonError> {
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    if !once {
        lifecycle::watch_signals(stop.clone(), reload).map_err(|error| {
            DaemonError::Failed(format!("signal handlers could not be installed: {error}"))
        })?;
    }
    let nats = config.require_nats()?;
    let database = database_options(&config);
    let nats = NatsFeed::new(nats, database.clone(), env)?;
    let store = database.open().await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let meter = Metrics::new().feed(NATS_CONSUMER, Arc::clone(&clock));
    let mut feed = nats.feed(Arc::clone(&store), meter).await?;
    let outcome = if once {
        feeds::ended(feed.run_once(None).await)
    } else {
        let wakes = FeedWakes {
            clock,
            committed: Arc::new(Notify::new()),
            changed: changes(store.as_ref()),
            interval: config.polling.intake_interval,
        };
        feed_loop(feed, wakes, stop).await;
        Ok(())
    };
    store.close().await;
    outcome
}

/// Tells when others may have written to the database.
fn changes(store: &dyn Database) -> watch::Receiver<()> {
    let (told, heard) = watch::channel(());
    let mut watch = store.watch_changes();
    tokio::spawn(async move {
        while !told.is_closed() {
            watch.changed().await;
            told.send_modify(|()| {});
        }
    });
    heard
}
