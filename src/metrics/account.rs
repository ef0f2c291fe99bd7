//! One account: what is counted for it, and how it stands right now.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{AccountLabels, EventLabels, FailureLabels, Families, ObservationLabels, PollLabels};
use crate::domain::account::AccountState;
use crate::domain::time::UnixMillis;

/// Kinds of requests with the outcomes that each can have: all are offered from the start, at zero.
const LOOKS: [(&str, &[&str]); 4] = [
    ("look", &["seen", "not_found", "could_not_ask"]),
    (
        "creation",
        &["created", "refused", "conflict", "could_not_ask"],
    ),
    ("page", &["read", "could_not_ask"]),
    ("count", &["read", "could_not_ask"]),
];
const SIGHTED_BY: [&str; 3] = ["look", "creation", "page"];
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

/// How an account stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountGauges {
    /// Whether its requests go out.
    pub state: AccountState,
    /// Since when; None = since the start.
    pub since: Option<UnixMillis>,
    /// When the provider last said something.
    pub last_answer_at: Option<UnixMillis>,
    /// When it last could not be asked, and why.
    pub last_failure: Option<(UnixMillis, String)>,
    /// Requests a second that the budget allows now; None = no limit.
    pub rate: Option<f64>,
    /// Requests that wait for their answer.
    pub in_flight: usize,
    /// Whether what was decided cannot be written.
    pub database_fails: bool,
}

/// What a poller tells of its limits, once a turn.
#[derive(Clone, Copy, Debug)]
pub struct Limiting {
    /// Whether requests go out.
    pub state: AccountState,
    /// Requests ever charged.
    pub begun: u64,
    /// As in `AccountGauges`.
    pub rate: Option<f64>,
    /// As in `AccountGauges`.
    pub in_flight: usize,
    /// Whether something is due that may not begin.
    pub waits: bool,
    /// As in `AccountGauges`.
    pub database_fails: bool,
}

/// Counts for one account. Clones count into the same place.
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
    /// Since when something waits that is due, by the monotonic clock.
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
        meter.offer_all();
        meter
    }

    /// A rate needs a zero to begin with.
    fn offer_all(&self) {
        for (kind, outcomes) in LOOKS {
            for outcome in outcomes {
                drop(self.families.looks.get_or_create(&self.look(kind, outcome)));
            }
        }
        for by in SIGHTED_BY {
            self.sighted(by, 0);
        }
        for event_type in EVENTS {
            self.said(event_type, 0);
        }
        for reason in REASONS {
            drop(
                self.families
                    .could_not_ask
                    .get_or_create(&self.failure(reason)),
            );
        }
        let account = self.account();
        drop(self.families.budget_requests.get_or_create(&account));
        drop(self.families.budget_waits.get_or_create(&account));
        drop(self.families.budget_wait.get_or_create(&account));
        drop(self.families.detect.get_or_create(&account));
        drop(self.families.page_bytes.get_or_create(&account));
        drop(self.families.page_orders.get_or_create(&account));
    }

    /// The account.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request of a kind came back: it told something.
    pub fn answered(&self, kind: &'static str, outcome: &'static str, now: UnixMillis) {
        self.families
            .looks
            .get_or_create(&self.look(kind, outcome))
            .inc();
        self.lock().standing.last_answer_at = Some(now);
    }

    /// A request of a kind told nothing.
    pub fn failed(&self, kind: &'static str, reason: &'static str, error: String, now: UnixMillis) {
        self.families
            .looks
            .get_or_create(&self.look(kind, "could_not_ask"))
            .inc();
        self.families
            .could_not_ask
            .get_or_create(&self.failure(reason))
            .inc();
        self.lock().standing.last_failure = Some((now, error));
    }

    /// The provider told of so many orders.
    pub fn sighted(&self, by: &'static str, orders: u64) {
        let labels = ObservationLabels {
            account: self.name.clone(),
            by,
        };
        self.families
            .observations
            .get_or_create(&labels)
            .inc_by(orders);
    }

    /// A page was read to its end.
    #[expect(clippy::cast_precision_loss, reason = "a page is far below 2^53 bytes")]
    pub fn page(&self, bytes: u64, orders: u64) {
        let account = self.account();
        let families = &self.families;
        families
            .page_bytes
            .get_or_create(&account)
            .observe(bytes as f64);
        families
            .page_orders
            .get_or_create(&account)
            .observe(orders as f64);
    }

    /// So many events of a type were written.
    pub fn said(&self, event_type: &'static str, events: u64) {
        let labels = EventLabels {
            account: self.name.clone(),
            r#type: event_type,
        };
        self.families.events.get_or_create(&labels).inc_by(events);
    }

    /// A payment's event was committed so long after the payment.
    pub fn detected(&self, after: Duration) {
        let detect = self.families.detect.get_or_create(&self.account());
        detect.observe(after.as_secs_f64());
    }

    /// How the limits stand in this turn; `now` is the wall clock's, `at` the monotonic one's.
    pub fn turn(&self, limiting: Limiting, now: UnixMillis, at: Duration) {
        let mut kept = self.lock();
        let standing = &mut kept.standing;
        if standing.state != limiting.state {
            standing.state = limiting.state;
            standing.since = Some(now);
        }
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
            let requests = self.families.budget_requests.get_or_create(&account);
            requests.inc_by(begun);
        }
        if let Some(since) = waited_since {
            let waited = at.saturating_sub(since).as_secs_f64();
            self.families
                .budget_wait
                .get_or_create(&account)
                .inc_by(waited);
        } else if limiting.waits {
            self.families.budget_waits.get_or_create(&account).inc();
        }
    }

    /// How the account stands.
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

    fn look(&self, kind: &'static str, outcome: &'static str) -> PollLabels {
        PollLabels {
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
