//! Accounts: those named by invoices but not configured, and their states.

use sqlx::Row as _;

use super::PostgresStore;
use super::fence::fenced;
use super::row::cells;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::store::account::{failures_key, failures_to_value};
use crate::store::{AccountRecord, StoreError, packed};

/// Maximum number of rows that one statement marks or unmarks, to keep the write short.
const FLAGS_A_TURN: i64 = 1000;
/// Maximum number of transactions since the last run that are skipped without storing the position.
const PASSED_OVER: i64 = 1000;

/// The account names in the queue, by skipping through the index: a few reads, whatever the number
/// of invoices.
pub(super) const ACCOUNTS_IN_QUEUE: &str = "
    WITH RECURSIVE names (name) AS (
        SELECT min(account) FROM payrecond.invoices WHERE next_poll_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(account) FROM payrecond.invoices
                 WHERE next_poll_at IS NOT NULL AND account > names.name)
          FROM names WHERE names.name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL";

/// The account names with the mark: this index is empty while every account is known.
const FLAGGED_ACCOUNTS: &str = "
    SELECT DISTINCT account FROM payrecond.invoices WHERE reason = 'unknown_account'";

/// Rows inserted by transactions that were open at the last run, or began since. The first column
/// is the position that this run reads up to.
const NOT_YET_FLAGGED: &str = "
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
           ARRAY (SELECT id FROM payrecond.invoices
                   WHERE account = $1 AND inserted_by >= $2::bigint::text::xid8
                     AND reason IS NULL AND next_poll_at IS NOT NULL
                     AND status IN ('requested', 'pending')
                   ORDER BY inserted_by LIMIT $3) AS ids";

/// `$3` the account, `$4` now, `$5` the rows, `$6` the position reached; NULL if more follow.
const FLAG: &str = concat!(
    fenced!(),
    "flagged AS (
         UPDATE payrecond.invoices
            SET reason = 'unknown_account', updated_at = greatest($4, updated_at + 1),
                daemon_writes = daemon_writes + 1
          WHERE id IN (SELECT id FROM payrecond.invoices WHERE id = ANY ($5)
                          FOR NO KEY UPDATE SKIP LOCKED)
            AND reason IS NULL AND status IN ('requested', 'pending')
            AND EXISTS (SELECT 1 FROM allowed)
      RETURNING 1),
     noted AS (
         INSERT INTO payrecond.accounts AS known (name, provider, state, state_since, flagged_to)
         SELECT $3, '', 'unknown', $4, coalesce($6, 0) FROM allowed
         ON CONFLICT (name) DO UPDATE
            SET flagged_to  = coalesce($6, known.flagged_to),
                state_since = CASE known.state WHEN 'unknown' THEN known.state_since ELSE $4 END,
                state       = 'unknown'
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed,
            (SELECT count(*) FROM flagged) AS flagged, (SELECT count(*) FROM noted) AS noted"
);

const TAKE_FLAGS_OFF: &str = concat!(
    fenced!(),
    "taken AS (
         UPDATE payrecond.invoices
            SET reason = NULL, updated_at = greatest($4, updated_at + 1),
                daemon_writes = daemon_writes + 1
          WHERE id IN (SELECT id FROM payrecond.invoices
                        WHERE account = $3 AND reason = 'unknown_account' LIMIT $5
                          FOR NO KEY UPDATE SKIP LOCKED)
            AND EXISTS (SELECT 1 FROM allowed)
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed, (SELECT count(*) FROM taken) AS taken"
);

/// The state that the daemon observes soon replaces 'unknown'.
const KNOWN_AGAIN: &str = concat!(
    fenced!(),
    "known AS (
         UPDATE payrecond.accounts
            SET flagged_to = 0,
                state = CASE state WHEN 'unknown' THEN 'working' ELSE state END
          WHERE name = $3 AND EXISTS (SELECT 1 FROM allowed)
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed, (SELECT count(*) FROM known) AS known"
);

const RECORD_ACCOUNT: &str = concat!(
    fenced!(),
    "recorded AS (
         INSERT INTO payrecond.accounts AS known (
             name, provider, state, state_since, resume_at, last_success_at, last_failure_at,
             last_error, list_total, list_floor, list_positions, list_read_at, list_read_from,
             list_read_to, caught_up_at)
         SELECT $3, $4, $5, $6::bigint, $7::bigint, $8::bigint, $9::bigint, $10, $11::bigint,
                $12::bigint, $13, $14::bigint, $15::bigint, $16::bigint, $17::bigint FROM allowed
         ON CONFLICT (name) DO UPDATE
            SET provider        = EXCLUDED.provider,
                state           = EXCLUDED.state,
                state_since     = EXCLUDED.state_since,
                resume_at       = EXCLUDED.resume_at,
                last_success_at = coalesce(EXCLUDED.last_success_at, known.last_success_at),
                last_failure_at = coalesce(EXCLUDED.last_failure_at, known.last_failure_at),
                last_error      = coalesce(EXCLUDED.last_error, known.last_error),
                list_total      = coalesce(EXCLUDED.list_total, known.list_total),
                list_floor      = coalesce(EXCLUDED.list_floor, known.list_floor),
                list_positions  = coalesce(EXCLUDED.list_positions, known.list_positions),
                list_read_at    = coalesce(EXCLUDED.list_read_at, known.list_read_at),
                list_read_from  = coalesce(EXCLUDED.list_read_from, known.list_read_from),
                list_read_to    = coalesce(EXCLUDED.list_read_to, known.list_read_to),
                caught_up_at    = EXCLUDED.caught_up_at
      RETURNING 1),
     failing AS (
         INSERT INTO payrecond.meta (key, value)
         SELECT $18, $19 FROM allowed WHERE $19 <> ''
         ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
      RETURNING 1),
     answered AS (
         UPDATE payrecond.meta SET value = ''
          WHERE key = $18 AND $19 = '' AND value <> '' AND EXISTS (SELECT 1 FROM allowed)
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed, (SELECT count(*) FROM recorded) AS recorded"
);

