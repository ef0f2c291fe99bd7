//! Makes the writes of a task depend on its lease.
//!
//! Each write first locks the lease's row against a change of its token, in the same statement. A
//! take-over waits until a write in progress has ended; a later write finds no row and writes
//! nothing.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::pool::Statement;
use crate::store::StoreError;

/// The first two parameters of every statement that writes: `$1` the lease's name, NULL for a write
/// that depends on none, and `$2` its token.
macro_rules! fenced {
    () => {
        "WITH fence AS MATERIALIZED (
             SELECT 1 FROM payrecond.leases WHERE name = $1::text AND token = $2::bigint
                FOR KEY SHARE),
         allowed AS MATERIALIZED (
             SELECT 1 WHERE $1::text IS NULL OR EXISTS (SELECT 1 FROM fence)), "
    };
}
pub(super) use fenced;

/// The lease of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) name: Option<String>,
    pub(super) token: i64,
}

impl Fence {
    pub(super) fn none() -> Self {
        Self {
            name: None,
            token: 0,
        }
    }

    pub(super) fn lost(&self) -> StoreError {
        let name = self.name.as_deref().unwrap_or_default();
        StoreError::LeaseLost(format!("lease {name} was taken by another daemon"))
    }
}

impl PostgresStore {
    /// The count in the single row of such a statement.
    pub(super) async fn fenced_count(
        &self,
        statement: Statement<'_>,
        column: &str,
    ) -> Result<u64, StoreError> {
        let count: i64 = self.fenced_row(statement).await?.try_get(column)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The single row of a statement that begins with `fenced!()` and ends with a column `allowed`.
    pub(super) async fn fenced_row(&self, statement: Statement<'_>) -> Result<PgRow, StoreError> {
        let rows = self.connections.rows(statement).await?;
        self.allowed_row(rows)
    }

    /// The single row of such an answer.
    pub(super) fn allowed_row(&self, rows: Vec<PgRow>) -> Result<PgRow, StoreError> {
        let row = rows.into_iter().next();
        let row = row.ok_or_else(|| StoreError::Unavailable("no answer".into()))?;
        if !row.try_get::<bool, _>("allowed")? {
            return Err(self.fence.lost());
        }
        Ok(row)
    }
}
