//! The store on SQLite: one writing connection, a few separate read connections, WAL,
//! synchronous=FULL.
//!
//! The statements work on sets: a batch is sent as one JSON array and joined by `json_each`, since
//! a statement per row wakes a thread each time (6,300 rows a second against 28,000).

mod access;
mod accounts;
mod audit;
mod budget;
mod checkpoint;
mod commit;
mod connection;
mod consumers;
mod copy;
mod database;
mod due;
mod error;
mod export;
mod fairness;
mod high_water;
mod identity;
mod invoices;
mod jobs;
mod lock;
mod meta;
mod open;
mod outbox;
mod overview;
mod pages;
mod path;
mod place;
#[cfg(test)]
mod plans;
mod readers;
mod reports;
mod retention;
mod row;
mod schema;
mod stamp;
mod status_queries;
mod transactions;
mod watch;

pub use copy::restore;
pub(super) use export::FileExport;
pub use lock::{DatabaseLock, hold};
pub use path::resolve;
pub use schema::{MIGRATIONS, migrate, migrate_by};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Executor as _, SqlitePool};
use tokio::sync::Mutex;

use self::checkpoint::WalState;
use self::connection::{InUse, WriteConnection, WriterGuard};
use self::place::DatabasePlace;
use self::readers::ReadAccess;
use self::stamp::LastAnswer;
use super::StoreError;

/// How long one write waits for other writes of this process. Together with the wait for other
/// processes it stays well below the time after which a write counts as hung.
const WRITER_WITHIN: Duration = Duration::from_secs(5);

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file.
    pub path: PathBuf,
    /// First token or tokens of every subject.
    pub subject_prefix: String,
    /// How long the lock is left free between two transactions while other programs write; zero
    /// where none do.
    pub rest_beside_others: Duration,
    /// Consumers that are switched off: they keep their positions, and retention does not wait for them.
    pub off_consumers: Vec<String>,
}

impl SqliteOptions {
    /// The options of the daemon and its commands, which share the database with other programs.
    pub fn new(path: impl Into<PathBuf>, subject_prefix: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            subject_prefix: subject_prefix.into(),
            rest_beside_others: fairness::REST_BESIDE_OTHERS,
            off_consumers: Vec::new(),
        }
    }

    /// The same, with consumers that are switched off.
    #[must_use]
    pub fn with_off_consumers<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            off_consumers: names.into_iter().map(str::to_owned).collect(),
            ..self
        }
    }
}

/// A payrecond database with the current schema.
pub struct SqliteStore {
    place: Arc<DatabasePlace>,
    subject_prefix: String,
    off_consumers: Vec<String>,
    writer: Mutex<WriteConnection>,
    in_use: InUse,
    readers: SqlitePool,
    reading: ReadAccess,
    last_change: LastAnswer,
    wal: WalState,
}

impl SqliteStore {
    /// Opens a database that `migrate` has upgraded.
    ///
    /// # Errors
    /// `Unusable` if there is no such file, it is not ours, or has another version; `Unavailable`
    /// if it cannot be read at present.
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        let place = Arc::new(DatabasePlace::of(&options.path)?);
        let mut writer = WriteConnection::new(&place, options.rest_beside_others);
        open_to_write(&mut writer, place.path()).await?;
        place.watch_wal();
        Ok(Self::of(options, place, writer, ReadAccess::AsWriter))
    }

    /// Opens it for a read-only command, even if this process has no write permission.
    ///
    /// # Errors
    /// Like `open`.
    pub async fn open_to_read(options: SqliteOptions) -> Result<Self, StoreError> {
        let place = Arc::new(DatabasePlace::of(&options.path)?);
        let reading = ReadAccess::of(place.path())?;
        if reading == ReadAccess::AsWriter {
            return Self::open(options).await;
        }
        let writer = WriteConnection::new(&place, options.rest_beside_others);
        let store = Self::of(options, place, writer, reading);
        let current = store.require_current().await;
        current.map_err(|error| access::explained(error, store.path()))?;
        Ok(store)
    }

    fn of(
        options: SqliteOptions,
        place: Arc<DatabasePlace>,
        writer: WriteConnection,
        reading: ReadAccess,
    ) -> Self {
        Self {
            readers: readers::open(&place, reading),
            last_change: LastAnswer::about(place.path()),
            place,
            subject_prefix: options.subject_prefix,
            off_consumers: options.off_consumers,
            wal: writer.wal(),
            writer: Mutex::new(writer),
            in_use: InUse::default(),
            reading,
        }
    }

    async fn require_current(&self) -> Result<(), StoreError> {
        let mut connection = self.readers.acquire().await?;
        schema::require_current(&mut connection, self.path()).await
    }

    /// The file, with links resolved.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Marks the epoch as settled, since this process has just run `migrate`. Otherwise the first
    /// write that assigns a seq checks the side file.
    #[must_use]
    pub fn settled(self) -> Self {
        self.place.settle();
        self
    }

    /// The writer, when it is free. Writes do not queue up before a locked database: each returns
    /// an error, and its caller retries.
    async fn writer(&self) -> Result<WriterGuard<'_>, StoreError> {
        tokio::time::timeout(WRITER_WITHIN, self.writer.lock())
            .await
            .map(|writer| WriterGuard::of(writer, &self.in_use))
            .map_err(|_| StoreError::Unavailable("other writes took too long".into()))
    }

    /// Abandons files that are no longer in place: closing would checkpoint the log into files that
    /// belong to another database by now, or remove them. Data that exists only in a removed `-wal`
    /// is saved.
    async fn abandon(&self) {
        let mut writer = self.writer.lock().await;
        if self.place.can_be_checkpointed()
            && let Err(error) = writer.checkpoint().await
        {
            tracing::error!(%error, "last writes could not be synced when closing");
        }
        self.place.detach_wal();
        writer.leave_open();
        std::mem::forget(self.readers.clone());
    }
}

async fn open_to_write(writer: &mut WriteConnection, path: &Path) -> Result<(), StoreError> {
    let connection = writer.connection().await?;
    schema::require_current(connection, path).await?;
    // It is our database; a tool may have left another journal mode.
    connection
        .execute("PRAGMA journal_mode = WAL")
        .await
        .map_err(|error| StoreError::from(error).at(path))?;
    Ok(())
}
