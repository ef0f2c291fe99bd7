//! What the feeds report of themselves: how late events are delivered, and whether they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Clock;
use crate::domain::time::UnixMillis;

/// Seconds from the commit of an event to its delivery.
const DELAY_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0, 60.0, 600.0,
];

/// The label of what is counted for each feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FeedLabels {
    /// The consumer whose place it is.
    pub consumer: &'static str,
}

/// The metrics of all feeds.
#[derive(Clone)]
pub(super) struct FeedFamilies {
    delay: Family<FeedLabels, Histogram>,
    delivered: Family<FeedLabels, Counter>,
    failures: Family<FeedLabels, Counter>,
}

/// Whether a feed delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// It has not begun.
    Starting,
    /// It takes events.
    Working,
    /// Another process delivers.
    Standby,
    /// It takes none, and is tried again.
    Stopped,
    /// It takes none until the next start.
    Ended,
}

/// How a feed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedStatus {
    /// Whether it delivers.
    pub state: FeedState,
    /// Since when.
    pub since: UnixMillis,
    /// Why it does not.
    pub error: Option<String>,
    /// When the last event was delivered.
    pub delivered_at: Option<UnixMillis>,
}

/// One feed's metrics and its status.
#[derive(Clone)]
pub struct FeedMeter {
    labels: FeedLabels,
    clock: Arc<dyn Clock>,
    families: FeedFamilies,
    status: Arc<Mutex<FeedStatus>>,
}

impl FeedFamilies {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let families = Self {
            delay: Family::new_with_constructor(|| Histogram::new(DELAY_BUCKETS)),
            delivered: Family::default(),
            failures: Family::default(),
        };
        registry.register_with_unit(
            "feed_delay",
            "Time from the commit of an event to its delivery: flushed to stdout, or acknowledged by JetStream",
            Unit::Seconds,
            families.delay.clone(),
        );
        registry.register(
            "feed_events",
            "Events delivered, by consumer",
            families.delivered.clone(),
        );
        registry.register(
            "feed_failures",
            "Attempts to deliver that failed, by consumer",
            families.failures.clone(),
        );
        families
    }
}

impl FeedMeter {
    pub(super) fn new(
        consumer: &'static str,
        clock: Arc<dyn Clock>,
        families: FeedFamilies,
    ) -> Self {
        let labels = FeedLabels { consumer };
        // So that all begin at 0.
        drop(families.delay.get_or_create(&labels));
        drop(families.delivered.get_or_create(&labels));
        drop(families.failures.get_or_create(&labels));
        let status = FeedStatus {
            state: FeedState::Starting,
            since: clock.now(),
            error: None,
            delivered_at: None,
        };
        Self {
            labels,
            clock,
            families,
            status: Arc::new(Mutex::new(status)),
        }
    }

    /// The consumer whose place it is.
    pub fn consumer(&self) -> &'static str {
        self.labels.consumer
    }

    /// Records that events created at these times were delivered just now.
    pub fn delivered(&self, created_at: impl Iterator<Item = UnixMillis>) {
        let now = self.clock.now();
        let mut count = 0;
        {
            let delay = self.families.delay.get_or_create(&self.labels);
            for at in created_at {
                delay.observe(now.since(at).as_secs_f64());
                count += 1;
            }
        }
        if count > 0 {
            self.families
                .delivered
                .get_or_create(&self.labels)
                .inc_by(count);
            self.lock().delivered_at = Some(now);
        }
    }

    /// Records that the feed takes events.
    pub fn working(&self) {
        self.put(FeedState::Working, None);
    }

    /// Records that another process delivers.
    pub fn standby(&self) {
        self.put(FeedState::Standby, None);
    }

    /// Records a failed attempt, after which it is tried again.
    pub fn stopped(&self, error: String) {
        self.families.failures.get_or_create(&self.labels).inc();
        self.put(FeedState::Stopped, Some(error));
    }

    /// Records that nothing more is delivered until the next start.
    pub fn ended(&self, error: String) {
        self.put(FeedState::Ended, Some(error));
    }

    /// How the feed is.
    pub fn status(&self) -> FeedStatus {
        self.lock().clone()
    }

    fn put(&self, state: FeedState, error: Option<String>) {
        let now = self.clock.now();
        let mut status = self.lock();
        if status.state != state {
            status.state = state;
            status.since = now;
        }
        status.error = error;
    }

    fn lock(&self) -> MutexGuard<'_, FeedStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
