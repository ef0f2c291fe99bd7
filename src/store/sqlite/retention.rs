//! Deletes old rows in short transactions of a few thousand rows.

use super::connection::WriteConnection;
use super::consumers::json_names;
use crate::domain::time::UnixMillis;
use crate::store::StoreError;

/// Repeats the condition of the partial index, so that it is used.
pub(super) const PRUNE_INVOICES: &str = "
    DELETE FROM invoices
     WHERE id IN (SELECT id FROM invoices INDEXED BY invoices_ended
                   WHERE status IN ('paid', 'rejected', 'expired', 'cancelled')
                     AND next_poll_at IS NULL AND updated_at < ?1
                   ORDER BY updated_at LIMIT ?2)";

pub(super) const PRUNE_TRANSACTIONS: &str = "
    DELETE FROM transactions
     WHERE (account, transaction_id, direction) IN (
               SELECT account, transaction_id, direction
                 FROM transactions INDEXED BY transactions_to_keep
                WHERE invoice_id IS NULL AND seen_at < ?1
                ORDER BY seen_at LIMIT ?2)";

/// The first event that is too young, or the limit of this run; never beyond what every consumer
/// that is not switched off has acknowledged.
const FLOOR: &str = "
    SELECT min(first.seq, coalesce((SELECT min(acked_seq) + 1 FROM consumers
                                     WHERE name NOT IN (SELECT value FROM json_each(?3))),
                                   first.seq))
      FROM (SELECT coalesce(min(CASE WHEN created_at >= ?1 THEN seq END), max(seq) + 1) AS seq
              FROM (SELECT seq, created_at FROM outbox ORDER BY seq LIMIT ?2)) AS first";

/// The floor waits for each consumer's position, so that of a consumer that is switched off is
/// moved ahead.
const PASS_OVER: &str = "
    UPDATE consumers SET acked_seq = ?2 - 1
     WHERE name IN (SELECT value FROM json_each(?1)) AND acked_seq < ?2 - 1";

pub(super) async fn prune_outbox(
    writer: &mut WriteConnection,
    off_consumers: &[String],
    before: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let off_consumers = json_names(off_consumers);
    let connection = writer.begin().await?;
    let floor: Option<i64> = sqlx::query_scalar(FLOOR)
        .bind(before.0)
        .bind(limit)
        .bind(&off_consumers)
        .fetch_one(&mut *connection)
        .await?;
    let mut deleted = 0;
    if let Some(floor) = floor {
        sqlx::query(PASS_OVER)
            .bind(&off_consumers)
            .bind(floor)
            .execute(&mut *connection)
            .await?;
        // A new consumer starts below events that were deleted before it was created; the floor
        // never falls.
        sqlx::query(
            "UPDATE meta SET value = ?1
              WHERE key = 'outbox_floor' AND CAST(value AS INTEGER) < CAST(?1 AS INTEGER)",
        )
        .bind(floor.to_string())
        .execute(&mut *connection)
        .await?;
        deleted = sqlx::query("DELETE FROM outbox WHERE seq < ?1")
            .bind(floor)
            .execute(connection)
            .await?
            .rows_affected();
    }
    writer.commit().await?;
    Ok(deleted)
}

pub(super) async fn prune_invoices(
    writer: &mut WriteConnection,
    before: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let connection = writer.begin().await?;
    let deleted = sqlx::query(PRUNE_INVOICES)
        .bind(before.0)
        .bind(limit)
        .execute(connection)
        .await?
        .rows_affected();
    writer.commit().await?;
    Ok(deleted)
}

/// The floor rises first: a trigger forbids the deletion of anything above it.
pub(super) async fn prune_transactions(
    writer: &mut WriteConnection,
    before: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let connection = writer.begin().await?;
    for statement in [
        "INSERT INTO meta (key, value)
         SELECT 'transactions_floor', '0'
          WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'transactions_floor')",
        "UPDATE meta SET value = ?1
          WHERE key = 'transactions_floor' AND CAST(value AS INTEGER) < CAST(?1 AS INTEGER)",
    ] {
        sqlx::query(statement)
            .bind(before.0.to_string())
            .execute(&mut *connection)
            .await?;
    }
    let deleted = sqlx::query(PRUNE_TRANSACTIONS)
        .bind(before.0)
        .bind(limit)
        .execute(connection)
        .await?
        .rows_affected();
    writer.commit().await?;
    Ok(deleted)
}
