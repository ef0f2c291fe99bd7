//! What people and pages read from a database: one invoice, many, their events, and an overview. It
//! also has the two writes of a person: an invoice and a nudge.

use std::io;
use std::time::Duration;

use async_trait::async_trait;

use super::{AccountRecord, FeedRecord, SeenTransaction, StoreError};
use crate::domain::account::AccountState;
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::shares::ClusterView;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::words;

/// Overdue invoices, and events that a consumer has not read, are counted up to this number.
pub const COUNTED_UP_TO: u32 = 10_000;

/// The queries of commands and the status page. Each reads few rows, whatever their total number,
/// unless its documentation states otherwise.
#[async_trait]
pub trait Reports: Send + Sync + 'static {
    /// Inserts an invoice, as a program would. A refusal explains the cause.
    ///
    /// # Errors
    /// The inner error is the database's refusal, to be shown unchanged.
    async fn insert(&self, new: &NewInvoice) -> Result<Result<Invoice, String>, StoreError>;

    /// Requests a poll of an invoice as soon as the account's rate limit allows.
    async fn nudge(&self, id: InvoiceId) -> Result<(), StoreError>;

    /// The invoices that a reference names: usually one; several accounts may share an external id.
    async fn find(
        &self,
        reference: &Reference,
        account: Option<&AccountName>,
    ) -> Result<Vec<Invoice>, StoreError>;

    /// Like `find`, for text that a person typed: an external id may look like `#7`, too.
    async fn find_called(
        &self,
        text: &str,
        account: Option<&AccountName>,
    ) -> Result<Vec<Invoice>, StoreError> {
        let reference = Reference::parse(text);
        let found = self.find(&reference, account).await?;
        if found.is_empty() && matches!(reference, Reference::Id(_)) {
            return self.find(&Reference::Text(text.to_owned()), account).await;
        }
        Ok(found)
    }

    /// Invoices, newest first.
    async fn list(&self, query: &InvoiceQuery) -> Result<Vec<Invoice>, StoreError>;

    /// The newest invoices of a status.
    async fn newest_of(&self, status: Status, limit: u32) -> Result<Vec<Invoice>, StoreError>;

    /// The events of an invoice that are still kept, oldest first.
    async fn history(&self, invoice: &Invoice) -> Result<Vec<HistoryEvent>, StoreError>;

    /// The transactions of an invoice, in the order in which they happened.
    async fn transactions(&self, id: InvoiceId) -> Result<Vec<SeenTransaction>, StoreError>;

    /// What the daemon last found out about its accounts.
    async fn accounts(&self) -> Result<Vec<AccountRecord>, StoreError>;

    /// Counts and ages at `now`.
    async fn overview(&self, now: UnixMillis) -> Result<Overview, StoreError>;

    /// Number of invoices in each status, in the order of an invoice's life, including zeros. Reads
    /// an index entry for every invoice: 30 ms for a million.
    async fn count_by_status(&self) -> Result<Vec<(Status, i64)>, StoreError>;

    /// The overdue invoices of an account at `now`. Those covered by polls by page do not count.
    async fn overdue(&self, account: &AccountName, now: UnixMillis) -> Result<Overdue, StoreError>;

    /// Invoices of an account whose poll was due before `before`, the oldest first.
    async fn overdue_invoices(
        &self,
        account: &AccountName,
        now: UnixMillis,
        before: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Invoice>, StoreError>;

    /// The accounts that invoices name, but no daemon has in its configuration, with the number of
    /// their invoices that wait, counted up to `COUNTED_UP_TO`.
    async fn invoices_of_unknown_accounts(&self) -> Result<Vec<(AccountName, i64)>, StoreError> {
        let mut counts = Vec::new();
        for record in self.accounts().await? {
            if record.state == AccountState::Unknown {
                let count = self.count_waiting(&record.name).await?;
                counts.push((record.name, count));
            }
        }
        Ok(counts)
    }

    /// The accounts of invoices that have a next poll.
    async fn accounts_in_queue(&self) -> Result<Vec<AccountName>, StoreError>;

    /// Number of invoices of an account that have a next poll, counted up to `COUNTED_UP_TO`.
    async fn count_waiting(&self, account: &AccountName) -> Result<i64, StoreError>;

    /// How long it took to detect payments. Payments made before the invoice was inserted do not
    /// count, because it could not be polled. Reads thousands of rows.
    async fn detect_times(&self) -> Result<DetectTimes, StoreError>;

    /// Payments found in each of the last `minutes` minutes, the latest last, among the newest
    /// 10,000 events.
    async fn payments_by_minute(
        &self,
        now: UnixMillis,
        minutes: u8,
    ) -> Result<Vec<u64>, StoreError>;

    /// Which daemon has which lease; None where one daemon has the database alone.
    async fn cluster(&self) -> Result<Option<ClusterView>, StoreError>;

    /// All consumers that are not switched off, at most a hundred, with the number of unread
    /// events, counted up to `up_to`; the one furthest behind first.
    async fn lags(&self, up_to: u32) -> Result<Vec<Lag>, StoreError>;

    /// What is known of the feed of a consumer, whichever process delivers it.
    async fn feed_record(&self, consumer: &str) -> Result<FeedRecord, StoreError>;

    /// The newest events, newest first.
    async fn last_events(&self, limit: u32) -> Result<Vec<HistoryEvent>, StoreError>;

    /// Up to `limit` events after `seq`, in order, without their payloads.
    async fn entries_after(&self, seq: i64, limit: u32) -> Result<Vec<OutboxEntry>, StoreError>;

    /// The last event written before `time`, or close to it if the clock was set back.
    async fn seq_before(&self, time: UnixMillis) -> Result<i64, StoreError>;

    /// Checks whether the database can be written at present. Writes nothing.
    async fn require_writable(&self) -> Result<(), StoreError>;

    /// Runs the database's integrity check. Returns the first problem, if any. Reads the whole
    /// database.
    async fn quick_check(&self) -> Result<Result<(), String>, StoreError>;

    /// Size of the database and of its write-ahead log, in bytes.
    ///
    /// # Errors
    /// If the sizes cannot be read.
    async fn sizes(&self) -> io::Result<(u64, u64)>;
}

