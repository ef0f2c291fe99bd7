//! `stats`: counts by status, polls, consumers and accounts.

use std::time::Duration;

use serde_json::{Value, json};

use super::output::Output;
use super::session::Session;
use super::table::{Cell, Table, Tone};
use super::{Exit, ReportFormat};
use crate::daemon::NATS_CONSUMER;
use crate::domain::shares::{ClusterView, LeaseState};
use crate::domain::time::UnixMillis;
use crate::store::{
    AccountRecord, Consumer, Database, DetectTimes, FeedRecord, LAG_ALARM, Overview,
};
use crate::story::AccountSituation;
use crate::words;

/// The counts.
struct Stats {
    overview: Overview,
    consumers: Vec<Consumer>,
    accounts: Vec<AccountRecord>,
    detect: DetectTimes,
    /// The publisher, whichever process runs it.
    publisher: FeedRecord,
    /// Where several daemons share the database.
    cluster: Option<ClusterView>,
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Database,
    report: ReportFormat,
) -> anyhow::Result<Exit> {
    let now = session.now();
    let stats = Stats {
        overview: store.overview(now).await?,
        consumers: store.consumers().await?,
        accounts: store.accounts().await?,
        detect: store.detect_times().await?,
        publisher: store.feed_record(NATS_CONSUMER).await?,
        cluster: store.cluster().await?,
    };
    let mut output = session.output();
    if report.json {
        output.json(&stats.to_json(now))?;
    } else {
        stats.write_to(&mut output, session, now);
        if store.daemon_runs().await == Some(false) {
            output
                .line("No daemon is running on this database: accounts are shown as it left them.");
        }
    }
    output.send()?;
    Ok(Exit::Done)
}

/// Whether a consumer's lag is an alarm.
pub(super) fn is_alarming(consumer: &Consumer, now: UnixMillis) -> bool {
    let oldest = consumer.oldest_unread_at.filter(|_| !consumer.is_off);
    oldest.is_some_and(|oldest| now.since(oldest) > LAG_ALARM)
}

/// A consumer's unacknowledged events, in words.
pub(super) fn lag(consumer: &Consumer, now: UnixMillis) -> String {
    let behind = match consumer.oldest_unread_at {
        Some(oldest) => format!(
            "{} unread, the oldest {}",
            words::counted(consumer.unread, "event"),
            words::relative(oldest, now)
        ),
        None => "none unread".to_owned(),
    };
    if consumer.is_off {
        format!("feed disabled; {behind}")
    } else {
        behind
    }
}

impl Stats {
    fn to_json(&self, now: UnixMillis) -> Value {
        let millis = |at: Option<UnixMillis>| at.map(|at| at.0);
        let by_status: serde_json::Map<String, Value> = self
            .overview
            .by_status
            .iter()
            .map(|(status, count)| (status.as_str().to_owned(), json!(count)))
            .collect();
        let consumer = |consumer: &Consumer| {
            json!({
                "name": consumer.name,
                "acked_seq": consumer.acked_seq,
                "unread": consumer.unread,
                "oldest_unread_at": millis(consumer.oldest_unread_at),
                "off": consumer.is_off,
                "alarm": is_alarming(consumer, now),
            })
        };
        let account = |account: &AccountRecord| {
            json!({
                "name": account.name.0,
                "provider": account.provider,
                "state": account.state.as_str(),
                "state_since": account.state_since.0,
                "failures_in_a_row": account.failures.map_or(0, |run| run.requests),
                "failing_since": account.failures.map(|run| run.since.0),
                "resume_at": millis(account.resume_at),
                "last_success_at": millis(account.last_success_at),
                "last_failure_at": millis(account.last_failure_at),
                "last_error": account.last_error,
            })
        };
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        json!({
            "epoch": self.overview.epoch,
            "highest_seq": self.overview.highest_seq,
            "invoices": by_status,
            "overdue": self.overview.overdue.count,
            "oldest_overdue_at": millis(self.overview.overdue.oldest_at),
            "consumers": self.consumers.iter().map(consumer).collect::<Vec<_>>(),
            "accounts": self.accounts.iter().map(account).collect::<Vec<_>>(),
            "publisher": self.publisher_to_json(),
            "leases": self.cluster.as_ref().map(leases_to_json),
            "time_to_detect": {
                "count": self.detect.count,
                "p50_ms": ms(self.detect.p50),
                "p95_ms": ms(self.detect.p95),
                "p99_ms": ms(self.detect.p99),
            },
        })
    }

