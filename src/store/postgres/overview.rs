//! Counts, ages, detection times, and the integrity of the database.

use sqlx::Row as _;

use super::{PostgresStore, accounts, status_queries};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::reports::in_minutes;
use crate::store::{DetectTimes, Overdue, Overview, StoreError};

/// Number of payments in `detect_times`, and of events in `payments_by_minute`.
const DETECT_SAMPLE: i64 = 10_000;

/// Takes and releases the lock that a write needs, and writes nothing.
const REQUIRE_WRITABLE: &str = "
    SELECT pg_current_xact_id()::text, (SELECT value FROM payrecond.meta
                                         WHERE key = 'epoch' FOR NO KEY UPDATE)";

/// Counts and ages at `now`.
pub(super) async fn overview(
    store: &PostgresStore,
    now: UnixMillis,
) -> Result<Overview, StoreError> {
    let by_status = count_by_status(store).await?;
    let mut overdue = Overdue::default();
    for account in accounts::names_in_queue(store).await? {
        overdue.add(status_queries::overdue(store, &account, now).await?);
    }
    let highest = sqlx::query(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END,
                (SELECT value FROM payrecond.meta WHERE key = 'epoch')
           FROM payrecond.outbox_seq",
    );
    let row = store.connections.row(highest).await?;
    let (highest_seq, epoch): (i64, Option<String>) = match row {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, None),
    };
    Ok(Overview {
        by_status,
        overdue,
        highest_seq,
        epoch: epoch.unwrap_or_default(),
    })
}

/// How long it took to detect payments. Payments made before the invoice was inserted do not count,
/// because it could not be polled.
pub(super) async fn detect_times(store: &PostgresStore) -> Result<DetectTimes, StoreError> {
    let statement = sqlx::query(
        "SELECT greatest(o.created_at - i.paid_at, 0)
           FROM payrecond.outbox AS o
           JOIN payrecond.invoices AS i USING (account, external_id)
          WHERE o.type = 'payment.paid' AND i.paid_at >= i.created_at
          ORDER BY o.seq DESC LIMIT $1",
    )
    .bind(DETECT_SAMPLE);
    let rows = store.connections.rows(statement).await?;
    let mut millis = Vec::with_capacity(rows.len());
    for row in &rows {
        millis.push(row.try_get::<i64, _>(0)?);
    }
    Ok(DetectTimes::of(millis))
}

/// Payments found in each of the last `minutes` minutes, the latest last, among the newest 10,000
/// events.
pub(super) async fn payments_by_minute(
    store: &PostgresStore,
    now: UnixMillis,
    minutes: u8,
) -> Result<Vec<u64>, StoreError> {
    let statement = sqlx::query(
        "SELECT ($1 - created_at) / 60000 AS minutes_ago, count(*)
           FROM (SELECT type, created_at FROM payrecond.outbox ORDER BY seq DESC LIMIT $2) AS newest
          WHERE type = 'payment.paid' AND created_at <= $1 GROUP BY minutes_ago",
    )
    .bind(now.0)
    .bind(DETECT_SAMPLE);
    let rows = store.connections.rows(statement).await?;
    let counted = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let counted: Vec<(i64, i64)> = counted.collect::<Result<_, StoreError>>()?;
    Ok(in_minutes(&counted, minutes))
}

pub(super) async fn require_writable(store: &PostgresStore) -> Result<(), StoreError> {
    store
        .connections
        .rows(sqlx::query(REQUIRE_WRITABLE))
        .await?;
    Ok(())
}

/// Checks that the indexes the daemon relies on are usable; PostgreSQL has checksums for the rest.
/// Returns the first problem, if any.
pub(super) async fn quick_check(store: &PostgresStore) -> Result<Result<(), String>, StoreError> {
    let statement = sqlx::query(
        "SELECT c.relname::text FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
          WHERE c.relnamespace = 'payrecond'::regnamespace AND NOT (x.indisvalid AND x.indisready)
          ORDER BY 1 LIMIT 1",
    );
    Ok(match store.connections.row(statement).await? {
        Some(row) => {
            let name: String = row.try_get(0)?;
            Err(format!(
                "index payrecond.{name} is invalid; REINDEX rebuilds it"
            ))
        }
        None => Ok(()),
    })
}

/// Number of invoices in each status, in the order of an invoice's life, including zeros. Reads
/// every invoice: half a second for a million.
pub(super) async fn count_by_status(
    store: &PostgresStore,
) -> Result<Vec<(Status, i64)>, StoreError> {
    let statement = sqlx::query("SELECT status, count(*) FROM payrecond.invoices GROUP BY status");
    let rows = store.connections.rows(statement).await?;
    let mut counts = Status::ALL.map(|status| (status, 0)).to_vec();
    for row in &rows {
        let word: String = row.try_get(0)?;
        if let Some(slot) = counts
            .iter_mut()
            .find(|(status, _)| status.as_str() == word)
        {
            slot.1 = row.try_get(1)?;
        }
    }
    Ok(counts)
}