const LIST: &str = "
    SELECT json_build_array(name, provider, state, state_since, resume_at, last_success_at,
                            last_failure_at, last_error, list_total, list_floor, list_positions,
                            list_read_at, list_read_from, list_read_to, caught_up_at,
                            (SELECT value FROM payrecond.meta
                              WHERE key = 'account_failures:' || name))::text
      FROM payrecond.accounts ORDER BY name COLLATE \"C\"";

pub(super) async fn flag_unknown(
    store: &PostgresStore,
    known: &[AccountName],
    now: UnixMillis,
) -> Result<Vec<AccountName>, StoreError> {
    for flagged in names(store, FLAGGED_ACCOUNTS).await? {
        if known.contains(&flagged) {
            take_flags_off(store, &flagged, now).await?;
        }
    }
    let mut unknown = names_in_queue(store).await?;
    unknown.retain(|name| !known.contains(name));
    for account in &unknown {
        flag(store, account, now).await?;
    }
    Ok(unknown)
}

/// The accounts of the invoices that have a next poll.
pub(super) async fn names_in_queue(store: &PostgresStore) -> Result<Vec<AccountName>, StoreError> {
    names(store, ACCOUNTS_IN_QUEUE).await
}

async fn names(store: &PostgresStore, sql: &'static str) -> Result<Vec<AccountName>, StoreError> {
    let rows = store.connections.rows(sqlx::query(sql)).await?;
    rows.iter()
        .map(|row| Ok(AccountName(row.try_get(0)?)))
        .collect()
}

async fn take_flags_off(
    store: &PostgresStore,
    account: &AccountName,
    now: UnixMillis,
) -> Result<(), StoreError> {
    loop {
        let statement = sqlx::query(TAKE_FLAGS_OFF)
            .bind(store.fence.name.as_deref())
            .bind(store.fence.token)
            .bind(&account.0)
            .bind(now.0)
            .bind(FLAGS_A_TURN);
        let taken: i64 = store.fenced_row(statement).await?.try_get("taken")?;
        if taken == 0 {
            break;
        }
    }
    let statement = sqlx::query(KNOWN_AGAIN)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(&account.0);
    store.fenced_row(statement).await?;
    Ok(())
}

/// Marks the rows inserted since the last run.
async fn flag(
    store: &PostgresStore,
    account: &AccountName,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let begun = store
        .connections
        .number(
            sqlx::query(
                "SELECT flagged_to FROM payrecond.accounts WHERE name = $1 AND state = 'unknown'",
            )
            .bind(&account.0),
        )
        .await?;
    loop {
        let statement = sqlx::query(NOT_YET_FLAGGED)
            .bind(&account.0)
            .bind(begun.unwrap_or_default())
            .bind(FLAGS_A_TURN);
        let Some(row) = store.connections.row(statement).await? else {
            return Ok(());
        };
        let (horizon, ids): (i64, Vec<i64>) = (row.try_get("horizon")?, row.try_get("ids")?);
        let is_last = i64::try_from(ids.len()).unwrap_or(i64::MAX) < FLAGS_A_TURN;
        if ids.is_empty() && begun.is_some_and(|begun| horizon - begun < PASSED_OVER) {
            return Ok(());
        }
        let statement = sqlx::query(FLAG)
            .bind(store.fence.name.as_deref())
            .bind(store.fence.token)
            .bind(&account.0)
            .bind(now.0)
            .bind(&ids)
            .bind(is_last.then_some(horizon));
        let flagged: i64 = store.fenced_row(statement).await?.try_get("flagged")?;
        // If none of a full run were marked, programs hold the rows; the next run reads them again.
        if is_last || flagged == 0 {
            return Ok(());
        }
    }
}

pub(super) async fn record(
    store: &PostgresStore,
    account: &AccountRecord,
) -> Result<(), StoreError> {
    let list = &account.list;
    let millis = |at: Option<UnixMillis>| at.map(|at| at.0);
    let statement = sqlx::query(RECORD_ACCOUNT)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(&account.name.0)
        .bind(&account.provider)
        .bind(account.state.as_str())
        .bind(account.state_since.0)
        .bind(millis(account.resume_at))
        .bind(millis(account.last_success_at))
        .bind(millis(account.last_failure_at))
        .bind(account.last_error.as_deref())
        .bind(list.total)
        .bind(list.floor)
        .bind(list.positions.as_deref())
        .bind(millis(list.read_at))
        .bind(list.read_from)
        .bind(list.read_to)
        .bind(millis(list.caught_up_at))
        .bind(failures_key(&account.name))
        .bind(failures_to_value(account));
    store.fenced_row(statement).await?;
    Ok(())
}

/// What the daemon last recorded about its accounts.
pub(super) async fn list(store: &PostgresStore) -> Result<Vec<AccountRecord>, StoreError> {
    let rows = store.connections.rows(sqlx::query(LIST)).await?;
    rows.iter()
        .map(|row| packed::account_record(&mut cells(row)?))
        .collect()
}
