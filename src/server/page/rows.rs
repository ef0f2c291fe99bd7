//! The rows of the page's tables.

use std::time::Duration;

use serde::Deserialize;

use super::{grouped, up_to};
use crate::domain::account::AccountState;
use crate::domain::invoice::Invoice;
use crate::domain::money::Money;
use crate::domain::shares::ClusterView;
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::metrics::{AccountMeter, FeedMeter, FeedState};
use crate::server::snapshot::Snapshot;
use crate::store::{AccountRecord, FeedRecord, HistoryEvent, LAG_ALARM, Lag};
use crate::story::{self, AccountSituation};
use crate::words;

/// A consumer behind for longer than this gets a warning, below the alarm.
const BEHIND: Duration = Duration::from_mins(10);

/// An invoice that needs a person.
pub(super) struct InvoiceRow {
    pub(super) id: i64,
    pub(super) external_id: String,
    pub(super) account: String,
    pub(super) amount: String,
    pub(super) why: String,
    pub(super) since: String,
}

pub(super) struct AccountRow {
    pub(super) name: String,
    /// Empty until a daemon has recorded it.
    pub(super) provider: String,
    /// The daemon that polls it; empty where one has the database alone.
    pub(super) owner: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) error: String,
    pub(super) answered: String,
    pub(super) budget: String,
    pub(super) in_flight: usize,
    pub(super) overdue: String,
}

pub(super) struct StatusRow {
    pub(super) status: Status,
    pub(super) tone: &'static str,
    pub(super) means: &'static str,
    pub(super) count: String,
}

pub(super) struct ConsumerRow {
    pub(super) name: String,
    pub(super) unread: String,
    pub(super) behind: String,
    /// Why events are not delivered, or that another process delivers them.
    pub(super) note: String,
    pub(super) tone: &'static str,
}

/// An event, on the overview and in an invoice's history.
pub(in crate::server) struct HistoryRow {
    pub(in crate::server) seq: i64,
    pub(in crate::server) at: UnixMillis,
    pub(in crate::server) when: String,
    pub(in crate::server) what: String,
    pub(in crate::server) tone: &'static str,
    pub(in crate::server) from: String,
    pub(in crate::server) external_id: String,
    pub(in crate::server) account: String,
    pub(in crate::server) amount: String,
}

/// An invoice in review.
pub(super) fn decision(invoice: &Invoice, now: UnixMillis) -> InvoiceRow {
    let why = story::reason_of(invoice);
    let why = why.as_deref().map_or("a person must decide", |why| {
        // The prefix is for programs; the invoice's own page shows it.
        why.split_once(": ").map_or(why, |(_, sentence)| sentence)
    });
    InvoiceRow {
        why: why.to_owned(),
        since: words::relative(invoice.updated_at, now),
        ..row(invoice)
    }
}

/// An invoice whose poll is overdue.
pub(super) fn late(invoice: &Invoice, accounts: &[AccountMeter], now: UnixMillis) -> InvoiceRow {
    let planned = invoice.schedule.next_poll_at.unwrap_or(now);
    let meter = accounts
        .iter()
        .find(|meter| meter.name() == invoice.account.0);
    InvoiceRow {
        why: waits_for(invoice, meter),
        since: words::relative(planned, now),
        ..row(invoice)
    }
}

/// What an overdue invoice waits for: its account if that makes no requests, else its turn.
fn waits_for(invoice: &Invoice, meter: Option<&AccountMeter>) -> String {
    let state = meter.map(|meter| meter.gauges().state);
    if let Some(state) = state.filter(|state| *state != AccountState::Working) {
        return format!("account {state}: {}", state.meaning());
    }
    match invoice.schedule.last_error.as_deref() {
        Some(error) => format!("last request failed: {}", one_line(error)),
        None => "waits for the account's rate limit".to_owned(),
    }
}

fn row(invoice: &Invoice) -> InvoiceRow {
    InvoiceRow {
        id: invoice.id.0,
        external_id: one_line(&invoice.external_id.0),
        account: one_line(&invoice.account.0),
        amount: words::amount(invoice),
        why: String::new(),
        since: String::new(),
    }
}

fn owner(cluster: &ClusterView, account: &str) -> String {
    match cluster.owner_of(account) {
        Some(owner) => format!("polled by {}", one_line(owner)),
        None => "polled by no daemon".to_owned(),
    }
}

impl AccountRow {
    pub(super) fn of(
        meter: &AccountMeter,
        record: Option<&AccountRecord>,
        facts: Option<&Snapshot>,
        now: UnixMillis,
    ) -> Self {
        let standing = meter.gauges();
        let situation = AccountSituation::of_gauges(&standing);
        let tone = match standing.state {
            AccountState::Working if !situation.is_well() => "warn",
            AccountState::Working if standing.last_answer_at.is_none() => "idle",
            AccountState::Working => "good",
            AccountState::Held | AccountState::Unknown => "warn",
            AccountState::Paused | AccountState::KeyRefused => "bad",
        };
        let overdue = facts.and_then(|facts| facts.overdue.get(meter.name()));
        let when = |at| words::relative(at, now);
        let cluster = facts.and_then(|facts| facts.cluster.as_ref());
        Self {
            name: meter.name().to_owned(),
            provider: record.map_or_else(String::new, |record| one_line(&record.provider)),
            owner: cluster.map_or_else(String::new, |cluster| owner(cluster, meter.name())),
            state: standing.state.as_str(),
            tone,
            error: situation.explanation(now).unwrap_or_default(),
            answered: standing
                .last_answer_at
                .map_or_else(|| "never".to_owned(), when),
            budget: standing.rate.map_or_else(
                || "no limit".to_owned(),
                |rate| format!("{} per second", (rate * 10.0).round() / 10.0),
            ),
            in_flight: standing.in_flight,
            overdue: overdue.map_or_else(|| "…".to_owned(), |overdue| up_to(overdue.count)),
        }
    }

