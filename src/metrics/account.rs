//! The metrics of one account, and its state right now.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{AccountLabels, EventLabels, FailureLabels, Families, OutcomeLabels};
use crate::domain::account::{AccountState, FailureRun};
use crate::domain::time::UnixMillis;

/// Kinds of requests. Every label value is exported from the start, at zero.
const REQUESTS: [&str; 6] = ["poll", "creation", "page", "ledger", "count", "probe"];
const ANSWERED: &str = "answered";
const FAILED: &str = "failed";
/// The possible observations of each kind of request.
const OBSERVATIONS: [(&str, &[&str]); 4] = [
    ("poll", &["seen", "not_found"]),
    ("creation", &["created", "refused", "conflict"]),
    ("page", &["seen"]),
    ("ledger", &["seen", "unreadable"]),
];
const EVENTS: [&str; 11] = [
    "payment.pending",
    "payment.paid",
    "payment.expired",
    "payment.cancelled",
    "payment.rejected",
    "payment.review",
    "payment.detailed",
    "payment.partial",
    "payment.further",
    "payment.refunded",
    "audit.discrepancy",
];
const REASONS: [&str; 6] = [
    "unreachable",
    "rate_limited",
    "unavailable",
    "key_refused",
    "malformed",
    "refused",
];

/// The state of an account, and the outcome of its latest requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountGauges {
    /// Whether its requests go out.
    pub state: AccountState,
    /// Since when; None = since the start. A paused account, since the first of the failed requests.
    pub since: Option<UnixMillis>,
    /// The requests that have failed since the last answer.
    pub failures: Option<FailureRun>,
    /// When the next request may be made, unless at once.
    pub resume_at: Option<UnixMillis>,
    /// When the provider last answered.
    pub last_answer_at: Option<UnixMillis>,
    /// When a request last failed, and why.
    pub last_failure: Option<(UnixMillis, String)>,
    /// Requests per second that the rate limit allows now; None = no limit.
    pub rate: Option<f64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Whether decisions cannot be written.
    pub database_fails: bool,
}

/// The limits of an account, as its poller reports them once per turn.
#[derive(Clone, Copy, Debug)]
pub struct Limiting {
    /// Whether requests go out.
    pub state: AccountState,
    /// As in `AccountGauges`.
    pub failures: Option<FailureRun>,
    /// As in `AccountGauges`.
    pub resume_at: Option<UnixMillis>,
    /// Requests begun since the start.
    pub begun: u64,
    /// As in `AccountGauges`.
    pub rate: Option<f64>,
    /// As in `AccountGauges`.
    pub in_flight: usize,
    /// Whether a due request has to wait.
    pub waits: bool,
    /// As in `AccountGauges`.
    pub database_fails: bool,
}

/// The metrics of one account. Clones share the same values.
#[derive(Clone)]
pub struct AccountMeter {
    name: String,
    families: Families,
    now: Arc<Mutex<Now>>,
}

#[derive(Default)]
struct Now {
    standing: AccountGauges,
    begun: u64,
    /// Since when a due request has been waiting, by the monotonic clock.
    waiting_since: Option<Duration>,
}

impl fmt::Debug for AccountMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountMeter({})", self.name)
    }
}

impl AccountMeter {
    pub(super) fn new(name: &str, families: Families) -> Self {
        let meter = Self {
            name: name.to_owned(),
            families,
            now: Arc::default(),
        };
        meter.export_zeros();
        meter
    }

    /// Creates every series at zero: without a first zero, `rate` and `increase` miss the first count.
    fn export_zeros(&self) {
        let families = &self.families;
        for kind in REQUESTS {
            for outcome in [ANSWERED, FAILED] {
                let labels = self.outcome(kind, outcome);
                drop(families.requests.get_or_create(&labels));
            }
        }
        for (kind, outcomes) in OBSERVATIONS {
            for outcome in outcomes {
                self.observed(kind, outcome, 0);
            }
        }
        for event_type in EVENTS {
            self.recorded(event_type, 0);
        }
        for reason in REASONS {
            drop(
                families
                    .request_failures
                    .get_or_create(&self.failure(reason)),
            );
        }
        let account = self.account();
        drop(families.rate_limit_requests.get_or_create(&account));
        drop(families.rate_limit_waits.get_or_create(&account));
        drop(families.rate_limit_wait.get_or_create(&account));
        drop(families.time_to_detect.get_or_create(&account));
        drop(families.list_page_size.get_or_create(&account));
        drop(families.list_page_orders.get_or_create(&account));
    }

