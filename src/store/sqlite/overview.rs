//! Counts, ages, detection times, and the integrity of the database.

use std::time::Duration;

use sqlx::Row as _;

use super::SqliteStore;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::reports::in_minutes;
use crate::store::{CAUGHT_UP_HOLDS, DetectTimes, Overview, StoreError};

/// Number of payments in `detect_times`, and of events in `payments_by_minute`.
const DETECT_SAMPLE: i64 = 10_000;

/// How long an account's `caught_up_at` counts as proof that polls by page had covered everything
/// due until then.
pub(super) const COVERED_FOR: Duration = Duration::from_mins(3);

/// The time up to which polls by page have covered an account's plans, NULL without `caught_up_at`.
/// ?1 is now, ?2 `COVERED_FOR` before, ?3 `CAUGHT_UP_HOLDS` before.
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

/// Invoices covered by polls by page are not overdue, whatever their rows say. A nudge always is.
const OVERDUE: &str = concat!(
    "SELECT count(*), min(max(next_poll_at, updated_at)) FROM invoices
      WHERE next_poll_at IS NOT NULL AND next_poll_at <= ?1
        AND (next_poll_at = 0 OR next_poll_at > coalesce(",
    covered_to!("invoices.account"),
    ", 0))"
);

/// Counts and ages at `now`.
pub(super) async fn overview(store: &SqliteStore, now: UnixMillis) -> Result<Overview, StoreError> {
    let by_status = count_by_status(store).await?;
    let (overdue, oldest): (i64, Option<i64>) = sqlx::query_as(OVERDUE)
        .bind(now.0)
        .bind(now.minus(COVERED_FOR).0)
        .bind(now.minus(CAUGHT_UP_HOLDS).0)
        .fetch_one(&store.readers)
        .await?;
    let (highest_seq, epoch): (i64, Option<String>) = sqlx::query_as(
        "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0),
                (SELECT value FROM meta WHERE key = 'epoch')",
    )
    .fetch_one(&store.readers)
    .await?;
    Ok(Overview {
        by_status,
        overdue,
        oldest_overdue_at: oldest.map(UnixMillis),
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
