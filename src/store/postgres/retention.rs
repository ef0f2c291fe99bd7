//! Deletes old rows in short transactions of a few thousand rows.

use sqlx::Connection as _;

use super::PostgresStore;
use super::connect;
use super::fence::fenced;
use super::pool::Statement;
use crate::domain::time::UnixMillis;
use crate::store::StoreError;

/// Repeats the condition of the partial index, so that it is used.
pub(super) const PRUNE_INVOICES: &str = concat!(
    fenced!(),
    "gone AS (
         DELETE FROM payrecond.invoices
          WHERE id IN (SELECT id FROM payrecond.invoices
                        WHERE status IN ('paid', 'rejected', 'expired', 'cancelled')
                          AND next_poll_at IS NULL AND updated_at < $3
                        ORDER BY updated_at LIMIT $4 FOR UPDATE SKIP LOCKED)
            AND EXISTS (SELECT 1 FROM allowed)
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed, (SELECT count(*) FROM gone) AS gone"
);

/// The first event that is too young, or the limit of this run; never beyond what every consumer
/// that is not switched off has acknowledged.
const FLOOR: &str = "
    SELECT least(first.seq,
                 (SELECT min(acked_seq) + 1 FROM payrecond.consumers
                   WHERE name <> ALL ($3::text[])))
      FROM (SELECT coalesce(min(CASE WHEN created_at >= $1 THEN seq END), max(seq) + 1) AS seq
              FROM (SELECT seq, created_at FROM payrecond.outbox ORDER BY seq LIMIT $2) AS oldest)
           AS first";

/// The floor waits for each consumer's position, so that of a consumer that is switched off is
/// moved ahead.
const PASS_OVER: &str = "
    UPDATE payrecond.consumers SET acked_seq = $2 - 1 WHERE name = ANY ($1::text[]) AND acked_seq < $2 - 1";

/// A guard forbids the deletion of anything above the floor. The floor never falls.
const RAISE_FLOOR: &str = "
    INSERT INTO payrecond.meta AS known (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
     WHERE known.value::bigint < EXCLUDED.value::bigint";

pub(super) async fn prune_outbox(
    store: &PostgresStore,
    before: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let off_consumers = store.off_consumers();
    let floor = sqlx::query(FLOOR)
        .bind(before.0)
        .bind(i64::from(limit))
        .bind(off_consumers);
    let Some(floor) = store.connections.number(floor).await? else {
        return Ok(0);
    };
    let statements = [
        sqlx::query(PASS_OVER).bind(off_consumers).bind(floor),
        sqlx::query(RAISE_FLOOR)
            .bind("outbox_floor")
            .bind(floor.to_string()),
        sqlx::query("DELETE FROM payrecond.outbox WHERE seq < $1").bind(floor),
    ];
    together(store, statements).await
}

pub(super) async fn prune_invoices(
    store: &PostgresStore,
    before: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let statement = sqlx::query(PRUNE_INVOICES)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(before.0)
        .bind(i64::from(limit));
    store.fenced_count(statement, "gone").await
}

pub(super) async fn prune_transactions(
    store: &PostgresStore,
    before: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let statements = [
        sqlx::query(RAISE_FLOOR)
            .bind("transactions_floor")
            .bind(before.0.to_string()),
        sqlx::query(
            "DELETE FROM payrecond.transactions
              WHERE (account, transaction_id, direction) IN (
                        SELECT account, transaction_id, direction FROM payrecond.transactions
                         WHERE invoice_id IS NULL AND seen_at < $1
                         ORDER BY seen_at LIMIT $2)",
        )
        .bind(before.0)
        .bind(i64::from(limit)),
    ];
    together(store, statements).await
}

/// The statements of one transaction, which the server ends if this process does not continue.
/// Returns the rows of the last one.
async fn together<const N: usize>(
    store: &PostgresStore,
    statements: [Statement<'_>; N],
) -> Result<u64, StoreError> {
    let mut connection = store.connections.acquire().await?;
    let outcome = connect::within(async {
        let mut transaction = connection.begin().await?;
        let fence = sqlx::query(
            "SELECT 1 FROM payrecond.leases WHERE name = $1 AND token = $2 FOR KEY SHARE",
        );
        if let Some(name) = &store.fence.name {
            let held = fence.bind(name).bind(store.fence.token);
            if held.fetch_optional(&mut *transaction).await?.is_none() {
                return Err(store.fence.lost());
            }
        }
        let mut rows = 0;
        for statement in statements {
            rows = statement.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(rows)
    });
    let outcome = outcome.await;
    if outcome.is_err() {
        connection.close_on_drop();
    }
    outcome
}
