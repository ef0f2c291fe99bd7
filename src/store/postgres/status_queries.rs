//! The queries of the status page and the metrics while the daemon works. Each statement is short
//! and reads few rows, whatever their total number.

use sqlx::Row as _;

use super::PostgresStore;
use super::row::{invoices, packed_invoice};
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::overdue::{AT_ONCE, OverdueSpan};
use crate::store::{COUNTED_UP_TO, Lag, OutboxEntry, Overdue, StoreError};

/// Maximum number of consumers reported.
const MOST_CONSUMERS: i64 = 100;
/// Maximum number of nudged rows read for their times.
const MOST_NUDGED: i64 = 1000;

/// Plans of one account between two times: their number, and the first.
pub(super) const PLANS_BETWEEN: &str = "
    SELECT count(*), min(next_poll_at)
      FROM (SELECT next_poll_at FROM payrecond.invoices
             WHERE account = $1 AND next_poll_at > $2 AND next_poll_at <= $3
             ORDER BY next_poll_at LIMIT $4) AS plans";

pub(super) const OLDEST_NUDGED: &str = "
    SELECT count(*), min(updated_at)
      FROM (SELECT updated_at FROM payrecond.invoices
             WHERE account = $1 AND next_poll_at <= $2 AND updated_at <= $3 LIMIT $4) AS nudged";

const WAITING: &str = "
    SELECT count(*) FROM (SELECT 1 FROM payrecond.invoices
                           WHERE account = $1 AND next_poll_at IS NOT NULL LIMIT $2) AS waiting";

pub(super) const OVERDUE_ROWS: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i
      WHERE i.account = $1 AND i.next_poll_at > $2 AND i.next_poll_at <= $3
      ORDER BY i.next_poll_at LIMIT $4"
);

const NEWEST_OF_STATUS: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i WHERE i.status = $1 ORDER BY i.id DESC LIMIT $2"
);

/// Repeats the condition of the partial index, so that it is used.
const NEWEST_IN_REVIEW: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i WHERE i.status = 'review' ORDER BY i.id DESC LIMIT $1"
);

