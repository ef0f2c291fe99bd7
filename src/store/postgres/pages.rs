//! The queries of polls: the queue in compact form, and the invoices that match orders.

use sqlx::Row as _;

use super::PostgresStore;
use super::row::{due_rows, invoices, packed_due_row, packed_invoice, placed_invoice};
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::time::UnixMillis;
use crate::store::{DueRow, ListBeginning, QueuePlace, StoreError, json_lists};

/// Invoices planned after a position in the queue. Never from its start, where the index keeps the
/// entries of updated rows for as long as any transaction could see them.
pub(super) const DUE_AFTER: &str = concat!(
    "SELECT ",
    packed_due_row!(),
    " FROM payrecond.invoices AS i
      WHERE i.account = $1 AND (i.next_poll_at, i.id) > ($2, $3) AND i.next_poll_at <= $4
      ORDER BY i.next_poll_at, i.id LIMIT $5"
);

/// By ids: IS TRUE keeps the account's own indices out, which would be walked from end to end.
pub(super) const INSERTED_AFTER: &str = concat!(
    "SELECT ",
    packed_due_row!(),
    " FROM payrecond.invoices AS i
      WHERE i.id > $2 AND (i.account = $1) IS TRUE AND i.next_poll_at IS NOT NULL
      ORDER BY i.id LIMIT $3"
);

pub(super) const LOAD: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i WHERE i.id = ANY ($1)"
);

/// `[order id, external id]` each. An invoice that knows its order is found by it alone. LATERAL with a
/// limit looks each one up, whatever the planner thinks of the table's size.
const MATCH: &str = concat!(
    "WITH listed AS MATERIALIZED (
         SELECT place - 1 AS place, value ->> 0 AS order_id, value ->> 1 AS external_id
           FROM json_array_elements($2::text::json) WITH ORDINALITY AS listed (value, place)),
     found AS MATERIALIZED (
         SELECT place, i.id AS invoice_id FROM listed CROSS JOIN LATERAL (
             SELECT id FROM payrecond.invoices
              WHERE account = $1 AND order_id = listed.order_id LIMIT 1) AS i
         UNION ALL
         SELECT place, i.id FROM listed CROSS JOIN LATERAL (
             SELECT id, order_id FROM payrecond.invoices
              WHERE account = $1 AND external_id = listed.external_id LIMIT 1) AS i
          WHERE i.order_id IS NULL)
     SELECT ",
    packed_invoice!(),
    ", place FROM found JOIN payrecond.invoices AS i ON i.id = found.invoice_id
      WHERE i.status <> 'rejected' AND (i.status <> 'paid' OR i.paid_amount IS NULL)
      ORDER BY place"
);

const OF_ORDERS: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    ", listed.place - 1
      FROM unnest($2::text[]) WITH ORDINALITY AS listed (listed_id, place)
     CROSS JOIN LATERAL (SELECT * FROM payrecond.invoices
                          WHERE account = $1 AND order_id = listed_id LIMIT 1) AS i
     ORDER BY listed.place"
);

/// Invoices without amounts are searched for among this many that ended last.
const ENDED_LATELY: i64 = 10_000;

pub(super) const WITHOUT_AMOUNTS: &str = "
    SELECT order_id, created_at
      FROM (SELECT order_id, created_at, account, status, paid_amount FROM payrecond.invoices
             WHERE next_poll_at IS NULL AND status IN ('paid', 'rejected', 'expired', 'cancelled')
               AND updated_at > $2
             ORDER BY updated_at DESC LIMIT $4) AS ended
     WHERE account = $1 AND status = 'paid' AND paid_amount IS NULL AND order_id IS NOT NULL
     LIMIT $3";

/// Every invoice that waits for money has a plan, so the index on plans finds one quickly.
const HAS_PENDING: &str = "
    SELECT EXISTS (SELECT 1 FROM payrecond.invoices
                    WHERE account = $1 AND next_poll_at IS NOT NULL AND status = 'pending')";

pub(super) async fn due_after(
    store: &PostgresStore,
    account: &AccountName,
    after: QueuePlace,
    until: UnixMillis,
    limit: u32,
) -> Result<Vec<DueRow>, StoreError> {
    let statement = sqlx::query(DUE_AFTER)
        .bind(&account.0)
        .bind(after.at.0)
        .bind(after.id.0)
        .bind(until.0)
        .bind(i64::from(limit));
    due_rows(&store.connections.rows(statement).await?)
}

pub(super) async fn inserted_after(
    store: &PostgresStore,
    account: &AccountName,
    id: InvoiceId,
    limit: u32,
) -> Result<Vec<DueRow>, StoreError> {
    let statement = sqlx::query(INSERTED_AFTER)
        .bind(&account.0)
        .bind(id.0)
        .bind(i64::from(limit));
    due_rows(&store.connections.rows(statement).await?)
}

pub(super) async fn beginning(
    store: &PostgresStore,
    account: &AccountName,
) -> Result<ListBeginning, StoreError> {
    let statement = sqlx::query(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END,
                (SELECT list_positions FROM payrecond.accounts WHERE name = $1)
           FROM payrecond.invoices_id_seq",
    );
    let row = store.connections.row(statement.bind(&account.0)).await?;
    let Some(row) = row else {
        return Ok(ListBeginning::default());
    };
    Ok(ListBeginning {
        highest_id: InvoiceId(row.try_get(0)?),
        positions: row.try_get(1)?,
    })
}

pub(super) async fn without_amounts(
    store: &PostgresStore,
    account: &AccountName,
    since: UnixMillis,
    limit: u32,
) -> Result<Vec<(OrderId, UnixMillis)>, StoreError> {
    let statement = sqlx::query(WITHOUT_AMOUNTS)
        .bind(&account.0)
        .bind(since.0)
        .bind(i64::from(limit))
        .bind(ENDED_LATELY);
    let rows = store.connections.rows(statement).await?;
    rows.iter()
        .map(|row| Ok((OrderId(row.try_get(0)?), UnixMillis(row.try_get(1)?))))
        .collect()
}

pub(super) async fn has_pending(
    store: &PostgresStore,
    account: &AccountName,
) -> Result<bool, StoreError> {
    let statement = sqlx::query(HAS_PENDING).bind(&account.0);
    let row = store.connections.row(statement).await?;
    Ok(row
        .map(|row| row.try_get(0))
        .transpose()?
        .unwrap_or_default())
}

pub(super) async fn load(
    store: &PostgresStore,
    ids: &[InvoiceId],
) -> Result<Vec<Invoice>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    invoices(&store.connections.rows(sqlx::query(LOAD).bind(ids)).await?)
}

pub(super) async fn match_orders(
    store: &PostgresStore,
    account: &AccountName,
    orders: &[(&OrderId, Option<&ExternalId>)],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let keys = json_lists::order_keys(orders.iter().copied());
    let statement = sqlx::query(MATCH).bind(&account.0).bind(keys);
    let rows = store.connections.rows(statement).await?;
    rows.iter().map(placed_invoice).collect()
}

pub(super) async fn of_orders(
    store: &PostgresStore,
    account: &AccountName,
    orders: &[OrderId],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let ids: Vec<&str> = orders.iter().map(|order| order.0.as_str()).collect();
    let statement = sqlx::query(OF_ORDERS).bind(&account.0).bind(ids);
    let rows = store.connections.rows(statement).await?;
    rows.iter().map(placed_invoice).collect()
}
