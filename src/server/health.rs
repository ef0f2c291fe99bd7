//! Health checks: `/livez` tells whether a restart would help, `/readyz` whether payments are being
//! detected.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::Mutex;

use super::Site;
use crate::clock::Clock;
use crate::domain::account::AccountState;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::metrics::{AccountMeter, FeedMeter, FeedState};
use crate::store::{Database, FeedRecord, LAG_ALARM, StoreError};
use crate::story::AccountSituation;
use crate::words;

/// A task without a heartbeat for this long is stalled.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Polls overdue for longer than this are a failure.
const OVERDUE_AFTER: Duration = Duration::from_mins(5);
/// How long other programs may hold the database's write lock.
const WRITABLE_WITHIN: Duration = Duration::from_secs(3);
/// How long the last test of the database counts.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How long a page waits for the test of the database.
const AT_ONCE: Duration = Duration::from_millis(20);

/// One check.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HealthCheck {
    /// `database`, `account NAME`, `polls NAME`, `feed NAME`, `consumer NAME` or `tasks`.
    #[serde(rename = "check")]
    pub(super) subject: String,
    /// Whether it passed.
    pub(super) ok: bool,
    /// Its result.
    pub(super) message: String,
}

/// All checks.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HealthReport {
    status: &'static str,
    pub(super) checks: Vec<HealthCheck>,
}

/// The last test of the database.
pub(super) struct Health {
    clock: Arc<dyn Clock>,
    probe: Mutex<Option<(Duration, HealthCheck)>>,
    last: std::sync::Mutex<Option<HealthCheck>>,
}

pub(super) async fn livez(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    HealthReport::of(vec![site.tasks()]).into_answer(&headers)
}

pub(super) async fn readyz(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    site.report().await.into_answer(&headers)
}

impl HealthCheck {
    fn of(subject: impl Into<String>, outcome: Result<String, String>) -> Self {
        let (ok, message) = match outcome {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        Self {
            subject: subject.into(),
            ok,
            message: one_line(&message),
        }
    }

    /// A failed check for an account that invoices name but the configuration does not have.
    pub(super) fn of_unknown(account: &str, invoices: Option<i64>) -> Self {
        let state = AccountState::Unknown;
        let count = invoices.map_or_else(String::new, |count| {
            format!(" ({})", words::counted(count, "invoice"))
        });
        let message = format!("{state}: {}{count}", state.meaning());
        Self::of(Self::subject_of_account(account), Err(message))
    }

    /// The subject of the check of an account.
    pub(super) fn subject_of_account(account: &str) -> String {
        format!("account {account}")
    }
}

impl HealthReport {
    fn of(checks: Vec<HealthCheck>) -> Self {
        let well = checks.iter().all(|check| check.ok);
        Self {
            status: if well { "ok" } else { "failing" },
            checks,
        }
    }

    /// The failed checks.
    pub(super) fn failing(&self) -> impl Iterator<Item = &HealthCheck> {
        self.checks.iter().filter(|check| !check.ok)
    }

    fn into_answer(self, headers: &HeaderMap) -> Response {
        let code = match self.failing().next() {
            None => StatusCode::OK,
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        if wants_json(headers) {
            return (code, axum::Json(self)).into_response();
        }
        let mut text = format!("{}\n", self.status);
        for check in &self.checks {
            let word = if check.ok { "ok    " } else { "FAILED" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{word}  {:<18} {}", check.subject, check.message);
        }
        (code, text).into_response()
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("application/json"))
}

impl Health {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            probe: Mutex::new(None),
            last: std::sync::Mutex::new(None),
        }
    }

    /// Whether the database can be written. Concurrent callers share one check.
    async fn database(&self, store: &dyn Database) -> HealthCheck {
        // If so, an earlier result no longer counts.
        if let Err(error) = store.require_in_place() {
            return HealthCheck::of("database", Err(error.to_string()));
        }
        let mut probe = self.probe.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, check)) = &*probe
            && now.saturating_sub(*at) < PROBE_EVERY
        {
            return check.clone();
        }
        let tried = tokio::time::timeout(WRITABLE_WITHIN, store.require_writable()).await;
        let outcome = match tried {
            Ok(Ok(())) => Ok("writable".to_owned()),
            Ok(Err(error)) => Err(format!("not writable: {error}")),
            Err(_) => Err(format!(
                "not writable: another program has held its write lock for more than {}",
                words::span(WRITABLE_WITHIN)
            )),
        };
        let check = HealthCheck::of("database", outcome);
        *probe = Some((self.clock.monotonic(), check.clone()));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(check.clone());
        check
    }

    /// The result of the last test of the database.
    fn last(&self) -> HealthCheck {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
            .unwrap_or_else(|| HealthCheck::of("database", Ok("being tested".to_owned())))
    }
}

impl Site {
    /// All checks that must pass for payments to be detected and delivered.
    async fn report(&self) -> HealthReport {
        let database = self.health.database(self.setup.store.as_ref()).await;
        self.report_with(database).await
    }

    /// The same for a page, which waits only a moment: then the last test of the database counts.
    pub(super) async fn report_at_once(self: &Arc<Self>) -> HealthReport {
        let site = Arc::clone(self);
        // A task of its own, so that it completes for the next caller.
        let probing =
            tokio::spawn(async move { site.health.database(site.setup.store.as_ref()).await });
        let database = match tokio::time::timeout(AT_ONCE, probing).await {
            Ok(Ok(check)) => check,
            Ok(Err(_)) | Err(_) => self.health.last(),
        };
        self.report_with(database).await
    }

