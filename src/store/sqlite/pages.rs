//! The queries of polls by page: the queue in compact form, and the invoices that match orders.

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::row::{invoice, packed_cells, packed_invoice};
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::time::UnixMillis;
use crate::store::{DueRow, ListBeginning, QueuePlace, StoreError, json_lists, packed};

/// The only column that `due_row` reads, packed like `packed_invoice!()`.
macro_rules! packed_due_row {
    () => {
        "json_array(id, external_id, order_id, amount, currency, status, created_at, \
         coalesce(expires_at, created_at + timeout_seconds * 1000), next_poll_at, \
         last_polled_at, \
         reason IS NOT NULL OR failures <> 0 OR not_found_since IS NOT NULL, failures <> 0, \
         last_error IS NOT NULL)"
    };
}

/// Invoices planned for exactly the time of a position in the queue. Two statements, since a
/// comparison of pairs would scan all rows of one time: programs insert a million invoices in one
/// statement.
pub(super) const DUE_WITH: &str = concat!(
    "SELECT ",
    packed_due_row!(),
    " FROM invoices INDEXED BY invoices_due
      WHERE account = ?1 AND next_poll_at = ?2 AND id > ?3
      ORDER BY id LIMIT ?4"
);

/// Invoices planned for later than that.
pub(super) const DUE_LATER: &str = concat!(
    "SELECT ",
    packed_due_row!(),
    " FROM invoices INDEXED BY invoices_due
      WHERE account = ?1 AND next_poll_at > ?2 AND next_poll_at <= ?3
      ORDER BY next_poll_at, id LIMIT ?4"
);

const INSERTED_AFTER: &str = concat!(
    "SELECT ",
    packed_due_row!(),
    " FROM invoices NOT INDEXED
      WHERE id > ?2 AND account = ?1 AND next_poll_at IS NOT NULL
      ORDER BY id LIMIT ?3"
);

const LOAD: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices WHERE id IN (SELECT value FROM json_each(?1))"
);

/// Each value is `[order id, external id]`. An invoice with an order id is matched by that alone.
const MATCH: &str = concat!(
    "WITH listed (place, order_id, external_id) AS MATERIALIZED (
         SELECT key, value ->> 0, value ->> 1 FROM json_each(?2)),
     found (place, invoice_id) AS MATERIALIZED (
         SELECT place, id FROM listed CROSS JOIN invoices
             ON invoices.account = ?1 AND invoices.order_id = listed.order_id
         UNION ALL
         SELECT place, id FROM listed CROSS JOIN invoices
             ON invoices.account = ?1 AND invoices.external_id = listed.external_id
          WHERE invoices.order_id IS NULL)
     SELECT ",
    packed_invoice!(),
    ", place FROM found CROSS JOIN invoices ON invoices.id = found.invoice_id
      WHERE status <> 'rejected' AND (status <> 'paid' OR paid_amount IS NULL)
      ORDER BY place"
);

/// Each value is an order id.
const OF_ORDERS: &str = concat!(
    "WITH listed (place, listed_id) AS MATERIALIZED (SELECT key, value FROM json_each(?2))
     SELECT ",
    packed_invoice!(),
    ", place FROM listed CROSS JOIN invoices
        ON invoices.account = ?1 AND invoices.order_id = listed_id
      ORDER BY place"
);

/// Invoices without amounts are searched for among this many that ended last.
const ENDED_LATELY: u32 = 10_000;

pub(super) const WITHOUT_AMOUNTS: &str = "
    SELECT order_id, created_at
      FROM (SELECT id AS ended_id FROM invoices INDEXED BY invoices_ended
             WHERE next_poll_at IS NULL AND status IN ('paid', 'rejected', 'expired', 'cancelled')
               AND updated_at > ?2
             ORDER BY updated_at DESC LIMIT ?4)
      CROSS JOIN invoices ON id = ended_id
     WHERE account = ?1 AND status = 'paid' AND paid_amount IS NULL AND order_id IS NOT NULL
     LIMIT ?3";

