//! The queue of looks: what is due, and plans that a clock gone back left too far ahead.

use std::collections::HashSet;

use serde_json::json;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use super::accounts::ACCOUNTS_IN_QUEUE;
use super::connection::Writer;
use super::row::{invoice, packed_invoice};
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{Due, OVERDUE_SHARE, StoreError};

/// Among so many times `limit` that became due last, the youngest are taken.
const FRESH_CANDIDATES: u32 = 2;

/// The index alone chooses; only the rows that are chosen are read.
pub(super) const BECAME_DUE_LAST: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices
      WHERE id IN (SELECT id FROM (SELECT id FROM invoices INDEXED BY invoices_due
                                    WHERE account = ?1 AND next_poll_at <= ?2
                                      AND id NOT IN (SELECT value FROM json_each(?3))
                                    ORDER BY next_poll_at DESC LIMIT ?4)
                    ORDER BY id DESC LIMIT ?5)
      ORDER BY id DESC"
);

pub(super) const WAITED_LONGEST: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices INDEXED BY invoices_due
      WHERE account = ?1 AND next_poll_at <= ?2
        AND id NOT IN (SELECT value FROM json_each(?3))
      ORDER BY next_poll_at LIMIT ?4"
);

pub(super) const NEXT_PLAN: &str = "
    SELECT min(next_poll_at) FROM invoices INDEXED BY invoices_due
     WHERE account = ?1 AND next_poll_at > ?2";

/// Earlier than any plan: a nudge is for 0.
const BEFORE_ALL: UnixMillis = UnixMillis(-1);

/// The first plan after `after`.
pub(super) async fn next_plan(
    connection: &mut SqliteConnection,
    account: &AccountName,
    after: UnixMillis,
) -> Result<Option<UnixMillis>, StoreError> {
    let at: Option<i64> = sqlx::query_scalar(NEXT_PLAN)
        .bind(&account.0)
        .bind(after.0)
        .fetch_one(connection)
        .await?;
    Ok(at.map(UnixMillis))
}

pub(super) async fn due(
    readers: &SqlitePool,
    account: &AccountName,
    now: UnixMillis,
    limit: u32,
    claimed: &HashSet<InvoiceId>,
) -> Result<Due, StoreError> {
    let mut connection = readers.acquire().await?;
    // Most turns of an idle daemon end here, after one statement.
    let first = next_plan(&mut connection, account, BEFORE_ALL).await?;
    if first.is_none_or(|first| first > now) {
        return Ok(Due {
            next_at: first,
            ..Due::default()
        });
    }
    let claimed = json!(claimed.iter().map(|id| id.0).collect::<Vec<_>>()).to_string();
    let most_overdue = limit / OVERDUE_SHARE + 1;
    let overdue = sqlx::query(WAITED_LONGEST)
        .bind(&account.0)
        .bind(now.0)
        .bind(&claimed)
        .bind(most_overdue)
        .fetch_all(&mut *connection)
        .await?;
    let next_at = next_plan(&mut connection, account, now).await?;
    let overdue = overdue
        .iter()
        .map(invoice)
        .collect::<Result<Vec<Invoice>, _>>()?;
    if overdue.len() < usize::try_from(most_overdue).unwrap_or(usize::MAX) {
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
        .bind(&claimed)
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

/// Plans beyond the nearest horizon are few, so the index on plans finds them all; each is then
/// held against the horizon of its status.
pub(super) const BRING_BACK: &str = "
    UPDATE invoices SET next_poll_at = max(?5, 1), daemon_writes = daemon_writes + 1
     WHERE id IN (SELECT invoices.id
                    FROM invoices INDEXED BY invoices_due
                    JOIN json_each(?2) AS horizon ON horizon.value ->> 0 = invoices.status
                   WHERE account = ?1 AND next_poll_at > ?3
                     AND next_poll_at > horizon.value ->> 1
                   LIMIT ?4)";

pub(super) async fn bring_back(
    readers: &SqlitePool,
    writer: &mut Writer,
    horizons: &[(Status, UnixMillis)],
    now: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let Some(nearest) = horizons.iter().map(|(_, horizon)| horizon.0).min() else {
        return Ok(0);
    };
    let pairs: Vec<_> = horizons
        .iter()
        .map(|(status, horizon)| (status.as_str(), horizon.0))
        .collect();
    let pairs = json!(pairs).to_string();
    let accounts: Vec<String> = sqlx::query_scalar(ACCOUNTS_IN_QUEUE)
        .fetch_all(readers)
        .await?;
    let mut left = u64::from(limit);
    for account in accounts {
        let connection = writer.begin().await?;
        let brought = sqlx::query(BRING_BACK)
            .bind(&account)
            .bind(&pairs)
            .bind(nearest)
            .bind(i64::try_from(left).unwrap_or(i64::MAX))
            .bind(now.0)
            .execute(connection)
            .await?
            .rows_affected();
        writer.commit().await?;
        left -= brought;
        if left == 0 {
            break;
        }
    }
    Ok(u64::from(limit) - left)
}
