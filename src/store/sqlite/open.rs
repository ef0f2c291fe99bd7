//! How connections are opened.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::access;
use crate::store::StoreError;

/// How long a statement waits for another process's write lock before it fails.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows that the connection's thread sends ahead: a whole batch, otherwise the two threads wake
/// each other every few rows.
const ROWS_AHEAD: usize = 1024;

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .statement_cache_capacity(64)
        .row_buffer_size(ROWS_AHEAD)
}

/// Opens the writing connection without setting a journal mode, which would write to a file that
/// may turn out to be another program's.
pub(super) async fn open_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = options(path)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        // `Checkpointer` does this.
        .pragma("wal_autocheckpoint", "0")
        // In KiB, if negative: writes touch the whole index of the queue, which should stay in
        // memory.
        .pragma("cache_size", "-8000");
    SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| StoreError::from(error).at(path))
}

/// How long a statement on this connection waits for a lock.
pub(super) async fn patience(
    connection: &mut SqliteConnection,
    patience: Duration,
) -> sqlx::Result<()> {
    let statement = format!("PRAGMA busy_timeout = {}", patience.as_millis());
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

/// Opens a connection and creates the file if it is missing. For `migrate` only.
pub(super) async fn open_or_create(path: &Path) -> Result<SqliteConnection, StoreError> {
    let opened = match access::create_new(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(sqlx::Error::Io(error)),
        // Closed before SQLite opens it, so no connection of this process loses its locks on it.
        Ok(_) | Err(_) => {
            let options = options(path).synchronous(SqliteSynchronous::Full);
            SqliteConnection::connect_with(&options).await
        }
    };
    opened.map_err(|error| access::explained(StoreError::from(error).at(path), path))
}
