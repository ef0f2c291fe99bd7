//! Waits for what others write, by asking: a notification would cost every program that inserts.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pool::Connections;
use crate::store::{ChangeWatch, StoreError};

/// The time between two questions, and between two while the server cannot be reached.
const ASKED_EVERY: Duration = Duration::from_millis(200);
const RETRIED_EVERY: Duration = Duration::from_secs(1);
/// Says so at the latest after this.
const AT_LEAST_EVERY: u32 = 10;

/// Where the write-ahead log ends: any write of the server's moves it.
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
