//! Waits for writes by other processes, by querying: notifications would slow down every program
//! that inserts.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pool::Connections;
use crate::store::{ChangeWatch, StoreError};

/// Interval of the queries, and of attempts while the server is unreachable.
const ASKED_EVERY: Duration = Duration::from_millis(200);
const RETRIED_EVERY: Duration = Duration::from_secs(1);
/// Reports a change at the latest after this many queries.
const AT_LEAST_EVERY: u32 = 10;

/// The end of the write-ahead log, which any write on the server moves.
const WRITTEN_TO: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";

pub(super) async fn written_to(connections: &Connections) -> Result<i64, StoreError> {
    let written = connections.number(sqlx::query(WRITTEN_TO)).await?;
    Ok(written.unwrap_or_default())
}

/// Watches a server.
pub(super) struct ServerWatch {
    pub(super) connections: Connections,
    pub(super) seen: Option<i64>,
}

#[async_trait]
impl ChangeWatch for ServerWatch {
    async fn changed(&mut self) {
        for _ in 0..AT_LEAST_EVERY {
            match written_to(&self.connections).await {
                Ok(now) if self.seen != Some(now) => {
                    self.seen = Some(now);
                    return;
                }
                Ok(_) => sleep(ASKED_EVERY).await,
                Err(_) => return sleep(RETRIED_EVERY).await,
            }
        }
    }
}
