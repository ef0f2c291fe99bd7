//! Accounts: those that invoices name and the configuration does not, and their states.

use sqlx::SqlitePool;

use super::connection::Writer;
use crate::domain::invoice::AccountName;
use crate::domain::state::reason;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, StoreError};

/// Rows that one turn flags or unflags in an account: a short write.
const FLAGS_A_TURN: i64 = 1000;

/// The names in the queue, by hops over the index: a few reads, whatever the number of invoices.
const ACCOUNTS_IN_QUEUE: &str = "
    WITH RECURSIVE names (name) AS (
        SELECT min(account) FROM invoices WHERE next_poll_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(account) FROM invoices
                 WHERE next_poll_at IS NOT NULL AND account > names.name)
          FROM names WHERE names.name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL";

pub(super) async fn flag_unknown(
    readers: &SqlitePool,
    writer: &mut Writer,
    known: &[AccountName],
    now: UnixMillis,
) -> Result<Vec<AccountName>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(ACCOUNTS_IN_QUEUE)
        .fetch_all(readers)
        .await?;
    let unknown: Vec<AccountName> = names
        .into_iter()
        .map(AccountName)
        .filter(|name| !known.contains(name))
        .collect();
    for account in &unknown {
        let connection = writer.begin().await?;
        sqlx::query(
            "UPDATE invoices SET reason = ?2, updated_at = max(?3, updated_at + 1)
              WHERE id IN (SELECT id FROM invoices
                            WHERE account = ?1 AND next_poll_at IS NOT NULL AND reason IS NULL
                              AND status IN ('requested', 'pending') LIMIT ?4)",
        )
        .bind(&account.0)
        .bind(reason::UNKNOWN_ACCOUNT)
        .bind(now.0)
        .bind(FLAGS_A_TURN)
        .execute(connection)
        .await?;
        writer.commit().await?;
    }
    Ok(unknown)
}

pub(super) async fn record(writer: &mut Writer, account: &AccountRecord) -> Result<(), StoreError> {
    let connection = writer.begin().await?;
    sqlx::query("INSERT INTO accounts (name, provider) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE name = ?1)")
        .bind(&account.name.0)
        .bind(&account.provider)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE accounts
            SET provider = ?2, state = ?3, state_since = ?4, resume_at = ?5,
                last_success_at = coalesce(?6, last_success_at),
                last_failure_at = coalesce(?7, last_failure_at),
                last_error = coalesce(?8, last_error),
                list_total = coalesce(?9, list_total), list_floor = coalesce(?10, list_floor),
                list_positions = coalesce(?11, list_positions),
                list_read_at = coalesce(?12, list_read_at),
                list_read_from = coalesce(?13, list_read_from),
                list_read_to = coalesce(?14, list_read_to), caught_up_at = ?15
          WHERE name = ?1",
    )
    .bind(&account.name.0)
    .bind(&account.provider)
    .bind(&account.state)
    .bind(account.state_since.0)
    .bind(account.resume_at.map(|at| at.0))
    .bind(account.last_success_at.map(|at| at.0))
    .bind(account.last_failure_at.map(|at| at.0))
    .bind(&account.last_error)
    .bind(account.list.total)
    .bind(account.list.floor)
    .bind(&account.list.positions)
    .bind(account.list.read_at.map(|at| at.0))
    .bind(account.list.read_from)
    .bind(account.list.read_to)
    .bind(account.list.caught_up_at.map(|at| at.0))
    .execute(connection)
    .await?;
    writer.commit().await
}