pub(super) async fn due_after(
    readers: &SqlitePool,
    account: &AccountName,
    after: QueuePlace,
    until: UnixMillis,
    limit: u32,
) -> Result<Vec<DueRow>, StoreError> {
    let mut rows = Vec::new();
    if after.at <= until {
        rows = sqlx::query(DUE_WITH)
            .bind(&account.0)
            .bind(after.at.0)
            .bind(after.id.0)
            .bind(limit)
            .fetch_all(readers)
            .await?;
    }
    let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(limit));
    if left > 0 {
        let later = sqlx::query(DUE_LATER)
            .bind(&account.0)
            .bind(after.at.0)
            .bind(until.0)
            .bind(left)
            .fetch_all(readers)
            .await?;
        rows.extend(later);
    }
    rows.iter().map(due_row).collect()
}

pub(super) async fn inserted_after(
    readers: &SqlitePool,
    account: &AccountName,
    id: InvoiceId,
    limit: u32,
) -> Result<Vec<DueRow>, StoreError> {
    let rows = sqlx::query(INSERTED_AFTER)
        .bind(&account.0)
        .bind(id.0)
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter().map(due_row).collect()
}

pub(super) async fn beginning(
    readers: &SqlitePool,
    account: &AccountName,
) -> Result<ListBeginning, StoreError> {
    let (highest_id, positions): (i64, Option<String>) = sqlx::query_as(
        "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'invoices'), 0),
                (SELECT list_positions FROM accounts WHERE name = ?1)",
    )
    .bind(&account.0)
    .fetch_one(readers)
    .await?;
    Ok(ListBeginning {
        highest_id: InvoiceId(highest_id),
        positions,
    })
}

pub(super) async fn without_amounts(
    readers: &SqlitePool,
    account: &AccountName,
    since: UnixMillis,
    limit: u32,
) -> Result<Vec<(OrderId, UnixMillis)>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(WITHOUT_AMOUNTS)
        .bind(&account.0)
        .bind(since.0)
        .bind(limit)
        .bind(ENDED_LATELY)
        .fetch_all(readers)
        .await?;
    let typed = |(order, at)| (OrderId(order), UnixMillis(at));
    Ok(rows.into_iter().map(typed).collect())
}

pub(super) async fn has_pending(
    readers: &SqlitePool,
    account: &AccountName,
) -> Result<bool, StoreError> {
    let found: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM invoices INDEXED BY invoices_by_status
                         WHERE status = 'pending' AND account = ?1)",
    )
    .bind(&account.0)
    .fetch_one(readers)
    .await?;
    Ok(found)
}

pub(super) async fn load(
    readers: &SqlitePool,
    ids: &[InvoiceId],
) -> Result<Vec<Invoice>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(LOAD)
        .bind(json!(ids).to_string())
        .fetch_all(readers)
        .await?;
    rows.iter().map(invoice).collect()
}

pub(super) async fn match_orders(
    readers: &SqlitePool,
    account: &AccountName,
    orders: &[(&OrderId, Option<&ExternalId>)],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let keys = json_lists::order_keys(orders.iter().copied());
    let rows = sqlx::query(MATCH)
        .bind(&account.0)
        .bind(keys)
        .fetch_all(readers)
        .await?;
    rows.iter().map(placed_invoice).collect()
}

pub(super) async fn of_orders(
    readers: &SqlitePool,
    account: &AccountName,
    orders: &[OrderId],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let ids: Vec<&str> = orders.iter().map(|order| order.0.as_str()).collect();
    let rows = sqlx::query(OF_ORDERS)
        .bind(&account.0)
        .bind(json!(ids).to_string())
        .fetch_all(readers)
        .await?;
    rows.iter().map(placed_invoice).collect()
}

/// An invoice and the index of its order among the requested ones.
fn placed_invoice(row: &SqliteRow) -> Result<(usize, Invoice), StoreError> {
    let place: i64 = row.try_get(1)?;
    let index = usize::try_from(place).unwrap_or_default();
    Ok((index, invoice(row)?))
}

fn due_row(row: &SqliteRow) -> Result<DueRow, StoreError> {
    packed::due_row(&mut packed_cells(row)?)
}
