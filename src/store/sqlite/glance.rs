//! What the status page and the metrics ask while the daemon works. Each statement is short and reads
//! little, whatever the number of rows; the one that counts all invoices is told apart.

use sqlx::Row as _;

use super::SqliteStore;
use super::connection::beside;
use super::reports::{COVERED_FOR, covered_to, invoices};
use super::row::packed_invoice;
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, WORD_HOLDS_FOR};

/// Overdue invoices, and events that a consumer has not read, are counted up to this.
pub const COUNTED_UP_TO: u32 = 10_000;
/// Consumers that are told of.
const MOST_CONSUMERS: u32 = 100;
/// Nudged rows that are read for their times.
const MOST_NUDGED: u32 = 1000;

/// A plan at or below this means "at once": since when, the row's own time of change tells.
const AT_ONCE: i64 = 1;

/// Plans of one account between two times, in order: the index holds nothing else.
pub(super) const PLANS_BETWEEN: &str = "
    SELECT next_poll_at FROM invoices
     WHERE account = ?1 AND next_poll_at > ?2 AND next_poll_at <= ?3
     ORDER BY next_poll_at LIMIT ?4";

pub(super) const OLDEST_NUDGED: &str = "
    SELECT min(updated_at), count(*) FROM
           (SELECT updated_at FROM invoices
             WHERE account = ?1 AND next_poll_at <= ?2 AND updated_at <= ?3 LIMIT ?4)";

pub(super) const OVERDUE_ROWS: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices WHERE account = ?1 AND next_poll_at > ?2 AND next_poll_at <= ?3
      ORDER BY next_poll_at LIMIT ?4"
);

/// `status` first in the index, the row's id behind it: the newest come without sorting.
pub(super) const NEWEST_OF_STATUS: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices INDEXED BY invoices_by_status WHERE status = ?1 ORDER BY id DESC LIMIT ?2"
);

pub(super) const LAGS: &str = "
    SELECT name, acked_seq,
           (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE seq > acked_seq LIMIT ?1)) AS unread,
           (SELECT created_at FROM outbox WHERE seq > acked_seq ORDER BY seq LIMIT 1) AS oldest
      FROM (SELECT name, acked_seq FROM consumers WHERE name IS NOT ?3
             ORDER BY acked_seq, name LIMIT ?2)";

pub(super) const TOLD_AFTER: &str = "
    SELECT seq, type, created_at,
           CASE WHEN type = 'payment.paid' THEN
               (SELECT paid_at FROM invoices
                 WHERE invoices.account = outbox.account
                   AND invoices.external_id = outbox.external_id
                   AND invoices.paid_at >= invoices.created_at) END
      FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// What is overdue in one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Looks that should have been made by now, counted up to `COUNTED_UP_TO`.
    pub count: i64,
    /// When the oldest of them should have been made.
    pub oldest_at: Option<UnixMillis>,
}

/// A consumer and what it has not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Its name.
    pub consumer: String,
    /// The last event it has acknowledged.
    pub acked_seq: i64,
    /// Events it has not, counted up to a limit.
    pub unread: i64,
    /// When the oldest of them was written.
    pub oldest_at: Option<UnixMillis>,
}

/// An event in the fewest words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Place in the outbox.
    pub seq: i64,
    /// `payment.paid` and so on.
    pub event_type: String,
    /// When it was written.
    pub created_at: UnixMillis,
    /// Of a payment: when it was made, by the provider's clock.
    pub paid_at: Option<UnixMillis>,
}

impl SqliteStore {
    /// Invoices of each status, in the order of a life; zeros included. Reads an entry of an index
    /// for every invoice: 30 ms for a million.
    pub async fn count_by_status(&self) -> Result<Vec<(Status, i64)>, StoreError> {
        let counts: Vec<(String, i64)> =
            sqlx::query_as("SELECT status, count(*) FROM invoices GROUP BY status")
                .fetch_all(&self.readers)
                .await?;
        let count = |status: Status| {
            let found = counts.iter().find(|(word, _)| word == status.as_str());
            found.map_or(0, |(_, count)| *count)
        };
        Ok(Status::ALL.map(|status| (status, count(status))).to_vec())
    }

