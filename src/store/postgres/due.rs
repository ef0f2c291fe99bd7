//! The queue of plans: when the next one is due, plans that were committed late, and plans too far
//! ahead because the clock was set back.

use sqlx::Row as _;

use super::PostgresStore;
use super::accounts::ACCOUNTS_IN_QUEUE;
use super::fence::fenced;
use crate::domain::invoice::AccountName;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{InsertPlace, StoreError, json_lists};

pub(super) const NEXT_PLAN: &str = "
    SELECT next_poll_at FROM payrecond.invoices
     WHERE account = $1 AND next_poll_at > $2 ORDER BY next_poll_at LIMIT 1";

/// The earliest plan among rows that this moment shows and the one before did not: `$2` is a snapshot,
/// its oldest transaction bounds what is read; OFFSET keeps the minimum from being sought in the order of
/// all plans. The first time there is none to compare with.
pub(super) const COMMITTED_SINCE: &str = "
    SELECT pg_current_snapshot()::text,
           (SELECT min(next_poll_at)
              FROM (SELECT next_poll_at FROM payrecond.invoices
                     WHERE account = $1 AND next_poll_at IS NOT NULL
                       AND inserted_by >= pg_snapshot_xmin($2::text::pg_snapshot)
                       AND NOT pg_visible_in_snapshot(inserted_by, $2::text::pg_snapshot)
                    OFFSET 0) AS fresh)";

/// `$3` the account, `$4` pairs of status and horizon, `$5` the nearest horizon, `$6` the limit,
/// `$7` now.
const CLAMP: &str = concat!(
    fenced!(),
    "clamped AS (
         UPDATE payrecond.invoices
            SET next_poll_at = greatest($7, 1), daemon_writes = daemon_writes + 1
          WHERE id IN (SELECT i.id FROM payrecond.invoices AS i
                         JOIN json_array_elements($4::text::json) AS horizon (value)
                           ON horizon.value ->> 0 = i.status
                        WHERE i.account = $3 AND i.next_poll_at > $5
                          AND i.next_poll_at > (horizon.value ->> 1)::bigint
                          AND EXISTS (SELECT 1 FROM allowed)
                        LIMIT $6 FOR UPDATE OF i SKIP LOCKED)
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed, (SELECT count(*) FROM clamped) AS clamped"
);

/// The first plan after `after`.
pub(super) async fn next_plan(
    store: &PostgresStore,
    account: &AccountName,
    after: UnixMillis,
) -> Result<Option<UnixMillis>, StoreError> {
    let statement = sqlx::query(NEXT_PLAN).bind(&account.0).bind(after.0);
    Ok(store.connections.number(statement).await?.map(UnixMillis))
}

pub(super) async fn committed_since(
    store: &PostgresStore,
    account: &AccountName,
    seen: &mut InsertPlace,
) -> Result<Option<UnixMillis>, StoreError> {
    let before = (!seen.0.is_empty()).then_some(seen.0.as_str());
    let statement = sqlx::query(COMMITTED_SINCE).bind(&account.0).bind(before);
    let Some(row) = store.connections.row(statement).await? else {
        return Ok(None);
    };
    let earliest: Option<i64> = row.try_get(1)?;
    seen.0 = row.try_get(0)?;
    let left_out = store.held.take(account);
    Ok(earliest.map(UnixMillis).into_iter().chain(left_out).min())
}

pub(super) async fn clamp_future_plans(
    store: &PostgresStore,
    horizons: &[(Status, UnixMillis)],
    now: UnixMillis,
    limit: u32,
) -> Result<u64, StoreError> {
    let Some(nearest) = horizons.iter().map(|(_, horizon)| horizon.0).min() else {
        return Ok(0);
    };
    let pairs = json_lists::horizons(horizons);
    let mut left = i64::from(limit);
    for row in store
        .connections
        .rows(sqlx::query(ACCOUNTS_IN_QUEUE))
        .await?
    {
        let account: String = row.try_get(0)?;
        let statement = sqlx::query(CLAMP)
            .bind(store.fence.name.as_deref())
            .bind(store.fence.token)
            .bind(account)
            .bind(&pairs)
            .bind(nearest)
            .bind(left)
            .bind(now.0);
        let clamped: i64 = store.fenced_row(statement).await?.try_get("clamped")?;
        left -= clamped;
        if left <= 0 {
            break;
        }
    }
    Ok(u64::try_from(i64::from(limit) - left).unwrap_or_default())
}