    async fn report_with(&self, mut database: HealthCheck) -> HealthReport {
        let now = self.setup.clock.now();
        let fails = |meter: &AccountMeter| meter.gauges().database_fails;
        if database.ok && self.setup.accounts.iter().any(fails) {
            database = HealthCheck::of(
                "database",
                Err(
                    "observations cannot be written: the disk is full, or another program holds a \
                     lock"
                        .to_owned(),
                ),
            );
        }
        if let Some(what) = self.setup.store.hindrance().filter(|_| database.ok) {
            database.message = format!("{}, but {what}", database.message);
        }
        let mut checks = vec![database, self.tasks()];
        for meter in &self.setup.accounts {
            checks.push(account(meter, now));
            checks.push(self.polls(meter.name(), now).await);
        }
        for meter in &self.setup.feeds {
            checks.push(self.feed(meter, now).await);
        }
        checks.extend(self.consumers(now).await);
        HealthReport::of(checks)
    }

    /// Whether every task has a recent heartbeat.
    fn tasks(&self) -> HealthCheck {
        let now = self.setup.clock.monotonic();
        let beats = self.setup.heartbeats.iter();
        let stalled: Vec<&str> = beats
            .filter(|(_, beat)| beat.silent_for(now) > STALLED_AFTER)
            .map(|(name, _)| name.as_str())
            .collect();
        let outcome = if stalled.is_empty() {
            Ok("all running".to_owned())
        } else {
            Err(format!(
                "stalled for more than {}: {}",
                words::span(STALLED_AFTER),
                stalled.join(", ")
            ))
        };
        HealthCheck::of("tasks", outcome)
    }

    async fn polls(&self, account: &str, now: UnixMillis) -> HealthCheck {
        let outcome = match self.setup.store.overdue(&account.into(), now).await {
            Err(error) => Err(format!("could not be read: {error}")),
            Ok(overdue) => {
                let late = overdue.oldest_at.map_or(Duration::ZERO, |at| now.since(at));
                let counted = words::counted(overdue.count, "poll");
                if late <= OVERDUE_AFTER {
                    Ok("on time".to_owned())
                } else {
                    Err(format!(
                        "{counted} overdue, the oldest by {}",
                        words::span(late)
                    ))
                }
            }
        };
        HealthCheck::of(format!("polls {account}"), outcome)
    }

    async fn feed(&self, meter: &FeedMeter, now: UnixMillis) -> HealthCheck {
        if meter.status().state != FeedState::Standby {
            return feed(meter, now);
        }
        let record = self.setup.store.feed_record(meter.consumer()).await;
        let outcome = feed_elsewhere(record, now);
        HealthCheck::of(format!("feed {}", meter.consumer()), outcome)
    }

    async fn consumers(&self, now: UnixMillis) -> Vec<HealthCheck> {
        let lags = match self.setup.store.lags(1).await {
            Ok(lags) => lags,
            Err(error) => {
                return vec![HealthCheck::of(
                    "consumers",
                    Err(format!("could not be read: {error}")),
                )];
            }
        };
        let told = lags.iter().map(|lag| {
            let behind = lag.oldest_at.map_or(Duration::ZERO, |at| now.since(at));
            let outcome = if lag.oldest_at.is_none() {
                Ok("has acknowledged all events".to_owned())
            } else {
                let words = format!("oldest unacknowledged event is {} old", words::span(behind));
                if behind > LAG_ALARM {
                    Err(words)
                } else {
                    Ok(words)
                }
            };
            HealthCheck::of(format!("consumer {}", one_line(&lag.consumer)), outcome)
        });
        told.collect()
    }
}

/// The outcome of a feed that another process delivers.
fn feed_elsewhere(
    record: Result<FeedRecord, StoreError>,
    now: UnixMillis,
) -> Result<String, String> {
    match record {
        Err(error) => Err(format!("could not be read: {error}")),
        Ok(record) if record.failure.is_some() => {
            Err(format!("another process: {}", record.describe(now)))
        }
        Ok(_) => Ok("another process delivers".to_owned()),
    }
}

/// Whether a feed of this daemon delivers. A closed stdout is not a failure: its reader may have meant it.
fn feed(meter: &FeedMeter, now: UnixMillis) -> HealthCheck {
    let status = meter.status();
    let since = words::span(now.since(status.since));
    let error = status.error.unwrap_or_default();
    let delivered = status.delivered_at.map_or_else(
        || "no event delivered yet".to_owned(),
        |at| format!("last event delivered {}", words::relative(at, now)),
    );
    let outcome = match status.state {
        FeedState::Starting => Ok("starting".to_owned()),
        FeedState::Working => Ok(delivered),
        FeedState::Standby => Ok("another process delivers".to_owned()),
        FeedState::Stopped => Err(format!("stopped for {since}: {error}")),
        FeedState::Ended => Ok(format!("ended {since} ago: {error}")),
    };
    HealthCheck::of(format!("feed {}", meter.consumer()), outcome)
}

/// Whether an account's requests go out.
fn account(meter: &AccountMeter, now: UnixMillis) -> HealthCheck {
    let standing = meter.gauges();
    let situation = AccountSituation::of_gauges(&standing);
    let answered = standing.last_answer_at.map_or_else(
        || "no request yet".to_owned(),
        |at| format!("last answer {}", words::relative(at, now)),
    );
    let message = format!("{}; {answered}", situation.describe(now));
    let outcome = if standing.state.is_stopped() {
        Err(message)
    } else {
        Ok(message)
    };
    HealthCheck::of(HealthCheck::subject_of_account(meter.name()), outcome)
}
