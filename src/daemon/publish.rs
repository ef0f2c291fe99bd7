//! The publisher without a daemon, for a host that may reach NATS where the daemon may not.

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

/// Publishes all events, and then new ones until a signal; with `once`, only those that exist.
///
/// # Errors
/// If it cannot start; with `once`, also if an event could not be published.
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
    let mut feed = nats.open_feed(Arc::clone(&store), meter).await?;
    let outcome = if once {
        feeds::deliver_once(&mut feed, store.as_ref(), clock.now()).await
    } else {
        let wakes = FeedWakes {
            clock,
            committed: Arc::new(Notify::new()),
            changed: watch_database(store.as_ref()),
            interval: config.polling.intake_interval,
        };
        feed_loop(feed, wakes, stop).await;
        Ok(())
    };
    store.close().await;
    outcome
}

/// Watches for writes to the database by other processes.
fn watch_database(store: &dyn Database) -> watch::Receiver<()> {
    let (sender, changed) = watch::channel(());
    let mut watch = store.watch_changes();
    tokio::spawn(async move {
        while !sender.is_closed() {
            watch.changed().await;
            sender.send_modify(|()| {});
        }
    });
    changed
}
