//! The queue of looks: what is due, and plans that a clock gone back left too far ahead.

use sqlx::SqlitePool;

use super::connection::Writer;
use super::row::{invoice, invoice_columns};
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{Due, StoreError};

/// Among so many times `limit` that became due last, the youngest are taken.
const FRESH_CANDIDATES: u32 = 4;

const BECAME_DUE_LAST: &str = concat!(
    "SELECT ",
    invoice_columns!(),
    " FROM (SELECT * FROM invoices INDEXED BY invoices_due
             WHERE account = ?1 AND next_poll_at <= ?2
             ORDER BY next_poll_at DESC LIMIT ?3)
      ORDER BY id DESC LIMIT ?4"
);

const WAITED_LONGEST: &str = concat!(
    "SELECT ",
    invoice_columns!(),
    " FROM invoices INDEXED BY invoices_due
      WHERE account = ?1 AND next_poll_at <= ?2
      ORDER BY next_poll_at LIMIT ?3"
);

const NEXT_PLAN: &str = "
    SELECT min(next_poll_at) FROM invoices INDEXED BY invoices_due
     WHERE account = ?1 AND next_poll_at > ?2";

pub(super) async fn due(
    readers: &SqlitePool,
    account: &AccountName,
    now: UnixMillis,
    limit: u32,
) -> Result<Due, StoreError> {
    let mut connection = readers.acquire().await?;
    let overdue = sqlx::query(WAITED_LONGEST)
        .bind(&account.0)
        .bind(now.0)
        .bind(limit)
        .fetch_all(&mut *connection)
        .await?;
    let next_at: Option<i64> = sqlx::query_scalar(NEXT_PLAN)
        .bind(&account.0)
        .bind(now.0)
        .fetch_one(&mut *connection)
        .await?;
    let next_at = next_at.map(UnixMillis);
    let overdue = overdue
        .iter()
        .map(invoice)
        .collect::<Result<Vec<Invoice>, _>>()?;
    if overdue.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
        // All that is due is in hand: the other end of the queue would be the same rows.
        let mut fresh = overdue.clone();
        fresh.sort_by_key(|invoice| std::cmp::Reverse(invoice.id));
        return Ok(Due {
            fresh,
            overdue,
            next_at,
        });
    }
    let fresh = sqlx::query(BECAME_DUE_LAST)
        .bind(&account.0)
        .bind(now.0)
        .bind(limit.saturating_mul(FRESH_CANDIDATES))
        .bind(limit)
        .fetch_all(&mut *connection)
        .await?;
    let fresh = fresh
        .iter()
        .map(invoice)
        .collect::<Result<Vec<Invoice>, _>>()?;
    Ok(Due {
        fresh,
        overdue,
        next_at,
    })
}

pub(super) async fn bring_back(
    writer: &mut Writer,
    horizons: &[(Status, UnixMillis)],
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let mut brought = 0;
    for &(status, horizon) in horizons {
        let connection = writer.begin().await?;
        brought += sqlx::query(
            "UPDATE invoices SET next_poll_at = max(?3, 1)
              WHERE status = ?1 AND next_poll_at > ?2",
        )
        .bind(status.as_str())
        .bind(horizon.0)
        .bind(now.0)
        .execute(connection)
        .await?
        .rows_affected();
        writer.commit().await?;
    }
    Ok(brought)
}
