//! Counts, ages, detection times, and the integrity of the database.

use sqlx::Row as _;

use super::{SqliteStore, accounts, status_queries};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::reports::in_minutes;
use crate::store::{DetectTimes, Overdue, Overview, StoreError};

/// Number of payments in `detect_times`, and of events in `payments_by_minute`.
const DETECT_SAMPLE: i64 = 10_000;

/// Counts and ages at `now`.
pub(super) async fn overview(store: &SqliteStore, now: UnixMillis) -> Result<Overview, StoreError> {
    let by_status = count_by_status(store).await?;
    let mut overdue = Overdue::default();
    for account in accounts::names_in_queue(&store.readers).await? {
        overdue.add(status_queries::overdue(store, &account, now).await?);
    }
    let (highest_seq, epoch): (i64, Option<String>) = sqlx::query_as(
        "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0),
                (SELECT value FROM meta WHERE key = 'epoch')",
    )
    .fetch_one(&store.readers)
    .await?;
    Ok(Overview {
        by_status,
        overdue,
        highest_seq,
        epoch: epoch.unwrap_or_default(),
    })
}

/// How long it took to detect payments. Payments made before the invoice was inserted do not count,
/// because it could not be polled.
pub(super) async fn detect_times(store: &SqliteStore) -> Result<DetectTimes, StoreError> {
    let millis: Vec<i64> = sqlx::query_scalar(
        "SELECT max(outbox.created_at - invoices.paid_at, 0)
           FROM outbox JOIN invoices USING (account, external_id)
          WHERE outbox.type = 'payment.paid' AND invoices.paid_at >= invoices.created_at
          ORDER BY outbox.seq DESC LIMIT ?1",
    )
    .bind(DETECT_SAMPLE)
    .fetch_all(&store.readers)
    .await?;
    Ok(DetectTimes::of(millis))
}

/// Payments found in each of the last `minutes` minutes, the latest last, among the newest 10,000
/// events.
pub(super) async fn payments_by_minute(
    store: &SqliteStore,
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
    .fetch_all(&store.readers)
    .await?;
    Ok(in_minutes(&rows, minutes))
}

/// Takes and releases the write lock, which fails if the database cannot be written.
pub(super) async fn require_writable(store: &SqliteStore) -> Result<(), StoreError> {
    let mut writer = store.writer().await?;
    writer.begin().await?;
    writer.roll_back().await
}

/// Runs the database's integrity check. Returns the first problem, if any.
pub(super) async fn quick_check(store: &SqliteStore) -> Result<Result<(), String>, StoreError> {
    let answer: String = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(&store.readers)
        .await?
        .try_get(0)?;
    Ok(if answer == "ok" { Ok(()) } else { Err(answer) })
}

/// Number of invoices in each status, in the order of an invoice's life, including zeros. Reads an
/// index entry for every invoice: 30 ms for a million.
pub(super) async fn count_by_status(store: &SqliteStore) -> Result<Vec<(Status, i64)>, StoreError> {
    let counts: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, count(*) FROM invoices GROUP BY status")
            .fetch_all(&store.readers)
            .await?;
    let count = |status: Status| {
        let found = counts.iter().find(|(word, _)| word == status.as_str());
        found.map_or(0, |(_, count)| *count)
    };
    Ok(Status::ALL.map(|status| (status, count(status))).to_vec())
}
