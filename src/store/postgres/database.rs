//! The open database, for the process that has it open.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::watch::ServerWatch;
use super::{PostgresStore, connect, copy};
use crate::store::{ChangeWatch, Copied, Database, Leases, StoreError};

/// A daemon that was not seen for this long is gone.
const DAEMON_SEEN: &str = "
    SELECT count(*) FROM payrecond.daemons WHERE seen_at > payrecond.now_ms() - 15000";

#[async_trait]
impl Database for PostgresStore {
    fn name(&self) -> String {
        self.options.server.to_string()
    }

    fn is_at_rest(&self) -> bool {
        false
    }

    async fn daemon_runs(&self) -> Option<bool> {
        let seen = self.connections.number(sqlx::query(DAEMON_SEEN)).await;
        seen.ok().flatten().map(|daemons| daemons > 0)
    }

    fn require_in_place(&self) -> Result<(), StoreError> {
        self.place.require_in_place()
    }

    async fn require_unchanged(&self) -> Result<(), StoreError> {
        let mut connection = self.connections.acquire().await?;
        let checked = connect::within(self.place.check(&mut connection)).await;
        if checked.is_err() {
            connection.close_on_drop();
        }
        drop(connection);
        checked?;
        self.snapshots.look(&self.connections).await
    }

    /// An old transaction that keeps old versions of rows.
    fn hindrance(&self) -> Option<String> {
        self.snapshots.found()
    }

    /// Every statement has a time-out, on both sides.
    fn writing_since(&self) -> Option<Instant> {
        None
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        Some(Arc::new(self.clone()))
    }

    fn watch_changes(&self) -> Box<dyn ChangeWatch> {
        Box::new(ServerWatch {
            connections: self.connections.clone(),
            seen: None,
        })
    }

    async fn backup(&self, file: &Path) -> Result<Copied, StoreError> {
        Err(copy::backup_elsewhere(&self.options.server, file))
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