    /// Null where there is no publisher.
    fn publisher_to_json(&self) -> Value {
        let is_publisher = |consumer: &Consumer| consumer.name == NATS_CONSUMER;
        if !self.consumers.iter().any(is_publisher) {
            return Value::Null;
        }
        let failure = self.publisher.failure.as_ref();
        json!({
            "state": self.publisher.state(),
            "stopped_since": failure.map(|failure| failure.since.0),
            "last_error": failure.map(|failure| &failure.error),
        })
    }

    fn write_to(&self, output: &mut Output, session: &Session, now: UnixMillis) {
        output.heading("Invoices");
        let mut table = Table::of_facts();
        for (status, count) in &self.overview.by_status {
            table.row(vec![Cell::status(*status), Cell::right(count)]);
        }
        output.table(table);
        output.heading("Polls and payments");
        output.table(self.pace(now));
        output.heading("Consumers");
        if self.consumers.is_empty() {
            output.line("none");
        }
        let mut table = Table::of_facts();
        for consumer in &self.consumers {
            let lag = Cell::new(lag(consumer, now));
            let (lag, alarm) = if is_alarming(consumer, now) {
                (lag.tone(Tone::Bad), "ALARM: more than 7 days behind")
            } else {
                (lag, "")
            };
            let alarm = Cell::new(alarm).tone(Tone::Bad);
            let publisher = self.publisher_cell(consumer, now);
            table.row(vec![Cell::new(&consumer.name), lag, alarm, publisher]);
        }
        output.table(table);
        output.heading("Accounts");
        if self.accounts.is_empty() {
            output.line("no request yet");
        }
        output.table(accounts(&self.accounts, session, now));
        if let Some(cluster) = &self.cluster {
            output.heading("Leases");
            output.table(leases(cluster));
        }
    }

    /// The state of the publisher, in the row of its consumer.
    fn publisher_cell(&self, consumer: &Consumer, now: UnixMillis) -> Cell {
        if consumer.name != NATS_CONSUMER {
            return Cell::new("");
        }
        let tone = if self.publisher.failure.is_some() {
            Tone::Bad
        } else {
            Tone::Plain
        };
        Cell::new(self.publisher.describe(now)).tone(tone)
    }

    fn pace(&self, now: UnixMillis) -> Table {
        let (overview, detect) = (&self.overview, &self.detect);
        let detected = if detect.count == 0 {
            "no payments yet".to_owned()
        } else {
            format!(
                "p50 {}, p95 {}, p99 {} (last {} payments)",
                words::measured(detect.p50),
                words::measured(detect.p95),
                words::measured(detect.p99),
                detect.count
            )
        };
        let mut table = Table::of_facts();
        table.fact("overdue polls", Cell::new(overview.overdue.describe(now)));
        table.fact("time to detect", Cell::new(detected));
        table.fact("last event", Cell::new(overview.highest_seq.to_string()));
        table.fact("epoch", Cell::new(&overview.epoch));
        table
    }
}

/// Who has which lease.
fn leases(cluster: &ClusterView) -> Table {
    let mut table = Table::of_facts();
    for lease in &cluster.leases {
        let owner = lease.owner.as_deref().filter(|_| cluster.is_held(lease));
        let ends = owner.map(|_| format!("until {}", words::relative(lease.until, cluster.now)));
        table.row(vec![
            Cell::new(&lease.name),
            Cell::new(owner.unwrap_or("free")),
            Cell::maybe(ends.as_deref()),
        ]);
    }
    table
}

fn leases_to_json(cluster: &ClusterView) -> Vec<Value> {
    let lease = |lease: &LeaseState| {
        let owner = lease.owner.as_deref().filter(|_| cluster.is_held(lease));
        json!({"name": lease.name, "owner": owner, "until": lease.until.0})
    };
    cluster.leases.iter().map(lease).collect()
}

/// The accounts' states, one row each.
fn accounts(accounts: &[AccountRecord], session: &Session, now: UnixMillis) -> Table {
    let mut table = Table::of_facts();
    for account in accounts {
        // Its earlier state no longer matters.
        if session.account(&account.name).is_some_and(|a| !a.enabled) {
            table.row(vec![
                Cell::new(&account.name.0),
                Cell::new("disabled in the configuration"),
            ]);
            continue;
        }
        let answered = account.last_success_at.map_or_else(
            || "no answer yet".to_owned(),
            |at| format!("last answer {}", words::relative(at, now)),
        );
        let situation = AccountSituation::of_record(account);
        table.row(vec![
            Cell::new(&account.name.0),
            Cell::new(account.state.as_str()).tone(Tone::of_account(&situation)),
            Cell::new(format!(
                "for {}",
                words::span(now.since(account.state_since))
            )),
            Cell::new(answered),
            Cell::maybe(situation.explanation(now).as_deref()),
        ]);
    }
    table
}
