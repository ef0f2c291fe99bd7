//! What is counted and measured while the daemon works, for whoever asks by HTTP.
//!
//! Made once by the composition root and handed to the duties: nothing here is global. Labels are
//! bounded: accounts of the configuration, outcomes and types that the program knows; never an id.
//! What stands in the database is not counted here, but read when somebody asks.

mod account;
mod text;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Clock;
use crate::domain::time::UnixMillis;

pub use account::{AccountGauges, AccountMeter, Limiting};
pub use text::{MetricsFormat, encode};

/// First part of every name.
pub const PREFIX: &str = "payrecond";

/// Seconds from a payment to the commit of its event.
const DETECT_BUCKETS: [f64; 16] = [
    0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    21_600.0,
];
/// Seconds from the commit of an event to the flush of its frame.
const DELIVER_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0, 60.0, 600.0,
];
const PAGE_BYTES_BUCKETS: [f64; 8] = [
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];
const PAGE_ORDERS_BUCKETS: [f64; 8] = [0.0, 1.0, 10.0, 100.0, 1000.0, 2500.0, 5000.0, 10_000.0];

/// All that is counted. Clones count into the same place.
#[derive(Clone)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    accounts: Families,
    feed_delay: Histogram,
}

/// What is counted for each account.
#[derive(Clone)]
struct Families {
    looks: Family<PollLabels, Counter>,
    observations: Family<ObservationLabels, Counter>,
    events: Family<EventLabels, Counter>,
    could_not_ask: Family<FailureLabels, Counter>,
    budget_requests: Family<AccountLabels, Counter>,
    budget_waits: Family<AccountLabels, Counter>,
    budget_wait: Family<AccountLabels, Counter<f64, AtomicU64>>,
    detect: Family<AccountLabels, Histogram>,
    page_bytes: Family<AccountLabels, Histogram>,
    page_orders: Family<AccountLabels, Histogram>,
}

/// The label of what is counted for each account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AccountLabels {
    /// Its name.
    pub account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    account: String,
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObservationLabels {
    account: String,
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    account: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    account: String,
    reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let accounts = Families::registered(&mut registry);
        let feed_delay = Histogram::new(DELIVER_BUCKETS);
        registry.register_with_unit(
            "feed_delay",
            "Time from the commit of an event to the flush of its frame on stdout",
            Unit::Seconds,
            feed_delay.clone(),
        );
        Self(Arc::new(Counted {
            registry,
            accounts,
            feed_delay,
        }))
    }

    /// What counts for one account.
    pub fn account(&self, name: &str) -> AccountMeter {
        AccountMeter::new(name, self.0.accounts.clone())
    }

    /// What counts for the feed on stdout.
    pub fn feed(&self, clock: Arc<dyn Clock>) -> FeedMeter {
        FeedMeter {
            clock,
            delay: self.0.feed_delay.clone(),
        }
    }

    /// All counters, to be encoded.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }
}

impl Families {
    fn registered(registry: &mut Registry) -> Self {
        let families = Self {
            looks: Family::default(),
            observations: Family::default(),
            events: Family::default(),
            could_not_ask: Family::default(),
            budget_requests: Family::default(),
            budget_waits: Family::default(),
            budget_wait: Family::default(),
            detect: Family::new_with_constructor(detect),
            page_bytes: Family::new_with_constructor(page_bytes),
            page_orders: Family::new_with_constructor(page_orders),
        };
        families.register_looks(registry);
        families.register_budget(registry);
        families.register_sizes(registry);
        families
    }

    fn register_looks(&self, registry: &mut Registry) {
        registry.register(
            "looks",
            "Requests to the provider that came back, by kind and outcome",
            self.looks.clone(),
        );
        registry.register(
            "sightings",
            "Orders that the provider told something about, by the kind of request",
            self.observations.clone(),
        );
        registry.register(
            "events",
            "Events that the daemon has written to the outbox, by type",
            self.events.clone(),
        );
        registry.register(
            "could_not_ask",
            "Requests that told nothing about an order, by reason",
            self.could_not_ask.clone(),
        );
    }

    fn register_budget(&self, registry: &mut Registry) {
        registry.register(
            "budget_requests",
            "Requests charged to the account's budget",
            self.budget_requests.clone(),
        );
        registry.register(
            "budget_waits",
            "Times that something was due and the account's budget, a hold or a pause let nothing begin",
            self.budget_waits.clone(),
        );
        registry.register_with_unit(
            "budget_wait",
            "Time in which something was due and the account's budget, a hold or a pause let nothing begin",
            Unit::Seconds,
            self.budget_wait.clone(),
        );
    }

    fn register_sizes(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "time_to_detect",
            "Time from a payment, by the provider's clock, to the commit of its event",
            Unit::Seconds,
            self.detect.clone(),
        );
        registry.register_with_unit(
            "page",
            "Size of the pages read of the store's order list",
            Unit::Bytes,
            self.page_bytes.clone(),
        );
        registry.register(
            "page_orders",
            "Orders on the pages read of the store's order list",
            self.page_orders.clone(),
        );
    }
}

fn detect() -> Histogram {
    Histogram::new(DETECT_BUCKETS)
}

fn page_bytes() -> Histogram {
    Histogram::new(PAGE_BYTES_BUCKETS)
}

fn page_orders() -> Histogram {
    Histogram::new(PAGE_ORDERS_BUCKETS)
}

/// Measures the feed on stdout.
#[derive(Clone)]
pub struct FeedMeter {
    clock: Arc<dyn Clock>,
    delay: Histogram,
}

impl FeedMeter {
    /// Events of these times were just flushed.
    pub fn flushed(&self, created_at: impl Iterator<Item = UnixMillis>) {
        let now = self.clock.now();
        for at in created_at {
            self.delay.observe(now.since(at).as_secs_f64());
        }
    }
}
