//! Parts of rate limits lent to processes beside the daemon, in two rows of `meta` for each
//! account: the request of such a process, and until when the daemon lends the part.

use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;

use super::connection::WriteConnection;
use super::meta;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::store::{BudgetAsk, StoreError};

const ASK: &str = "budget_ask:";
const GRANT: &str = "budget_grant:";

/// The value of a request's row.
#[derive(Serialize, Deserialize)]
struct StoredAsk {
    owner: String,
    until: i64,
    held_until: Option<i64>,
}

pub(super) async fn ask(
    writer: &mut WriteConnection,
    ask: &BudgetAsk,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let key = format!("{ASK}{}", ask.account.0);
    let connection = writer.begin().await?;
    let there: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?1")
        .bind(&key)
        .fetch_optional(&mut *connection)
        .await?;
    let there = there.as_deref().and_then(stored);
    if there.is_some_and(|there| there.owner != ask.owner && there.until > now.0) {
        writer.roll_back().await?;
        return Ok(false);
    }
    let value = StoredAsk {
        owner: ask.owner.clone(),
        until: ask.until.0,
        held_until: ask.held_until.map(|at| at.0),
    };
    let value = serde_json::to_string(&value).unwrap_or_default();
    meta::put(connection, &key, &value).await?;
    writer.commit().await?;
    Ok(true)
}

pub(super) async fn asks(readers: &SqlitePool) -> Result<Vec<BudgetAsk>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT key, value FROM meta WHERE key >= 'budget_ask:' AND key < 'budget_ask;'",
    )
    .fetch_all(readers)
    .await?;
    let typed = |(key, value): (String, String)| {
        let stored = stored(&value)?;
        Some(BudgetAsk {
            account: AccountName(key.strip_prefix(ASK)?.to_owned()),
            owner: stored.owner,
            until: UnixMillis(stored.until),
            held_until: stored.held_until.map(UnixMillis),
        })
    };
    Ok(rows.into_iter().filter_map(typed).collect())
}

pub(super) async fn grant(
    writer: &mut WriteConnection,
    account: &AccountName,
    until: UnixMillis,
) -> Result<(), StoreError> {
    let connection = writer.begin().await?;
    let key = format!("{GRANT}{}", account.0);
    meta::put(connection, &key, &until.0.to_string()).await?;
    writer.commit().await
}

pub(super) async fn granted(
    readers: &SqlitePool,
    account: &AccountName,
) -> Result<Option<UnixMillis>, StoreError> {
    let value = meta::get(readers, &format!("{GRANT}{}", account.0)).await?;
    Ok(value.and_then(|value| value.parse().ok()).map(UnixMillis))
}

/// Parses a request. An invalid value counts as no request.
fn stored(value: &str) -> Option<StoredAsk> {
    serde_json::from_str(value).ok()
}
