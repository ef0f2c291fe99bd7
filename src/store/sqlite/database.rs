//! The open database, for the process that has it open.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::place::Numbers;
use super::readers::ReadAccess;
use super::watch::FileWatch;
use super::{SqliteStore, copy, lock};
use crate::store::{ChangeWatch, Copied, Database, Leases, Role, StoreError};

#[async_trait]
impl Database for SqliteStore {
    fn name(&self) -> String {
        self.path().display().to_string()
    }

    fn is_at_rest(&self) -> bool {
        self.reading == ReadAccess::AtRest
    }

    async fn daemon_runs(&self) -> Option<bool> {
        lock::is_held(self.path(), Role::Daemon).ok()
    }

    /// Checks file metadata only.
    fn require_in_place(&self) -> Result<(), StoreError> {
        self.place.require_in_place()
    }

    /// Two metadata checks and a short read.
    async fn require_unchanged(&self) -> Result<(), StoreError> {
        self.place.require_in_place()?;
        let before = self.place.seen();
        let now = Numbers::of(&self.readers).await?;
        self.place.note(before.as_ref(), &now)
    }

    /// A program's open read transaction that blocks checkpoints of the write-ahead log.
    fn hindrance(&self) -> Option<String> {
        self.wal.held().map(|held| held.to_string())
    }

    fn writing_since(&self) -> Option<Instant> {
        self.in_use.since()
    }

    fn leases(&self) -> Option<Arc<dyn Leases>> {
        None
    }

    fn watch_changes(&self) -> Box<dyn ChangeWatch> {
        Box::new(FileWatch::on(self.path()))
    }

    async fn backup(&self, file: &Path) -> Result<Copied, StoreError> {
        copy::backup(self.path(), file).await
    }

    /// The last connection checkpoints the write-ahead log.
    async fn close(&self) {
        if self.place.is_replaced() {
            return self.abandon().await;
        }
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}
