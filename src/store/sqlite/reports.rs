//! What people ask the database: one invoice, many, their events, the whole at a glance.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row::{Cells, invoice, packed_invoice};
use super::schema::{CONSTRAINT, primary_code};
use super::{SqliteStore, transactions};
use crate::domain::account::AccountState;
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, ListRecord, SeenTransaction, StoreError, WORD_HOLDS_FOR};

/// Payments that `detect_times`, and events that `payments_by_minute` looks back on.
const DETECT_SAMPLE: i64 = 10_000;

/// So long an account's word counts that looks by page had covered all that was due until then.
pub(super) const COVERED_FOR: Duration = Duration::from_mins(3);

/// The time up to which looks by page have covered an account's plans, NULL without its word. ?1 is
/// now, ?2 `COVERED_FOR` before, ?3 `WORD_HOLDS_FOR` before.
macro_rules! covered_to {
    ($account:literal) => {
        concat!(
            "(SELECT CASE WHEN caught_up_at > ?3 THEN ?1 ELSE caught_up_at END
                FROM accounts WHERE name = ",
            $account,
            " AND caught_up_at > ?2)"
        )
    };
}
pub(super) use covered_to;

/// What looks by page have covered is not overdue, whatever the rows say. A nudge always is.
const OVERDUE: &str = concat!(
    "SELECT count(*), min(max(next_poll_at, updated_at)) FROM invoices
      WHERE next_poll_at IS NOT NULL AND next_poll_at <= ?1
        AND (next_poll_at = 0 OR next_poll_at > coalesce(",
    covered_to!("invoices.account"),
    ", 0))"
);

/// Invoices by way of their accounts: the indices begin with the account, and hopping over the few
/// names keeps a search without one at a few reads.
macro_rules! each_account {
    () => {
        concat!(
            "WITH RECURSIVE names (name) AS (
                 SELECT min(account) FROM invoices
                 UNION ALL
                 SELECT (SELECT min(account) FROM invoices WHERE account > names.name)
                   FROM names WHERE names.name IS NOT NULL)
             SELECT ",
            packed_invoice!(),
            " FROM names CROSS JOIN invoices ON invoices.account = names.name"
        )
    };
}

pub(super) const BY_EXTERNAL_ID: &str = concat!(
    each_account!(),
    " WHERE external_id = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY id"
);

pub(super) const BY_ORDER_ID: &str = concat!(
    each_account!(),
    " WHERE order_id = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY id"
);

pub(super) const BY_TRANSACTION_ID: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices
      WHERE id IN (SELECT transactions.invoice_id
                     FROM (SELECT DISTINCT account AS name FROM transactions) AS names
                     JOIN transactions ON transactions.account = names.name
                    WHERE transactions.transaction_id = ?1)
        AND (?2 IS NULL OR account = ?2) ORDER BY id"
);

/// How a person names an invoice: `#7`, else its external id, else its order id, else the id of one of
/// its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `#` and the row id.
    Id(InvoiceId),
    /// An external id, an order id, or a transaction's.
    Text(String),
}

impl Reference {
    /// Reads `#7` as an id and all else as text.
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
    /// So many at most.
    pub limit: u32,
}

/// The columns that a program writes.
#[derive(Clone, Debug, Default)]
pub struct NewInvoice {
    /// None = `default`.
    pub account: Option<String>,
    /// The shop's id.
    pub external_id: String,
    /// None = make the order.
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
    /// The shop has made the order itself: it is found by its external id.
    pub follow: bool,
}

/// One event in an invoice's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Place in the outbox.
    pub seq: i64,
    /// The event's id.
    pub event_id: String,
    /// `payment.paid` and so on.
    pub event_type: String,
    /// What held before.
    pub previous_status: Option<String>,
    /// What holds since.
    pub status: Option<String>,
    /// When it was written.
    pub created_at: UnixMillis,
    /// The JSON.
    pub payload: String,
}

/// The whole at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Invoices of each status, in the order of a life; zeros included.
    pub by_status: Vec<(Status, i64)>,
    /// Looks that should have been made by now.
    pub overdue: i64,
    /// When the oldest of them should have been made. A nudge counts from now.
    pub oldest_overdue_at: Option<UnixMillis>,
    /// Events ever written.
    pub highest_seq: i64,
    /// The epoch.
    pub epoch: String,
}

/// From the provider's time of payment to our commit, over the last 10,000 payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectTimes {
    /// Payments counted.
    pub count: usize,
    /// Half were found within.
    pub p50: Duration,
    /// 95 of 100.
    pub p95: Duration,
    /// 99 of 100.
    pub p99: Duration,
}

