//! The queue of looks: what is due, and plans that a clock gone back left too far ahead.

use std::collections::{BTreeSet, HashMap, HashSet};

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

/// Ids from one end of the queue, in one value. The index alone answers.
pub(super) const BECAME_DUE_LAST: &str = "
    SELECT json_group_array(id)
      FROM (SELECT id FROM invoices INDEXED BY invoices_due
             WHERE account = ?1 AND next_poll_at <= ?2
             ORDER BY next_poll_at DESC LIMIT ?3)";

/// Ids from the other end.
pub(super) const WAITED_LONGEST: &str = "
    SELECT json_group_array(id)
      FROM (SELECT id FROM invoices INDEXED BY invoices_due
             WHERE account = ?1 AND next_poll_at <= ?2
             ORDER BY next_poll_at LIMIT ?3)";

/// Ids of orders to be created.
pub(super) const REQUESTED: &str = "
    SELECT json_group_array(id)
      FROM (SELECT id FROM invoices INDEXED BY invoices_requested
             WHERE account = ?1 AND status = 'requested' AND next_poll_at <= ?2
             ORDER BY next_poll_at DESC LIMIT ?3)";

/// The rows that were chosen, if they are still due.
pub(super) const CHOSEN: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM (SELECT value AS chosen_id FROM json_each(?1)) CROSS JOIN invoices ON id = chosen_id
      WHERE account = ?2 AND next_poll_at <= ?3"
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
    let most_overdue = limit / OVERDUE_SHARE + 1;
    let mut ends = Ends {
        connection: &mut connection,
        account,
        now,
        claimed,
    };
    let (overdue, all) = ends.ids(WAITED_LONGEST, most_overdue).await?;
    let mut fresh = ends.ids(REQUESTED, limit).await?.0;
    let mut others = if all {
        // The other end of the queue would be the same rows.
        overdue.clone()
    } else {
        let candidates = limit.saturating_mul(FRESH_CANDIDATES);
        ends.ids(BECAME_DUE_LAST, candidates).await?.0
    };
    let requested: HashSet<i64> = fresh.iter().copied().collect();
    others.retain(|id| !requested.contains(id));
    for ids in [&mut fresh, &mut others] {
        ids.sort_unstable_by(|one, other| other.cmp(one));
    }
    fresh.extend(others);
    fresh.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_at = next_plan(&mut connection, account, now).await?;
    let mut rows = chosen(&mut connection, account, now, &fresh, &overdue).await?;
    let at_both_ends: HashSet<&i64> = fresh.iter().collect();
    let overdue = overdue.iter().filter_map(|id| {
        let twice = at_both_ends.contains(id);
        if twice {
            rows.get(id).cloned()
        } else {
            rows.remove(id)
        }
    });
    Ok(Due {
        overdue: overdue.collect(),
        fresh: fresh.iter().filter_map(|id| rows.remove(id)).collect(),
        next_at,
    })
}

/// Both ends of the queue of one account.
struct Ends<'a> {
    connection: &'a mut SqliteConnection,
    account: &'a AccountName,
    now: UnixMillis,
    claimed: &'a HashSet<InvoiceId>,
}

impl Ends<'_> {
    /// Up to `most` ids that nobody has claimed, and whether these are all that are due. Claimed
    /// ones are read and left out here: for SQLite that would be a table to be built each time.
    async fn ids(
        &mut self,
        from_one_end: &'static str,
        most: u32,
    ) -> Result<(Vec<i64>, bool), StoreError> {
        let read = usize::try_from(most).unwrap_or(usize::MAX) + self.claimed.len();
        let ids: String = sqlx::query_scalar(from_one_end)
            .bind(&self.account.0)
            .bind(self.now.0)
            .bind(i64::try_from(read).unwrap_or(i64::MAX))
            .fetch_one(&mut *self.connection)
            .await?;
        let mut ids: Vec<i64> = serde_json::from_str(&ids)
            .map_err(|error| StoreError::Unusable(format!("ids of the queue: {error}")))?;
        let end_reached = ids.len() < read;
        ids.retain(|id| !self.claimed.contains(&InvoiceId(*id)));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let all = end_reached && ids.len() <= most;
        ids.truncate(most);
        Ok((ids, all))
    }
}

async fn chosen(
    connection: &mut SqliteConnection,
    account: &AccountName,
    now: UnixMillis,
    fresh: &[i64],
    overdue: &[i64],
) -> Result<HashMap<i64, Invoice>, StoreError> {
    let ids: BTreeSet<i64> = fresh.iter().chain(overdue).copied().collect();
    let rows = sqlx::query(CHOSEN)
        .bind(json!(ids).to_string())
        .bind(&account.0)
        .bind(now.0)
        .fetch_all(connection)
        .await?;
    let rows = rows.iter().map(|row| {
        let invoice = invoice(row)?;
        Ok((invoice.id.0, invoice))
    });
    rows.collect()
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
