//! Accounts: those named by invoices but not configured, and their states.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use super::connection::WriteConnection;
use super::meta;
use super::row::cells;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::store::account::{failures_key, failures_to_value};
use crate::store::{AccountRecord, StoreError, packed};

/// Maximum number of rows that one transaction marks or unmarks, to keep the write short.
const FLAGS_PER_TRANSACTION: i64 = 1000;
/// Maximum number of rows inserted since the last run that are skipped without storing the
/// position.
const MOST_SKIPPED: i64 = 1000;

/// The account names in the queue, by skipping through the index: a few reads, whatever the number
/// of invoices.
pub(super) const ACCOUNTS_IN_QUEUE: &str = "
    WITH RECURSIVE names (name) AS (
        SELECT min(account) FROM invoices WHERE next_poll_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(account) FROM invoices
                 WHERE next_poll_at IS NOT NULL AND account > names.name)
          FROM names WHERE names.name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL";

/// The account names with the mark: this index is empty while every account is known.
pub(super) const FLAGGED_ACCOUNTS: &str = "
    WITH RECURSIVE names (name) AS (
        SELECT min(account) FROM invoices INDEXED BY invoices_of_unknown_accounts
         WHERE reason = 'unknown_account'
        UNION ALL
        SELECT (SELECT min(account) FROM invoices INDEXED BY invoices_of_unknown_accounts
                 WHERE reason = 'unknown_account' AND account > names.name)
          FROM names WHERE names.name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL";

/// Rows are marked in the order of their ids, so a run reads only those inserted since the last
/// one.
pub(super) const NOT_YET_FLAGGED: &str = "
    SELECT id FROM invoices NOT INDEXED
     WHERE id > ?2 AND account = ?1 AND reason IS NULL AND next_poll_at IS NOT NULL
       AND status IN ('requested', 'pending')
     ORDER BY id LIMIT ?3";

const FLAG: &str = "
    UPDATE invoices
       SET reason = 'unknown_account', updated_at = max(?2, updated_at + 1),
           daemon_writes = daemon_writes + 1
     WHERE id IN (SELECT value FROM json_each(?1)) AND reason IS NULL
       AND status IN ('requested', 'pending')";

pub(super) const TAKE_FLAG_OFF: &str = "
    UPDATE invoices
       SET reason = NULL, updated_at = max(?2, updated_at + 1), daemon_writes = daemon_writes + 1
     WHERE id IN (SELECT id FROM invoices INDEXED BY invoices_of_unknown_accounts
                   WHERE account = ?1 AND reason = 'unknown_account' LIMIT ?3)";

pub(super) async fn flag_unknown(
    readers: &SqlitePool,
    writer: &mut WriteConnection,
    known: &[AccountName],
    now: UnixMillis,
) -> Result<Vec<AccountName>, StoreError> {
    for flagged in names(readers, FLAGGED_ACCOUNTS).await? {
        if known.contains(&flagged) {
            take_flags_off(writer, &flagged, now).await?;
        }
    }
    let mut unknown = names_in_queue(readers).await?;
    unknown.retain(|name| !known.contains(name));
    for account in &unknown {
        flag(readers, writer, account, now).await?;
    }
    Ok(unknown)
}

/// The accounts of the invoices that have a next poll.
pub(super) async fn names_in_queue(readers: &SqlitePool) -> Result<Vec<AccountName>, StoreError> {
    names(readers, ACCOUNTS_IN_QUEUE).await
}

async fn names(readers: &SqlitePool, sql: &'static str) -> Result<Vec<AccountName>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(sql).fetch_all(readers).await?;
    Ok(names.into_iter().map(AccountName).collect())
}

async fn take_flags_off(
    writer: &mut WriteConnection,
    account: &AccountName,
    now: UnixMillis,
) -> Result<(), StoreError> {
    loop {
        let connection = writer.begin().await?;
        let taken = sqlx::query(TAKE_FLAG_OFF)
            .bind(&account.0)
            .bind(now.0)
            .bind(FLAGS_PER_TRANSACTION)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        if taken == 0 {
            // The state that the daemon observes soon replaces 'unknown'.
            sqlx::query(
                "UPDATE accounts
                    SET flagged_to = 0,
                        state = CASE state WHEN 'unknown' THEN 'working' ELSE state END
                  WHERE name = ?1",
            )
            .bind(&account.0)
            .execute(connection)
            .await?;
            return writer.commit().await;
        }
        writer.commit().await?;
    }
}

/// Marks the rows inserted since the last run. They are searched for outside the write transaction.
async fn flag(
    readers: &SqlitePool,
    writer: &mut WriteConnection,
    account: &AccountName,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let begun: Option<i64> =
        sqlx::query_scalar("SELECT flagged_to FROM accounts WHERE name = ?1 AND state = 'unknown'")
            .bind(&account.0)
            .fetch_optional(readers)
            .await?;
    let mut place = begun.unwrap_or_default();
    loop {
        let highest: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM invoices")
            .fetch_one(readers)
            .await?;
        let ids: Vec<i64> = sqlx::query_scalar(NOT_YET_FLAGGED)
            .bind(&account.0)
            .bind(place)
            .bind(FLAGS_PER_TRANSACTION)
            .fetch_all(readers)
            .await?;
        let is_last = i64::try_from(ids.len()).unwrap_or(i64::MAX) < FLAGS_PER_TRANSACTION;
        // If fewer were found than requested, everything up to `highest` was read.
        let last = ids.last().copied().unwrap_or_default();
        let reached = if is_last { last.max(highest) } else { last };
        if ids.is_empty() && begun.is_some() && reached - place < MOST_SKIPPED {
            return Ok(());
        }
        write_flags(writer, account, &ids, reached, now).await?;
        place = reached;
        if is_last {
            return Ok(());
        }
    }
}

async fn write_flags(
    writer: &mut WriteConnection,
    account: &AccountName,
    ids: &[i64],
    reached: i64,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let connection = writer.begin().await?;
    sqlx::query(FLAG)
        .bind(serde_json::json!(ids).to_string())
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    make(connection, account, "").await?;
    sqlx::query(
        "UPDATE accounts
            SET flagged_to = ?2,
                state_since = CASE state WHEN 'unknown' THEN state_since ELSE ?3 END,
                state = 'unknown'
          WHERE name = ?1",
    )
    .bind(&account.0)
    .bind(reached)
    .bind(now.0)
    .execute(connection)
    .await?;
    writer.commit().await
}

/// Inserts the account's row if there is none.
pub(super) async fn make(
    connection: &mut SqliteConnection,
    account: &AccountName,
    provider: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO accounts (name, provider)
         SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE name = ?1)",
    )
    .bind(&account.0)
    .bind(provider)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn record(
    writer: &mut WriteConnection,
    account: &AccountRecord,
) -> Result<(), StoreError> {
    let connection = writer.begin().await?;
    make(connection, &account.name, &account.provider).await?;
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
    .bind(account.state.as_str())
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
    .execute(&mut *connection)
    .await?;
    let key = failures_key(&account.name);
    meta::put_or_clear(connection, &key, &failures_to_value(account)).await?;
    writer.commit().await
}

/// What the daemon last recorded about its accounts.
pub(super) async fn list(readers: &SqlitePool) -> Result<Vec<AccountRecord>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, provider, state, state_since, resume_at, last_success_at,
                last_failure_at, last_error, list_total, list_floor, list_positions,
                list_read_at, list_read_from, list_read_to, caught_up_at,
                (SELECT value FROM meta WHERE key = 'account_failures:' || accounts.name)
           FROM accounts ORDER BY name",
    )
    .fetch_all(readers)
    .await?;
    rows.iter()
        .map(|row| packed::account_record(&mut cells(row)?))
        .collect()
}