    /// For an account whose invoices wait because it is disabled in the configuration.
    pub(super) fn switched_off(name: &str) -> Self {
        let nothing = || "–".to_owned();
        Self {
            name: name.to_owned(),
            provider: String::new(),
            owner: String::new(),
            state: "disabled",
            tone: "idle",
            error: String::new(),
            answered: nothing(),
            budget: nothing(),
            in_flight: 0,
            overdue: nothing(),
        }
    }
}

impl ConsumerRow {
    /// `elsewhere` is the record of a feed that another process delivers.
    pub(super) fn of(
        lag: &Lag,
        feeds: &[FeedMeter],
        elsewhere: Option<&FeedRecord>,
        now: UnixMillis,
    ) -> Self {
        let feed = feeds.iter().find(|feed| feed.consumer() == lag.consumer);
        let status = feed.map(FeedMeter::status);
        let stopped = status.filter(|status| status.state == FeedState::Stopped);
        let is_stopped =
            stopped.is_some() || elsewhere.is_some_and(|record| record.failure.is_some());
        let note = elsewhere.map(|record| format!("another process: {}", record.describe(now)));
        let note = stopped.and_then(|status| status.error).or(note);
        let behind = lag.oldest_at.map(|at| now.since(at));
        let tone = match behind {
            _ if is_stopped => "bad",
            Some(behind) if behind > LAG_ALARM => "bad",
            Some(behind) if behind > BEHIND => "warn",
            Some(_) | None => "good",
        };
        Self {
            name: one_line(&lag.consumer),
            unread: up_to(lag.unread),
            behind: lag
                .oldest_at
                .map_or_else(|| "none".to_owned(), |at| words::relative(at, now)),
            note: note.as_deref().map(one_line).unwrap_or_default(),
            tone,
        }
    }
}

pub(super) fn statuses(facts: &Snapshot) -> Vec<StatusRow> {
    let rows = facts.by_status.iter().map(|(status, count)| StatusRow {
        status: *status,
        tone: if *count > 0 { tone(*status) } else { "idle" },
        means: means(*status),
        count: grouped(*count),
    });
    rows.collect()
}

fn means(status: Status) -> &'static str {
    match status {
        Status::Requested => "order being created",
        Status::Pending => "waiting for payment",
        Status::Paid => "paid",
        Status::Expired => "not paid in time",
        Status::Cancelled => "order cancelled",
        Status::Rejected => "order could not be created",
        Status::Review => "a person must decide",
    }
}

/// The tone of a status.
pub(in crate::server) fn tone(status: Status) -> &'static str {
    match status {
        Status::Paid => "good",
        Status::Review => "warn",
        Status::Rejected => "bad",
        Status::Requested | Status::Pending | Status::Expired | Status::Cancelled => "idle",
    }
}

/// The parts of an event's payload that the page shows.
#[derive(Deserialize)]
struct Payload {
    subject: Option<String>,
    data: PayloadData,
}

#[derive(Deserialize)]
struct PayloadData {
    account: String,
    #[serde(default)]
    late: bool,
    amount: Option<Amount>,
}

#[derive(Deserialize)]
struct Amount {
    value: String,
    currency: String,
}

pub(in crate::server) fn event_rows(events: &[HistoryEvent], now: UnixMillis) -> Vec<HistoryRow> {
    events
        .iter()
        .map(|event| HistoryRow::of(event, now))
        .collect()
}

impl HistoryRow {
    fn of(event: &HistoryEvent, now: UnixMillis) -> Self {
        let envelope: Option<Payload> = serde_json::from_str(&event.payload).ok();
        let late = envelope.as_ref().is_some_and(|e| e.data.late);
        let (what, tone) = what_happened(&event.event_type, late);
        let amount = envelope.as_ref().and_then(|e| e.data.amount.as_ref());
        let amount = amount.map(|amount| {
            words::money(&Money {
                value: amount.value.clone(),
                currency: amount.currency.clone(),
            })
        });
        Self {
            seq: event.seq,
            at: event.created_at,
            when: words::relative(event.created_at, now),
            what,
            tone,
            from: event.previous_status.clone().unwrap_or_default(),
            amount: amount.unwrap_or_default(),
            account: envelope
                .as_ref()
                .map(|e| one_line(&e.data.account))
                .unwrap_or_default(),
            external_id: envelope.and_then(|e| e.subject).unwrap_or_default(),
        }
    }
}

/// An event's type in words, and its tone.
fn what_happened(event_type: &str, late: bool) -> (String, &'static str) {
    let (words, tone) = match event_type {
        "payment.paid" if late => ("paid late", "good"),
        "payment.paid" => ("paid", "good"),
        "payment.pending" => ("order created", "idle"),
        "payment.expired" => ("expired", "idle"),
        "payment.cancelled" => ("cancelled", "idle"),
        "payment.rejected" => ("rejected", "bad"),
        "payment.review" => ("needs review", "warn"),
        "payment.detailed" => ("amounts added", "idle"),
        "payment.partial" => ("partly paid", "warn"),
        "payment.further" => ("paid again", "warn"),
        "payment.refunded" => ("refunded", "warn"),
        "audit.discrepancy" => ("audit finding", "warn"),
        other => (other, "idle"),
    };
    (one_line(words), tone)
}
