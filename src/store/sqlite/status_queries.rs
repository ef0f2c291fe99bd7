//! The queries of the status page and the metrics while the daemon works. Each statement is short
//! and reads few rows, whatever their total number; the one that counts all invoices is separate.

use sqlx::Row as _;

use super::SqliteStore;
use super::consumers::json_names;
use super::invoices::invoices;
use super::row::packed_invoice;
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::overdue::{AT_ONCE, OverdueSpan};
use crate::store::{COUNTED_UP_TO, Lag, OutboxEntry, Overdue, StoreError};

/// Maximum number of consumers reported.
const MOST_CONSUMERS: u32 = 100;
/// Maximum number of nudged rows read for their times.
const MOST_NUDGED: u32 = 1000;

/// Plans of one account between two times, in order: the index holds nothing else.
pub(super) const PLANS_BETWEEN: &str = "
    SELECT next_poll_at FROM invoices
     WHERE account = ?1 AND next_poll_at > ?2 AND next_poll_at <= ?3
     ORDER BY next_poll_at LIMIT ?4";

pub(super) const OLDEST_NUDGED: &str = "
    SELECT min(updated_at), count(*) FROM
           (SELECT updated_at FROM invoices
             WHERE account = ?1 AND next_poll_at <= ?2 AND updated_at <= ?3 LIMIT ?4)";

pub(super) const WAITING: &str = "
    SELECT count(*) FROM
           (SELECT 1 FROM invoices WHERE account = ?1 AND next_poll_at IS NOT NULL LIMIT ?2)";

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
      FROM (SELECT name, acked_seq FROM consumers
             WHERE name NOT IN (SELECT value FROM json_each(?3))
             ORDER BY acked_seq, name LIMIT ?2)";

pub(super) const ENTRIES_AFTER: &str = "
    SELECT seq, type, created_at,
           CASE WHEN type = 'payment.paid' THEN
               (SELECT paid_at FROM invoices
                 WHERE invoices.account = outbox.account
                   AND invoices.external_id = outbox.external_id
                   AND invoices.paid_at >= invoices.created_at) END
      FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// The overdue invoices of an account at `now`. Those covered by polls by page do not count.
pub(super) async fn overdue(
    store: &SqliteStore,
    account: &AccountName,
    now: UnixMillis,
) -> Result<Overdue, StoreError> {
    let span = overdue_span(store, account, now).await?;
    let plans: Vec<i64> = sqlx::query_scalar(PLANS_BETWEEN)
        .bind(&account.0)
        .bind(span.after.0)
        .bind(span.until.0)
        .bind(COUNTED_UP_TO)
        .fetch_all(&store.readers)
        .await?;
    let (oldest_nudge, nudged): (Option<i64>, i64) = sqlx::query_as(OLDEST_NUDGED)
        .bind(&account.0)
        .bind(AT_ONCE.0)
        .bind(span.until.0)
        .bind(MOST_NUDGED)
        .fetch_one(&store.readers)
        .await?;
    let planned = i64::try_from(plans.len()).unwrap_or(i64::MAX);
    let oldest = plans.first().copied().into_iter().chain(oldest_nudge).min();
    Ok(Overdue {
        count: planned.saturating_add(nudged).min(COUNTED_UP_TO.into()),
        oldest_at: oldest.map(UnixMillis),
    })
}

/// Number of invoices of an account that have a next poll, counted up to a limit.
pub(super) async fn count_waiting(
    store: &SqliteStore,
    account: &AccountName,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(WAITING)
        .bind(&account.0)
        .bind(COUNTED_UP_TO)
        .fetch_one(&store.readers)
        .await?)
}

/// Invoices of an account whose poll was due before `before`, the oldest first.
pub(super) async fn overdue_invoices(
    store: &SqliteStore,
    account: &AccountName,
    now: UnixMillis,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<Invoice>, StoreError> {
    let span = overdue_span(store, account, now).await?;
    let rows = sqlx::query(OVERDUE_ROWS)
        .bind(&account.0)
        .bind(span.after.0)
        .bind(before.min(span.until).0)
        .bind(limit)
        .fetch_all(&store.readers)
        .await?;
    invoices(&rows)
}

/// The overdue plans of an account at `now`.
async fn overdue_span(
    store: &SqliteStore,
    account: &AccountName,
    now: UnixMillis,
) -> Result<OverdueSpan, StoreError> {
    let caught_up_at: Option<Option<i64>> =
        sqlx::query_scalar("SELECT caught_up_at FROM accounts WHERE name = ?1")
            .bind(&account.0)
            .fetch_optional(&store.readers)
            .await?;
    Ok(OverdueSpan::of(caught_up_at.flatten().map(UnixMillis), now))
}

/// The newest invoices of a status.
pub(super) async fn newest_of(
    store: &SqliteStore,
    status: Status,
    limit: u32,
) -> Result<Vec<Invoice>, StoreError> {
    let rows = sqlx::query(NEWEST_OF_STATUS)
        .bind(status.as_str())
        .bind(limit)
        .fetch_all(&store.readers)
        .await?;
    invoices(&rows)
}

/// All consumers that are not switched off, at most a hundred, with the number of unread events,
/// counted up to `up_to`; the one furthest behind first.
pub(super) async fn lags(store: &SqliteStore, up_to: u32) -> Result<Vec<Lag>, StoreError> {
    let rows = sqlx::query(LAGS)
        .bind(up_to)
        .bind(MOST_CONSUMERS)
        .bind(json_names(&store.off_consumers))
        .fetch_all(&store.readers)
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
pub(super) async fn entries_after(
    store: &SqliteStore,
    seq: i64,
    limit: u32,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let rows: Vec<(i64, String, i64, Option<i64>)> = sqlx::query_as(ENTRIES_AFTER)
        .bind(seq)
        .bind(limit)
        .fetch_all(&store.readers)
        .await?;
    let told = rows
        .into_iter()
        .map(|(seq, event_type, at, paid_at)| OutboxEntry {
            seq,
            event_type,
            created_at: UnixMillis(at),
            paid_at: paid_at.map(UnixMillis),
        });
    Ok(told.collect())
}

/// The last event written before `time`, by bisection: times rise with the seq, or nearly so if the
/// clock was set back.
pub(super) async fn seq_before(store: &SqliteStore, time: UnixMillis) -> Result<i64, StoreError> {
    let (mut low, mut high): (i64, i64) = sqlx::query_as(
        "SELECT coalesce((SELECT min(seq) FROM outbox), 1) - 1,
                coalesce((SELECT max(seq) FROM outbox), 0)",
    )
    .fetch_one(&store.readers)
    .await?;
    while low < high {
        let middle = low + (high - low) / 2;
        let next: Option<(i64, i64)> = sqlx::query_as(
            "SELECT seq, created_at FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT 1",
        )
        .bind(middle)
        .fetch_optional(&store.readers)
        .await?;
        match next {
            Some((seq, at)) if at < time.0 => low = seq,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}
