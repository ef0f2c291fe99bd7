//! The queue of plans: when the next one is due, and plans too far ahead because the clock was set
//! back.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use super::accounts::ACCOUNTS_IN_QUEUE;
use super::connection::WriteConnection;
use crate::domain::invoice::AccountName;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, json_lists};

pub(super) const NEXT_PLAN: &str = "
    SELECT min(next_poll_at) FROM invoices INDEXED BY invoices_due
     WHERE account = ?1 AND next_poll_at > ?2";

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

/// Plans beyond the nearest horizon are few, so the index on plans finds them all; each is then
/// compared with the horizon of its status.
pub(super) const CLAMP_PLANS: &str = "
    UPDATE invoices SET next_poll_at = max(?5, 1), daemon_writes = daemon_writes + 1
     WHERE id IN (SELECT invoices.id
                    FROM invoices INDEXED BY invoices_due
                    JOIN json_each(?2) AS horizon ON horizon.value ->> 0 = invoices.status
                   WHERE account = ?1 AND next_poll_at > ?3
                     AND next_poll_at > horizon.value ->> 1
                   LIMIT ?4)";

pub(super) async fn clamp_future_plans(
    readers: &SqlitePool,
    writer: &mut WriteConnection,
    horizons: &[(Status, UnixMillis)],
    now: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let Some(nearest) = horizons.iter().map(|(_, horizon)| horizon.0).min() else {
        return Ok(0);
    };
    let pairs = json_lists::horizons(horizons);
    let accounts: Vec<String> = sqlx::query_scalar(ACCOUNTS_IN_QUEUE)
        .fetch_all(readers)
        .await?;
    let mut left = u64::from(limit);
    for account in accounts {
        let connection = writer.begin().await?;
        let clamped = sqlx::query(CLAMP_PLANS)
            .bind(&account)
            .bind(&pairs)
            .bind(nearest)
            .bind(i64::try_from(left).unwrap_or(i64::MAX))
            .bind(now.0)
            .execute(connection)
            .await?
            .rows_affected();
        writer.commit().await?;
        left -= clamped;
        if left == 0 {
            break;
        }
    }
    Ok(u64::from(limit) - left)
}
