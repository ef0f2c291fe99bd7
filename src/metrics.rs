//! Counters and histograms of the daemon's work, served on `/metrics`.
//!
//! The composition root creates them once and passes them to the tasks; there is no global. Labels
//! are bounded: configured accounts, and outcomes and types known to the program; never an id.
//! Values stored in the database are not counted here: each scrape reads them.

mod account;
mod feed;
mod text;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use self::feed::FeedFamilies;
use crate::clock::Clock;

pub use account::{AccountGauges, AccountMeter, Limiting};
pub use feed::{FeedLabels, FeedMeter, FeedState, FeedStatus};
pub use text::{MetricsFormat, encode};

/// The prefix of every metric name.
pub const PREFIX: &str = "payrecond";

/// Seconds from a payment to the commit of its event.
const DETECT_BUCKETS: [f64; 16] = [
    0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    21_600.0,
];
const LIST_PAGE_SIZE_BUCKETS: [f64; 8] = [
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];
const LIST_PAGE_ORDERS_BUCKETS: [f64; 8] =
    [0.0, 1.0, 10.0, 100.0, 1000.0, 2500.0, 5000.0, 10_000.0];

/// All counters and histograms. Clones share the same values.
#[derive(Clone)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    accounts: Families,
    feeds: FeedFamilies,
}

/// The metrics with an account label.
#[derive(Clone)]
struct Families {
    requests: Family<OutcomeLabels, Counter>,
    request_failures: Family<FailureLabels, Counter>,
    observations: Family<OutcomeLabels, Counter>,
    events: Family<EventLabels, Counter>,
    rate_limit_requests: Family<AccountLabels, Counter>,
    rate_limit_waits: Family<AccountLabels, Counter>,
    rate_limit_wait: Family<AccountLabels, Counter<f64, AtomicU64>>,
    time_to_detect: Family<AccountLabels, Histogram>,
    list_page_size: Family<AccountLabels, Histogram>,
    list_page_orders: Family<AccountLabels, Histogram>,
}

/// The label of metrics that are counted per account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AccountLabels {
    /// Its name.
    pub account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    account: String,
    kind: &'static str,
    outcome: &'static str,
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
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let accounts = Families::registered(&mut registry);
        let feeds = FeedFamilies::registered(&mut registry);
        Self(Arc::new(Counted {
            registry,
            accounts,
            feeds,
        }))
    }

    /// The metrics of one account.
    pub fn account(&self, name: &str) -> AccountMeter {
        AccountMeter::new(name, self.0.accounts.clone())
    }

    /// The metrics of the feed of a consumer.
    pub fn feed(&self, consumer: &'static str, clock: Arc<dyn Clock>) -> FeedMeter {
        FeedMeter::new(consumer, clock, self.0.feeds.clone())
    }

    /// The registry, to be encoded.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }
}

impl Families {
    fn registered(registry: &mut Registry) -> Self {
        let families = Self {
            requests: Family::default(),
            request_failures: Family::default(),
            observations: Family::default(),
            events: Family::default(),
            rate_limit_requests: Family::default(),
            rate_limit_waits: Family::default(),
            rate_limit_wait: Family::default(),
            time_to_detect: Family::new_with_constructor(time_to_detect),
            list_page_size: Family::new_with_constructor(list_page_size),
            list_page_orders: Family::new_with_constructor(list_page_orders),
        };
        families.register_requests(registry);
        families.register_rate_limit(registry);
        families.register_sizes(registry);
        families
    }

    fn register_requests(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests to the provider that ended, by kind and outcome",
            self.requests.clone(),
        );
        registry.register(
            "request_failures",
            "Requests to the provider that failed, by reason",
            self.request_failures.clone(),
        );
        registry.register(
            "observations",
            "Observations of orders in the provider's answers, by kind of request and outcome",
            self.observations.clone(),
        );
        registry.register(
            "events",
            "Events that the daemon has written to the outbox, by type",
            self.events.clone(),
        );
    }

    fn register_rate_limit(&self, registry: &mut Registry) {
        registry.register(
            "rate_limit_requests",
            "Requests begun, each counted against the account's rate limit",
            self.rate_limit_requests.clone(),
        );
        registry.register(
            "rate_limit_waits",
            "Times a due request had to wait for the account's rate limit, Retry-After or circuit breaker",
            self.rate_limit_waits.clone(),
        );
        registry.register_with_unit(
            "rate_limit_wait",
            "Time during which due requests waited for the account's rate limit, Retry-After or circuit breaker",
            Unit::Seconds,
            self.rate_limit_wait.clone(),
        );
    }

    fn register_sizes(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "time_to_detect",
            "Time from a payment, by the provider's clock, to the commit of its event",
            Unit::Seconds,
            self.time_to_detect.clone(),
        );
        registry.register_with_unit(
            "list_page_size",
            "Size of each page read of the provider's order list",
            Unit::Bytes,
            self.list_page_size.clone(),
        );
        registry.register(
            "list_page_orders",
            "Orders on each page read of the provider's order list",
            self.list_page_orders.clone(),
        );
    }
}

fn time_to_detect() -> Histogram {
    Histogram::new(DETECT_BUCKETS)
}

fn list_page_size() -> Histogram {
    Histogram::new(LIST_PAGE_SIZE_BUCKETS)
}

fn list_page_orders() -> Histogram {
    Histogram::new(LIST_PAGE_ORDERS_BUCKETS)
}
