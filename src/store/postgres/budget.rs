//! Parts of rate limits lent to processes beside the daemon, in two rows of `meta` for each
//! account: the request of such a process, and until when the daemon lends the part.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::PostgresStore;
use super::fence::fenced;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::store::{BudgetAsk, StoreError};

const ASK: &str = "budget_ask:";
const GRANT: &str = "budget_grant:";

/// The value of a request's row.
#[derive(Serialize, Deserialize)]
struct AskValue {
    owner: String,
    until: i64,
    held_until: Option<i64>,
}

pub(super) async fn ask(
    store: &PostgresStore,
    ask: &BudgetAsk,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let value = AskValue {
        owner: ask.owner.clone(),
        until: ask.until.0,
        held_until: ask.held_until.map(|at| at.0),
    };
    let statement = sqlx::query(
        "INSERT INTO payrecond.meta AS known (key, value) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
          WHERE known.value::json ->> 'owner' = $3
             OR (known.value::json ->> 'until')::bigint <= $4
         RETURNING 1",
    )
    .bind(format!("{ASK}{}", ask.account.0))
    .bind(serde_json::to_string(&value).unwrap_or_default())
    .bind(&ask.owner)
    .bind(now.0);
    Ok(store.connections.row(statement).await?.is_some())
}

pub(super) async fn asks(store: &PostgresStore) -> Result<Vec<BudgetAsk>, StoreError> {
    let statement =
        sqlx::query("SELECT key, value FROM payrecond.meta WHERE key LIKE 'budget_ask:%'");
    let rows = store.connections.rows(statement).await?;
    let mut asks = Vec::new();
    for row in &rows {
        let (key, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let value: Result<AskValue, _> = serde_json::from_str(&value);
        if let (Some(account), Ok(value)) = (key.strip_prefix(ASK), value) {
            asks.push(BudgetAsk {
                account: AccountName(account.to_owned()),
                owner: value.owner,
                until: UnixMillis(value.until),
                held_until: value.held_until.map(UnixMillis),
            });
        }
    }
    Ok(asks)
}

const PUT_GRANT: &str = concat!(
    fenced!(),
    "put AS (
         INSERT INTO payrecond.meta (key, value) SELECT $3, $4 FROM allowed
             ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed"
);

/// Only the owner of the account lends: the next one must know of every loan.
pub(super) async fn grant(
    store: &PostgresStore,
    account: &AccountName,
    until: UnixMillis,
) -> Result<(), StoreError> {
    let statement = sqlx::query(PUT_GRANT)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(format!("{GRANT}{}", account.0))
        .bind(until.0.to_string());
    store.fenced_row(statement).await?;
    Ok(())
}

pub(super) async fn granted(
    store: &PostgresStore,
    account: &AccountName,
) -> Result<Option<UnixMillis>, StoreError> {
    let statement = sqlx::query("SELECT value::bigint FROM payrecond.meta WHERE key = $1")
        .bind(format!("{GRANT}{}", account.0));
    Ok(store.connections.number(statement).await?.map(UnixMillis))
}
