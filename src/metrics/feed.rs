//! The metrics and the state of the feeds: whether they deliver events, and how late.

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

/// The label of the metrics of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FeedLabels {
    /// The consumer that it delivers to.
    pub consumer: &'static str,
}

/// The metrics of all feeds.
#[derive(Clone)]
pub(super) struct FeedFamilies {
    delay: Family<FeedLabels, Histogram>,
    delivered: Family<FeedLabels, Counter>,
    failures: Family<FeedLabels, Counter>,
}

/// The state of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// It has not delivered yet.
    Starting,
    /// It delivers.
    Working,
    /// Another process delivers.
    Standby,
    /// It could not deliver, and tries again.
    Stopped,
    /// It delivers nothing until the next start.
    Ended,
}

/// The state of a feed, with its last error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedStatus {
    /// The state.
    pub state: FeedState,
    /// Since when.
    pub since: UnixMillis,
    /// Why it does not deliver.
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
        // All metrics begin at 0.
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

    /// The consumer that the feed delivers to.
    pub fn consumer(&self) -> &'static str {
        self.labels.consumer
    }

    /// Records that events created at these times were delivered just now.
    pub fn count_delivered(&self, created_at: impl Iterator<Item = UnixMillis>) {
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

    /// Records that the feed delivers.
    pub fn set_working(&self) {
        self.set_state(FeedState::Working, None);
    }

    /// Records that another process delivers.
    pub fn set_standby(&self) {
        self.set_state(FeedState::Standby, None);
    }

    /// Records a failed attempt that will be repeated.
    pub fn set_stopped(&self, error: String) {
        self.families.failures.get_or_create(&self.labels).inc();
        self.set_state(FeedState::Stopped, Some(error));
    }

    /// Records that nothing is delivered until the next start.
    pub fn set_ended(&self, error: String) {
        self.set_state(FeedState::Ended, Some(error));
    }

    /// The state of the feed.
    pub fn status(&self) -> FeedStatus {
        self.lock().clone()
    }

    fn set_state(&self, state: FeedState, error: Option<String>) {
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