/// A person's reference to an invoice: `#7`, else its external id, else its order id, else the id
/// of one of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `#` and the row id.
    Id(InvoiceId),
    /// An external id, an order id, or a transaction id.
    Text(String),
}

impl Reference {
    /// Parses `#7` as an id and anything else as text.
    pub fn parse(text: &str) -> Self {
        text.strip_prefix('#')
            .and_then(|digits| digits.parse().ok())
            .map_or_else(|| Self::Text(text.to_owned()), |id| Self::Id(InvoiceId(id)))
    }
}

/// Which invoices to list.
#[derive(Clone, Debug, Default)]
pub struct InvoiceQuery {
    /// Of this status only.
    pub status: Option<Status>,
    /// Of this account only.
    pub account: Option<AccountName>,
    /// Maximum number.
    pub limit: u32,
}

/// The columns that a program writes.
#[derive(Clone, Debug, Default)]
pub struct NewInvoice {
    /// None = `default`.
    pub account: Option<String>,
    /// The shop's id.
    pub external_id: String,
    /// None = create the order.
    pub order_id: Option<String>,
    /// Plain decimal.
    pub amount: Option<String>,
    /// Currency code.
    pub currency: Option<String>,
    /// Shown to the payer.
    pub description: Option<String>,
    /// Seconds.
    pub timeout_s: Option<i64>,
    /// JSON object.
    pub options: Option<String>,
    /// Any JSON.
    pub metadata: Option<String>,
    /// The shop has created the order itself; it is found by its external id.
    pub follow: bool,
}

/// The counts of the last `minutes` minutes, the latest last, from pairs of minutes ago and a count.
pub(super) fn in_minutes(counted: &[(i64, i64)], minutes: u8) -> Vec<u64> {
    let mut counts = vec![0; usize::from(minutes)];
    for (minutes_ago, count) in counted {
        let place = usize::try_from(*minutes_ago).unwrap_or(usize::MAX);
        if let Some(slot) = counts.iter_mut().rev().nth(place) {
            *slot = u64::try_from(*count).unwrap_or_default();
        }
    }
    counts
}

/// One event in an invoice's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEvent {
    /// Place in the outbox.
    pub seq: i64,
    /// The event's id.
    pub event_id: String,
    /// `payment.paid` and so on.
    pub event_type: String,
    /// The status before.
    pub previous_status: Option<String>,
    /// The status after.
    pub status: Option<String>,
    /// When it was written.
    pub created_at: UnixMillis,
    /// The JSON.
    pub payload: String,
}

/// Counts and ages of the whole database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Number of invoices in each status, in the order of an invoice's life, including zeros.
    pub by_status: Vec<(Status, i64)>,
    /// The overdue polls of all accounts.
    pub overdue: Overdue,
    /// Number of events ever written.
    pub highest_seq: i64,
    /// The epoch.
    pub epoch: String,
}

/// From the provider's time of payment to our commit, for the last 10,000 payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectTimes {
    /// Payments counted.
    pub count: usize,
    /// Median.
    pub p50: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

impl DetectTimes {
    /// Of times in milliseconds.
    pub(super) fn of(mut millis: Vec<i64>) -> Self {
        millis.sort_unstable();
        let at = |percent: usize| {
            let rank = (millis.len() * percent).div_ceil(100).max(1) - 1;
            let millis = millis.get(rank).copied().unwrap_or_default();
            Duration::from_millis(u64::try_from(millis).unwrap_or_default())
        };
        Self {
            count: millis.len(),
            p50: at(50),
            p95: at(95),
            p99: at(99),
        }
    }
}

/// Overdue polls, by the rule of `overdue_since`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Their number, counted up to `COUNTED_UP_TO` for each account.
    pub count: i64,
    /// When the oldest of them was due.
    pub oldest_at: Option<UnixMillis>,
}

impl Overdue {
    /// Adds the overdue polls of another account.
    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.oldest_at = self.oldest_at.into_iter().chain(other.oldest_at).min();
    }

    /// Their number, and how late the oldest is, for people.
    pub fn describe(self, now: UnixMillis) -> String {
        let Some(oldest) = self.oldest_at.filter(|_| self.count > 0) else {
            return "none".to_owned();
        };
        let more = if self.count >= COUNTED_UP_TO.into() {
            " or more"
        } else {
            ""
        };
        let late = words::span(now.since(oldest));
        format!("{}{more}, the oldest by {late}", self.count)
    }
}

/// A consumer and its unread events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Its name.
    pub consumer: String,
    /// The last event it has acknowledged.
    pub acked_seq: i64,
    /// Number of unread events, counted up to a limit.
    pub unread: i64,
    /// When the oldest of them was written.
    pub oldest_at: Option<UnixMillis>,
}

/// An event without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Place in the outbox.
    pub seq: i64,
    /// `payment.paid` and so on.
    pub event_type: String,
    /// When it was written.
    pub created_at: UnixMillis,
    /// For a payment: when it was made, by the provider's clock.
    pub paid_at: Option<UnixMillis>,
}
