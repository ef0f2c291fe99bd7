//! The read connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use super::access;
use super::open::options;
use super::path::beside;
use super::place::DatabasePlace;
use crate::store::StoreError;

/// How a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadAccess {
    /// By a process that may write it.
    AsWriter,
    /// While another process has it open, with the files that this process keeps beside it.
    BesideWriter,
    /// While no process has it open: all data is in one file. SQLite would create others beside it,
    /// for which this process has no permission, or which the daemon could not write later.
    AtRest,
}

impl ReadAccess {
    /// How this process can read the database.
    ///
    /// # Errors
    /// `Unusable` if the last writes could not be read.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        if access::is_writable(path) {
            return Ok(Self::AsWriter);
        }
        let length = |suffix| std::fs::metadata(beside(path, suffix)).map(|file| file.len());
        match (length("-wal"), length("-shm")) {
            (Ok(_), Ok(_)) => Ok(Self::BesideWriter),
            (Err(_) | Ok(0), _) => Ok(Self::AtRest),
            (Ok(_), Err(_)) => Err(access::explained(
                StoreError::Unusable(format!(
                    "{}: the last writes are in its -wal file, and without the -shm file only a process with write access can read them",
                    path.display()
                )),
                path,
            )),
        }
    }
}

/// Read connections never keep a transaction open, since that would block a reset of the WAL. None
/// is opened on other files than the writer's.
pub(super) fn open(place: &Arc<DatabasePlace>, reading: ReadAccess) -> SqlitePool {
    let options = options(place.path())
        .pragma("query_only", "ON")
        .read_only(reading != ReadAccess::AsWriter)
        .immutable(reading == ReadAccess::AtRest);
    let place = Arc::clone(place);
    SqlitePoolOptions::new()
        .after_connect(move |_, _| {
            let in_place = place.require_in_place();
            Box::pin(async move {
                in_place.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))
            })
        })
        .min_connections(0)
        .max_connections(3)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .connect_lazy_with(options)
}
