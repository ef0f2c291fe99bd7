//! `/metrics`: counters since the start, and gauges read from the database at each scrape.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Site;
use super::snapshot::Snapshot;
use crate::domain::account::AccountState;
use crate::domain::time::UnixMillis;
use crate::metrics::{self, AccountLabels, FeedLabels, FeedState, MetricsFormat, PREFIX};

/// How long a scrape waits for counts from the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// A gauge with a fraction.
type Real = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    account: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConsumerLabels {
    consumer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

pub(super) async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let format = MetricsFormat::from_accept(accept.unwrap_or_default());
    let facts = site.keeper.facts(PATIENCE).await;
    // Built for each scrape, so a consumer or an account that is gone leaves no series behind.
    let mut now = Registry::with_prefix(PREFIX);
    site.add_program(&mut now, facts.is_ok());
    site.add_accounts(&mut now);
    site.add_feeds(&mut now);
    match &facts {
        Ok(facts) => add_database(&mut now, facts, site.setup.clock.now()),
        Err(error) => tracing::debug!(%error, "database unreadable; scrape without its gauges"),
    }
    match metrics::encode(&[site.setup.metrics.registry(), &now], format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.media_type())], text).into_response(),
        Err(error) => {
            let words = format!("metrics could not be encoded: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
        }
    }
}

impl Site {
    fn add_program(&self, registry: &mut Registry, can_read: bool) {
        let build = Family::<VersionLabels, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&VersionLabels { version }).set(1);
        registry.register(
            "build_info",
            "Always 1, with the version of payrecond as a label",
            build,
        );
        let started = Real::default();
        started.set(seconds_of(self.started_at));
        registry.register_with_unit(
            "start_timestamp",
            "Unix time at which the daemon started",
            Unit::Seconds,
            started,
        );
        let writes = |meter: &metrics::AccountMeter| !meter.gauges().database_fails;
        let up = Gauge::<i64>::default();
        up.set(i64::from(
            can_read && self.setup.accounts.iter().all(writes),
        ));
        registry.register(
            "database_up",
            "1 when the last read and the last write of the database succeeded, else 0",
            up,
        );
    }

    fn add_accounts(&self, registry: &mut Registry) {
        let states = Family::<StateLabels, Gauge>::default();
        let failures = Family::<AccountLabels, Gauge>::default();
        let answers = Family::<AccountLabels, Real>::default();
        let rates = Family::<AccountLabels, Real>::default();
        let in_flight = Family::<AccountLabels, Gauge>::default();
        for meter in &self.setup.accounts {
            let standing = meter.gauges();
            let account = AccountLabels {
                account: meter.name().to_owned(),
            };
            for state in AccountState::CONFIGURED {
                let labels = StateLabels {
                    account: meter.name().to_owned(),
                    state: state.as_str(),
                };
                let holds = i64::from(state == standing.state);
                states.get_or_create(&labels).set(holds);
            }
            let run = standing.failures.map_or(0, |run| run.requests.into());
            failures.get_or_create(&account).set(run);
            let answered = standing.last_answer_at.map_or(0.0, seconds_of);
            answers.get_or_create(&account).set(answered);
            let rate = standing.rate.unwrap_or(f64::INFINITY);
            rates.get_or_create(&account).set(rate);
            let under_way = i64::try_from(standing.in_flight).unwrap_or(i64::MAX);
            in_flight.get_or_create(&account).set(under_way);
        }
        registry.register(
            "account_state",
            "1 for the account's current state, else 0: working, held (Retry-After), paused (every request fails), key_refused",
            states,
        );
        registry.register(
            "account_failures_in_a_row",
            "Requests of the account that have failed since the last answer",
            failures,
        );
        registry.register_with_unit(
            "account_last_answer_timestamp",
            "Unix time of the provider's last answer, 0 before the first",
            Unit::Seconds,
            answers,
        );
        registry.register(
            "rate_limit_requests_per_second",
            "Requests per second that the account's rate limit allows now: lowered after status 429, +Inf = no limit",
            rates,
        );
        registry.register(
            "requests_in_flight",
            "Requests sent to the provider and not yet answered",
            in_flight,
        );
    }
}