    /// What is overdue in an account at `now`. What looks by page have covered is not.
    pub async fn overdue(
        &self,
        account: &AccountName,
        now: UnixMillis,
    ) -> Result<Overdue, StoreError> {
        let covered = self.covered_to(account, now).await?;
        let plans: Vec<i64> = sqlx::query_scalar(PLANS_BETWEEN)
            .bind(&account.0)
            .bind(covered)
            .bind(now.0)
            .bind(COUNTED_UP_TO)
            .fetch_all(&self.readers)
            .await?;
        let (oldest_nudge, nudged): (Option<i64>, i64) = sqlx::query_as(OLDEST_NUDGED)
            .bind(&account.0)
            .bind(AT_ONCE)
            .bind(now.0)
            .bind(MOST_NUDGED)
            .fetch_one(&self.readers)
            .await?;
        let planned = i64::try_from(plans.len()).unwrap_or(i64::MAX);
        let oldest = plans.first().copied().into_iter().chain(oldest_nudge).min();
        Ok(Overdue {
            count: planned.saturating_add(nudged).min(COUNTED_UP_TO.into()),
            oldest_at: oldest.map(UnixMillis),
        })
    }

    /// Invoices of an account whose looks should have been made before `before`, the oldest first.
    pub async fn overdue_invoices(
        &self,
        account: &AccountName,
        now: UnixMillis,
        before: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Invoice>, StoreError> {
        let covered = self.covered_to(account, now).await?;
        let rows = sqlx::query(OVERDUE_ROWS)
            .bind(&account.0)
            .bind(covered)
            .bind(before.0)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        invoices(&rows)
    }

    /// Plans up to this time are no matter: looks by page have covered them.
    async fn covered_to(&self, account: &AccountName, now: UnixMillis) -> Result<i64, StoreError> {
        let covered: Option<i64> = sqlx::query_scalar(concat!("SELECT ", covered_to!("?4")))
            .bind(now.0)
            .bind(now.minus(COVERED_FOR).0)
            .bind(now.minus(WORD_HOLDS_FOR).0)
            .bind(&account.0)
            .fetch_one(&self.readers)
            .await?;
        Ok(covered.unwrap_or(AT_ONCE).max(AT_ONCE))
    }

    /// The newest invoices of a status.
    pub async fn newest_of(&self, status: Status, limit: u32) -> Result<Vec<Invoice>, StoreError> {
        let rows = sqlx::query(NEWEST_OF_STATUS)
            .bind(status.as_str())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        invoices(&rows)
    }

    /// Every consumer that is not switched off, a hundred at most, the one that is furthest behind
    /// first, with what it has not read, counted up to `up_to`.
    pub async fn lags(&self, up_to: u32) -> Result<Vec<Lag>, StoreError> {
        let rows = sqlx::query(LAGS)
            .bind(up_to)
            .bind(MOST_CONSUMERS)
            .bind(self.off_consumer.as_deref())
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Lag {
                    consumer: row.try_get("name")?,
                    acked_seq: row.try_get("acked_seq")?,
                    unread: row.try_get("unread")?,
                    oldest_at: row.try_get::<Option<i64>, _>("oldest")?.map(UnixMillis),
                })
            })
            .collect()
    }

    /// Up to `limit` events after `seq`, in order.
    pub async fn told_after(&self, seq: i64, limit: u32) -> Result<Vec<Told>, StoreError> {
        let rows: Vec<(i64, String, i64, Option<i64>)> = sqlx::query_as(TOLD_AFTER)
            .bind(seq)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let told = rows.into_iter().map(|(seq, event_type, at, paid_at)| Told {
            seq,
            event_type,
            created_at: UnixMillis(at),
            paid_at: paid_at.map(UnixMillis),
        });
        Ok(told.collect())
    }

    /// The last event that was written before `time`, by halving: times rise with the numbers, or
    /// nearly so where a clock went back.
    pub async fn seq_before(&self, time: UnixMillis) -> Result<i64, StoreError> {
        let (mut low, mut high): (i64, i64) = sqlx::query_as(
            "SELECT coalesce((SELECT min(seq) FROM outbox), 1) - 1,
                    coalesce((SELECT max(seq) FROM outbox), 0)",
        )
        .fetch_one(&self.readers)
        .await?;
        while low < high {
            let middle = low + (high - low) / 2;
            let next: Option<(i64, i64)> = sqlx::query_as(
                "SELECT seq, created_at FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT 1",
            )
            .bind(middle)
            .fetch_optional(&self.readers)
            .await?;
            match next {
                Some((seq, at)) if at < time.0 => low = seq,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Bytes of the database and of its log.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn sizes(&self) -> std::io::Result<(u64, u64)> {
        // Asking for the size opens nothing: SQLite's locks on the file stay.
        let database = std::fs::metadata(self.path())?.len();
        let wal = std::fs::metadata(beside(self.path(), "-wal")).map_or(0, |file| file.len());
        Ok((database, wal))
    }
}
