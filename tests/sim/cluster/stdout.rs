//! The feed on stdout, which one of several daemons has at a time.

use std::sync::Arc;
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::daemon::{FeedWakes, STDOUT_CONSUMER, feed_loop};
use payrecond::feed::Format;
use payrecond::jobs::feed::{Delivery, Feed};
use payrecond::store::{Lease, Leases as _, Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::cluster::leases::DaemonLeases;
use crate::readers::Output;

const LEASE: &str = "consumer:stdout";
/// How often the consumer is tried that another daemon has.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// The feed of one daemon, until it is its turn.
pub struct StdoutInTurn {
    pub leases: Arc<DaemonLeases>,
    pub owner: String,
    pub term: Duration,
    pub clock: SharedClock,
    pub committed: Arc<Notify>,
    pub changed: watch::Receiver<()>,
    pub interval: Duration,
    pub output: Box<dyn Fn() -> Output + Send + Sync>,
}

impl StdoutInTurn {
    /// Delivers whenever the consumer is this daemon's. Ends with the reader.
    pub async fn deliver(self, flush: CancellationToken) {
        while !flush.is_cancelled() {
            if let Ok(Some(lease)) = self.take().await {
                let is_over = self.deliver_under(&lease, &flush).await;
                // A lease that cannot be given back ends by itself.
                drop(self.leases.release(&[lease]).await);
                if is_over {
                    return;
                }
            }
            tokio::select! {
                biased;
                () = flush.cancelled() => {}
                () = self.clock.sleep(TRIED_EVERY) => {}
            }
        }
    }

    async fn take(&self) -> Result<Option<Lease>, StoreError> {
        let names = [LEASE.to_owned()];
        let taken = self.leases.take(&self.owner, &names, self.term).await?;
        Ok(taken.into_iter().next())
    }

    /// Whether it need not be tried again.
    async fn deliver_under(&self, lease: &Lease, flush: &CancellationToken) -> bool {
        let store = Arc::new(self.leases.disk.clone());
        let Ok(place) = store.consumer(STDOUT_CONSUMER).await else {
            return false;
        };
        let delivery = Delivery {
            format: Format::Jsonl,
            consumer: Some(STDOUT_CONSUMER.to_owned()),
            pattern: None,
        };
        let feed = Feed::new(store, delivery, place, (self.output)());
        let wakes = FeedWakes {
            clock: Arc::clone(&self.clock) as _,
            committed: Arc::clone(&self.committed),
            changed: self.changed.clone(),
            interval: self.interval,
        };
        tokio::select! {
            biased;
            () = self.keep(lease) => false,
            () = feed_loop(feed, wakes, flush.clone()) => true,
        }
    }

    /// Ends when the lease is another's, or may be.
    async fn keep(&self, lease: &Lease) {
        let mut trusted_until = self.clock.monotonic() + self.term / 2;
        loop {
            self.clock.sleep(self.term / 4).await;
            let asked = self.clock.monotonic();
            let held = std::slice::from_ref(lease);
            match self.leases.renew(&self.owner, held, self.term).await {
                Ok(kept) if kept.is_empty() => return,
                Ok(_) => trusted_until = asked + self.term / 2,
                Err(_) if self.clock.monotonic() >= trusted_until => return,
                Err(_) => {}
            }
        }
    }
}