impl Site {
    fn add_feeds(&self, registry: &mut Registry) {
        let up = Family::<FeedLabels, Gauge>::default();
        let delivered = Family::<FeedLabels, Real>::default();
        for meter in &self.setup.feeds {
            let status = meter.status();
            let labels = FeedLabels {
                consumer: meter.consumer(),
            };
            let is_up = !matches!(status.state, FeedState::Stopped | FeedState::Ended);
            up.get_or_create(&labels).set(i64::from(is_up));
            let at = status.delivered_at.map_or(0.0, seconds_of);
            delivered.get_or_create(&labels).set(at);
        }
        registry.register(
            "feed_up",
            "1 while the feed takes events or another process delivers them, 0 while it is stopped",
            up,
        );
        registry.register_with_unit(
            "feed_last_delivery_timestamp",
            "Unix time of the last delivered event, 0 before the first",
            Unit::Seconds,
            delivered,
        );
    }
}

fn add_database(registry: &mut Registry, facts: &Snapshot, now: UnixMillis) {
    let invoices = Family::<StatusLabels, Gauge>::default();
    for (status, count) in &facts.by_status {
        let status = status.as_str();
        invoices.get_or_create(&StatusLabels { status }).set(*count);
    }
    registry.register("invoices", "Invoices by status", invoices);
    let unknown = Gauge::<i64>::default();
    unknown.set(facts.unknown.iter().map(|(_, count)| count).sum());
    registry.register(
        "invoices_of_unknown_accounts",
        "Invoices that wait because no daemon has their account in its configuration, counted up to 10000 for each",
        unknown,
    );
    add_overdue(registry, facts, now);
    add_lags(registry, facts, now);
    let Some((database, wal)) = facts.sizes else {
        return;
    };
    for (name, help, bytes) in [
        ("database_size", "Size of the database file", database),
        (
            "database_wal_size",
            "Size of the database's write-ahead log",
            wal,
        ),
    ] {
        let size = Gauge::<i64>::default();
        size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        registry.register_with_unit(name, help, Unit::Bytes, size);
    }
}

fn add_overdue(registry: &mut Registry, facts: &Snapshot, now: UnixMillis) {
    let counts = Family::<AccountLabels, Gauge>::default();
    let ages = Family::<AccountLabels, Real>::default();
    for (account, overdue) in &facts.overdue {
        let labels = AccountLabels {
            account: account.clone(),
        };
        counts.get_or_create(&labels).set(overdue.count);
        ages.get_or_create(&labels).set(age(overdue.oldest_at, now));
    }
    registry.register(
        "overdue_polls",
        "Polls whose time has passed, counted up to 10000",
        counts,
    );
    registry.register_with_unit(
        "oldest_overdue_poll",
        "How late the poll is that is overdue longest, 0 when none is",
        Unit::Seconds,
        ages,
    );
}

fn add_lags(registry: &mut Registry, facts: &Snapshot, now: UnixMillis) {
    let unread = Family::<ConsumerLabels, Gauge>::default();
    let ages = Family::<ConsumerLabels, Real>::default();
    for lag in &facts.lags {
        let labels = ConsumerLabels {
            consumer: lag.consumer.clone(),
        };
        unread.get_or_create(&labels).set(lag.unread);
        ages.get_or_create(&labels).set(age(lag.oldest_at, now));
    }
    let greatest = Real::default();
    let furthest_behind = facts.lags.iter().filter_map(|lag| lag.oldest_at).min();
    greatest.set(age(furthest_behind, now));
    registry.register_with_unit(
        "consumer_lag_max",
        "Age of the oldest event that any consumer has not acknowledged, 0 when there is none",
        Unit::Seconds,
        greatest,
    );
    registry.register(
        "consumer_unread_events",
        "Events that the consumer has not acknowledged, counted up to 10000; for the 100 consumers furthest behind",
        unread,
    );
    registry.register_with_unit(
        "consumer_lag",
        "Age of the oldest event that the consumer has not acknowledged, 0 when there is none; for the 100 consumers furthest behind",
        Unit::Seconds,
        ages,
    );
}

fn age(at: Option<UnixMillis>, now: UnixMillis) -> f64 {
    at.map_or(0.0, |at| now.since(at).as_secs_f64())
}

fn seconds_of(at: UnixMillis) -> f64 {
    at.since(UnixMillis(0)).as_secs_f64()
}