const LAGS: &str = "
    SELECT name, acked_seq,
           (SELECT count(*) FROM (SELECT 1 FROM payrecond.outbox
                                   WHERE seq > acked_seq LIMIT $1) AS unread) AS unread,
           (SELECT created_at FROM payrecond.outbox
             WHERE seq > acked_seq ORDER BY seq LIMIT 1) AS oldest
      FROM (SELECT name, acked_seq FROM payrecond.consumers
             WHERE name <> ALL ($3::text[])
             ORDER BY acked_seq, name COLLATE \"C\" LIMIT $2) AS behind";

pub(super) const ENTRIES_AFTER: &str = "
    SELECT o.seq, o.type, o.created_at,
           CASE WHEN o.type = 'payment.paid' THEN
               (SELECT i.paid_at FROM payrecond.invoices AS i
                 WHERE i.account = o.account AND i.external_id = o.external_id
                   AND i.paid_at >= i.created_at) END
      FROM payrecond.outbox AS o WHERE o.seq > $1 ORDER BY o.seq LIMIT $2";

/// The overdue invoices of an account at `now`. Those covered by polls by page do not count.
pub(super) async fn overdue(
    store: &PostgresStore,
    account: &AccountName,
    now: UnixMillis,
) -> Result<Overdue, StoreError> {
    let span = overdue_span(store, account, now).await?;
    let plans = sqlx::query(PLANS_BETWEEN)
        .bind(&account.0)
        .bind(span.after.0)
        .bind(span.until.0)
        .bind(i64::from(COUNTED_UP_TO));
    let nudged = sqlx::query(OLDEST_NUDGED)
        .bind(&account.0)
        .bind(AT_ONCE.0)
        .bind(span.until.0)
        .bind(MOST_NUDGED);
    let (mut count, mut oldest) = (0_i64, None);
    for statement in [plans, nudged] {
        if let Some(row) = store.connections.row(statement).await? {
            count += row.try_get::<i64, _>(0)?;
            oldest = oldest
                .into_iter()
                .chain(row.try_get::<Option<i64>, _>(1)?)
                .min();
        }
    }
    Ok(Overdue {
        count: count.min(COUNTED_UP_TO.into()),
        oldest_at: oldest.map(UnixMillis),
    })
}

/// Number of invoices of an account that have a next poll, counted up to a limit.
pub(super) async fn count_waiting(
    store: &PostgresStore,
    account: &AccountName,
) -> Result<i64, StoreError> {
    let statement = sqlx::query(WAITING)
        .bind(&account.0)
        .bind(i64::from(COUNTED_UP_TO));
    let count = store.connections.number(statement).await?;
    Ok(count.unwrap_or_default())
}

/// Invoices of an account whose poll was due before `before`, the oldest first.
pub(super) async fn overdue_invoices(
    store: &PostgresStore,
    account: &AccountName,
    now: UnixMillis,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<Invoice>, StoreError> {
    let span = overdue_span(store, account, now).await?;
    let statement = sqlx::query(OVERDUE_ROWS)
        .bind(&account.0)
        .bind(span.after.0)
        .bind(before.min(span.until).0)
        .bind(i64::from(limit));
    invoices(&store.connections.rows(statement).await?)
}

/// The overdue plans of an account at `now`.
async fn overdue_span(
    store: &PostgresStore,
    account: &AccountName,
    now: UnixMillis,
) -> Result<OverdueSpan, StoreError> {
    let statement =
        sqlx::query("SELECT caught_up_at FROM payrecond.accounts WHERE name = $1").bind(&account.0);
    let caught_up_at = store.connections.number(statement).await?;
    Ok(OverdueSpan::of(caught_up_at.map(UnixMillis), now))
}

/// The newest invoices of a status.
pub(super) async fn newest_of(
    store: &PostgresStore,
    status: Status,
    limit: u32,
) -> Result<Vec<Invoice>, StoreError> {
    let limit = i64::from(limit);
    let statement = if status == Status::Review {
        sqlx::query(NEWEST_IN_REVIEW).bind(limit)
    } else {
        sqlx::query(NEWEST_OF_STATUS)
            .bind(status.as_str())
            .bind(limit)
    };
    invoices(&store.connections.rows(statement).await?)
}

/// All consumers that are not switched off, at most a hundred, with the number of unread events,
/// counted up to `up_to`; the one furthest behind first.
pub(super) async fn lags(store: &PostgresStore, up_to: u32) -> Result<Vec<Lag>, StoreError> {
    let statement = sqlx::query(LAGS)
        .bind(i64::from(up_to))
        .bind(MOST_CONSUMERS)
        .bind(store.off_consumers());
    let rows = store.connections.rows(statement).await?;
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
    store: &PostgresStore,
    seq: i64,
    limit: u32,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let statement = sqlx::query(ENTRIES_AFTER).bind(seq).bind(i64::from(limit));
    let rows = store.connections.rows(statement).await?;
    rows.iter()
        .map(|row| {
            Ok(OutboxEntry {
                seq: row.try_get(0)?,
                event_type: row.try_get(1)?,
                created_at: UnixMillis(row.try_get(2)?),
                paid_at: row.try_get::<Option<i64>, _>(3)?.map(UnixMillis),
            })
        })
        .collect()
}

/// The last event written before `time`, by bisection: times rise with the seq, or nearly so if the
/// clock was set back.
pub(super) async fn seq_before(store: &PostgresStore, time: UnixMillis) -> Result<i64, StoreError> {
    let ends = sqlx::query(
        "SELECT coalesce((SELECT min(seq) FROM payrecond.outbox), 1) - 1,
                coalesce((SELECT max(seq) FROM payrecond.outbox), 0)",
    );
    let (mut low, mut high): (i64, i64) = match store.connections.row(ends).await? {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, 0),
    };
    while low < high {
        let middle = low + (high - low) / 2;
        let next = sqlx::query(
            "SELECT seq, created_at FROM payrecond.outbox WHERE seq > $1 ORDER BY seq LIMIT 1",
        )
        .bind(middle);
        match store.connections.row(next).await? {
            Some(row) if row.try_get::<i64, _>(1)? < time.0 => low = row.try_get(0)?,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}