    /// The account.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request that the provider answered.
    pub fn answered(&self, kind: &'static str, now: UnixMillis) {
        let labels = self.outcome(kind, ANSWERED);
        self.families.requests.get_or_create(&labels).inc();
        self.lock().standing.last_answer_at = Some(now);
    }

    /// Counts a request that failed.
    pub fn failed(&self, kind: &'static str, reason: &'static str, error: String, now: UnixMillis) {
        let families = &self.families;
        let labels = self.outcome(kind, FAILED);
        families.requests.get_or_create(&labels).inc();
        let reason = self.failure(reason);
        families.request_failures.get_or_create(&reason).inc();
        self.lock().standing.last_failure = Some((now, error));
    }

    /// Counts observations of orders in answers to a kind of request.
    pub fn observed(&self, kind: &'static str, outcome: &'static str, orders: u64) {
        let labels = self.outcome(kind, outcome);
        let observations = self.families.observations.get_or_create(&labels);
        observations.inc_by(orders);
    }

    /// Records the size of a page of the order list.
    #[expect(clippy::cast_precision_loss, reason = "a page is far below 2^53 bytes")]
    pub fn page(&self, bytes: u64, orders: u64) {
        let account = self.account();
        let families = &self.families;
        families
            .list_page_size
            .get_or_create(&account)
            .observe(bytes as f64);
        families
            .list_page_orders
            .get_or_create(&account)
            .observe(orders as f64);
    }

    /// Counts events written to the outbox.
    pub fn recorded(&self, event_type: &'static str, events: u64) {
        let labels = EventLabels {
            account: self.name.clone(),
            r#type: event_type,
        };
        self.families.events.get_or_create(&labels).inc_by(events);
    }

    /// Records the time from a payment to the commit of its event.
    pub fn detected(&self, after: Duration) {
        let detected = self.families.time_to_detect.get_or_create(&self.account());
        detected.observe(after.as_secs_f64());
    }

    /// Records the limits of this turn; `now` is the wall clock's time, `at` the monotonic one's.
    pub fn turn(&self, limiting: Limiting, now: UnixMillis, at: Duration) {
        let mut kept = self.lock();
        let standing = &mut kept.standing;
        if standing.state != limiting.state {
            standing.state = limiting.state;
            let failing = limiting
                .failures
                .filter(|_| limiting.state.counts_from_failures());
            standing.since = Some(failing.map_or(now, |run| run.since));
        }
        standing.failures = limiting.failures;
        standing.resume_at = limiting.resume_at;
        standing.rate = limiting.rate;
        standing.in_flight = limiting.in_flight;
        standing.database_fails = limiting.database_fails;
        let begun = limiting.begun.saturating_sub(kept.begun);
        kept.begun = limiting.begun;
        let waited_since = kept.waiting_since;
        kept.waiting_since = limiting.waits.then_some(at);
        drop(kept);
        let account = self.account();
        if begun > 0 {
            let requests = self.families.rate_limit_requests.get_or_create(&account);
            requests.inc_by(begun);
        }
        if let Some(since) = waited_since {
            let waited = at.saturating_sub(since).as_secs_f64();
            self.families
                .rate_limit_wait
                .get_or_create(&account)
                .inc_by(waited);
        } else if limiting.waits {
            self.families.rate_limit_waits.get_or_create(&account).inc();
        }
    }

    /// Records that another daemon polls the account: nothing of its state is known here any more.
    pub fn leave(&self) {
        *self.lock() = Now::default();
    }

    /// The account's state right now.
    pub fn gauges(&self) -> AccountGauges {
        self.lock().standing.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> AccountLabels {
        AccountLabels {
            account: self.name.clone(),
        }
    }

    fn outcome(&self, kind: &'static str, outcome: &'static str) -> OutcomeLabels {
        OutcomeLabels {
            account: self.name.clone(),
            kind,
            outcome,
        }
    }

    fn failure(&self, reason: &'static str) -> FailureLabels {
        FailureLabels {
            account: self.name.clone(),
            reason,
        }
    }
}