impl SqliteStore {
    /// Puts in an invoice, as a program would. A refusal says what is wrong with it.
    ///
    /// # Errors
    /// The inner one is the database's refusal, to be shown as it is.
    pub async fn insert(&self, new: &NewInvoice) -> Result<Result<Invoice, String>, StoreError> {
        let mut writer = self.writer().await?;
        let connection = writer.begin().await?;
        let inserted: Result<i64, sqlx::Error> = sqlx::query_scalar(
            "INSERT INTO invoices (account, external_id, order_id, amount, currency, description,
                                   timeout_seconds, options, metadata, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING id",
        )
        .bind(&new.account)
        .bind(&new.external_id)
        .bind(&new.order_id)
        .bind(&new.amount)
        .bind(&new.currency)
        .bind(&new.description)
        .bind(new.timeout_s)
        .bind(&new.options)
        .bind(&new.metadata)
        .bind(new.follow.then_some(Status::Pending.as_str()))
        .fetch_one(&mut *connection)
        .await;
        match inserted {
            Ok(id) => {
                writer.commit().await?;
                drop(writer);
                let mut found = self.find(&Reference::Id(InvoiceId(id)), None).await?;
                found
                    .pop()
                    .map(Ok)
                    .ok_or_else(|| StoreError::Unusable("the new row is gone".into()))
            }
            Err(error) => {
                writer.roll_back().await?;
                match error.as_database_error() {
                    Some(refusal) if primary_code(refusal) == CONSTRAINT => {
                        Ok(Err(refusal.message().to_owned()))
                    }
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// The invoices a reference names: usually one; several accounts may share an external id.
    pub async fn find(
        &self,
        reference: &Reference,
        account: Option<&AccountName>,
    ) -> Result<Vec<Invoice>, StoreError> {
        let account = account.map(|name| name.0.as_str());
        match reference {
            Reference::Id(id) => {
                let sql = concat!(
                    "SELECT ",
                    packed_invoice!(),
                    " FROM invoices WHERE id = ?1 AND (?2 IS NULL OR account = ?2)"
                );
                let rows = sqlx::query(sql).bind(id.0).bind(account);
                invoices(&rows.fetch_all(&self.readers).await?)
            }
            Reference::Text(text) => {
                for sql in [BY_EXTERNAL_ID, BY_ORDER_ID, BY_TRANSACTION_ID] {
                    let found = self.find_text(sql, text, account).await?;
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Ok(Vec::new())
            }
        }
    }

    /// As `find`, by whatever a person typed: an external id may look like `#7`, too.
    pub async fn find_called(
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

    async fn find_text(
        &self,
        sql: &'static str,
        text: &str,
        account: Option<&str>,
    ) -> Result<Vec<Invoice>, StoreError> {
        invoices(
            &sqlx::query(sql)
                .bind(text)
                .bind(account)
                .fetch_all(&self.readers)
                .await?,
        )
    }

    /// Invoices, newest first.
    pub async fn list(&self, query: &InvoiceQuery) -> Result<Vec<Invoice>, StoreError> {
        let sql = concat!(
            "SELECT ",
            packed_invoice!(),
            " FROM invoices
              WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR account = ?2)
              ORDER BY id DESC LIMIT ?3"
        );
        let rows = sqlx::query(sql)
            .bind(query.status.map(Status::as_str))
            .bind(query.account.as_ref().map(|name| name.0.as_str()))
            .bind(query.limit)
            .fetch_all(&self.readers)
            .await?;
        invoices(&rows)
    }

    /// The events of an invoice that are still kept, oldest first.
    pub async fn history(&self, invoice: &Invoice) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, event_id, type, previous_status, status, created_at, payload
               FROM outbox WHERE account = ?1 AND external_id = ?2 ORDER BY seq",
        )
        .bind(&invoice.account.0)
        .bind(&invoice.external_id.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(event).collect()
    }

    /// The transactions of an invoice, in the order in which they happened.
    pub async fn transactions(&self, id: InvoiceId) -> Result<Vec<SeenTransaction>, StoreError> {
        transactions::of_invoice(&self.readers, id).await
    }

    /// The newest events, newest first.
    pub async fn last_events(&self, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, event_id, type, previous_status, status, created_at, payload
               FROM outbox ORDER BY seq DESC LIMIT ?1",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(event).collect()
    }

    /// Asks for a look at an invoice as soon as the account's budget allows.
    pub async fn nudge(&self, id: InvoiceId) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let connection = writer.begin().await?;
        sqlx::query("UPDATE invoices SET next_poll_at = 0 WHERE id = ?1")
            .bind(id.0)
            .execute(connection)
            .await?;
        writer.commit().await
    }

    /// Counts and ages at `now`.
    pub async fn overview(&self, now: UnixMillis) -> Result<Overview, StoreError> {
        let by_status = self.count_by_status().await?;
        let (overdue, oldest): (i64, Option<i64>) = sqlx::query_as(OVERDUE)
            .bind(now.0)
            .bind(now.minus(COVERED_FOR).0)
            .bind(now.minus(WORD_HOLDS_FOR).0)
            .fetch_one(&self.readers)
            .await?;
        let (highest_seq, epoch): (i64, Option<String>) = sqlx::query_as(
            "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0),
                    (SELECT value FROM meta WHERE key = 'epoch')",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(Overview {
            by_status,
            overdue,
            oldest_overdue_at: oldest.map(UnixMillis),
            highest_seq,
            epoch: epoch.unwrap_or_default(),
        })
    }

    /// How long payments took to be found. Those made before the invoice was inserted do not count:
    /// nobody looked for them.
    pub async fn detect_times(&self) -> Result<DetectTimes, StoreError> {
        let mut millis: Vec<i64> = sqlx::query_scalar(
            "SELECT max(outbox.created_at - invoices.paid_at, 0)
               FROM outbox JOIN invoices USING (account, external_id)
              WHERE outbox.type = 'payment.paid' AND invoices.paid_at >= invoices.created_at
              ORDER BY outbox.seq DESC LIMIT ?1",
        )
        .bind(DETECT_SAMPLE)
        .fetch_all(&self.readers)
        .await?;
        millis.sort_unstable();
        let at = |percent: usize| {
            let rank = (millis.len() * percent).div_ceil(100).max(1) - 1;
            let millis = millis.get(rank).copied().unwrap_or_default();
            Duration::from_millis(u64::try_from(millis).unwrap_or_default())
        };
        Ok(DetectTimes {
            count: millis.len(),
            p50: at(50),
            p95: at(95),
            p99: at(99),
        })
    }

    /// Payments found in each of the last `minutes` minutes, the latest last; of the newest 10,000
    /// events.
    pub async fn payments_by_minute(
        &self,
        now: UnixMillis,
        minutes: u8,
    ) -> Result<Vec<u64>, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT (?1 - created_at) / 60000 AS minutes_ago, count(*)
               FROM (SELECT type, created_at FROM outbox ORDER BY seq DESC LIMIT ?2)
              WHERE type = 'payment.paid' AND created_at <= ?1 GROUP BY minutes_ago",
        )
        .bind(now.0)
        .bind(DETECT_SAMPLE)
        .fetch_all(&self.readers)
        .await?;
        let mut counts = vec![0; usize::from(minutes)];
        for (minutes_ago, count) in rows {
            let place = usize::try_from(minutes_ago).unwrap_or(usize::MAX);
            if let Some(slot) = counts.iter_mut().rev().nth(place) {
                *slot = u64::try_from(count).unwrap_or_default();
            }
        }
        Ok(counts)
    }

    /// What the daemon last found out about its accounts.
    pub async fn accounts(&self) -> Result<Vec<AccountRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, provider, state, state_since, resume_at, last_success_at,
                    last_failure_at, last_error, list_total, list_floor, list_positions,
                    list_read_at, list_read_from, list_read_to, caught_up_at
               FROM accounts ORDER BY name",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let mut cells = Cells::of(row)?;
                let name = AccountName(cells.text()?.unwrap_or_default());
                let provider = cells.text()?.unwrap_or_default();
                let word = cells.text()?.unwrap_or_default();
                let state = AccountState::parse(&word).ok_or_else(|| {
                    let what = format!("accounts.state of {name}: '{word}' is no state");
                    StoreError::Unusable(what)
                })?;
                Ok(AccountRecord {
                    name,
                    provider,
                    state,
                    state_since: cells.time()?.unwrap_or_default(),
                    resume_at: cells.time()?,
                    last_success_at: cells.time()?,
                    last_failure_at: cells.time()?,
                    last_error: cells.text()?,
                    list: ListRecord {
                        total: cells.number()?,
                        floor: cells.number()?,
                        positions: cells.text()?,
                        read_at: cells.time()?,
                        read_from: cells.number()?,
                        read_to: cells.number()?,
                        caught_up_at: cells.time()?,
                    },
                })
            })
            .collect()
    }

    /// Takes the write lock and gives it back: what cannot be written shows here.
    pub async fn require_writable(&self) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        writer.begin().await?;
        writer.roll_back().await
    }

    /// Whether the database says of itself that it is whole; else the first complaint.
    pub async fn quick_check(&self) -> Result<Result<(), String>, StoreError> {
        let answer: String = sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(&self.readers)
            .await?
            .try_get(0)?;
        Ok(if answer == "ok" { Ok(()) } else { Err(answer) })
    }
}

pub(super) fn invoices(rows: &[SqliteRow]) -> Result<Vec<Invoice>, StoreError> {
    rows.iter().map(invoice).collect()
}

fn event(row: &SqliteRow) -> Result<EventRow, StoreError> {
    let mut cells = Cells::of(row)?;
    Ok(EventRow {
        seq: cells.number()?.unwrap_or_default(),
        event_id: cells.text()?.unwrap_or_default(),
        event_type: cells.text()?.unwrap_or_default(),
        previous_status: cells.text()?,
        status: cells.text()?,
        created_at: cells.time()?.unwrap_or_default(),
        payload: cells.text()?.unwrap_or_default(),
    })
}
