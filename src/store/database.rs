//! An open database, and the one place that knows which database it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::sqlite::{self, SqliteOptions, SqliteStore};
use super::{Reports, Store, StoreError};
use crate::domain::time::UnixMillis;

/// An open database, for the process that has it open.
#[async_trait]
pub trait Database: Store + Reports {
    /// What people call it: where it lies.
    fn name(&self) -> String;

    /// Whether it was opened where nobody writes: what is read never changes.
    fn is_at_rest(&self) -> bool;

    /// Whether a daemon runs on it; None when that cannot be found out.
    fn daemon_runs(&self) -> Option<bool>;

    /// Makes sure that what is open is still what is configured. Cheap.
    ///
    /// # Errors
    /// `Replaced` when it is not; then nothing more is written.
    fn require_in_place(&self) -> Result<(), StoreError>;

    /// As `require_in_place`, and that no older content was put into it.
    ///
    /// # Errors
    /// As `require_in_place`.
    async fn require_unchanged(&self) -> Result<(), StoreError>;

    /// What hinders the database without stopping it, in words for people.
    fn hindrance(&self) -> Option<String>;

    /// When the write that is under way began; None while there is none. One that never ends hangs:
    /// no write waits long for other processes.
    fn writing_since(&self) -> Option<Instant>;

    /// Begins to watch for what others write.
    fn watch_changes(&self) -> Box<dyn ChangeWatch>;

    /// Writes a consistent copy of the database, live or not, to `file`; durable when this returns.
    ///
    /// # Errors
    /// When `file` exists already, or cannot be written: then nothing is left of it.
    async fn backup(&self, file: &Path) -> Result<Copied, StoreError>;

    /// Closes all connections.
    async fn close(&self);
}

/// Waits for what others write to a database.
#[async_trait]
pub trait ChangeWatch: Send {
    /// Returns when the database may have changed, and from time to time without that. Nothing is
    /// lost when the future is dropped.
    async fn changed(&mut self);
}

/// What one process alone may be to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// Its daemon.
    Daemon,
    /// The holder of a consumer's name.
    Consumer(&'a str),
}

/// A role that this process has, for as long as the value lives.
pub trait RoleHold: Send + Sync {
    /// Makes sure that no other process could take the role meanwhile.
    ///
    /// # Errors
    /// `Replaced` when one could.
    fn require_held(&self) -> Result<(), StoreError>;
}

/// What `migrate` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Schema version before; 0 when the database was made.
    pub from_version: usize,
    /// Schema version now.
    pub version: usize,
    /// The epoch.
    pub epoch: String,
    /// The database turned out to be an older copy put back: the epoch is new.
    pub put_back: bool,
}

/// A copy that was made or put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// The epoch in it.
    pub epoch: String,
    /// The highest seq that was given out.
    pub highest_seq: i64,
    /// Where the database that stood there before is kept.
    pub replaced: Option<PathBuf>,
}

/// Which database, and how it is opened.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// The file.
    pub path: PathBuf,
    /// First token or tokens of every subject.
    pub subject_prefix: String,
    /// Consumers that are switched off: they keep their places, and nobody waits for them.
    pub off_consumers: Vec<&'static str>,
}

impl DatabaseOptions {
    /// The same, by the place that its name leads to now. Who works on it by this one is not led
    /// elsewhere by a link that changes meanwhile.
    #[must_use]
    pub fn resolved(&self) -> Self {
        Self {
            path: sqlite::resolve(&self.path),
            ..self.clone()
        }
    }

    /// Makes the database, or brings it up to date.
    ///
    /// # Errors
    /// `Unusable` when what is there is not ours or newer; `Unavailable` when it cannot be used.
    pub async fn migrate(&self, now: UnixMillis) -> Result<Migrated, StoreError> {
        sqlite::migrate(&self.path, now).await
    }

    /// Opens a database that `migrate` has brought up to date.
    ///
    /// # Errors
    /// `Unusable` when there is none, it is not ours, or of another version; `Unavailable` when it
    /// cannot be used just now.
    pub async fn open(&self) -> Result<Arc<dyn Database>, StoreError> {
        Ok(Arc::new(SqliteStore::open(self.to_sqlite()).await?))
    }

    /// As `open`, by the process that has just called `migrate`, and so settled the epoch.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_migrated(&self) -> Result<Arc<dyn Database>, StoreError> {
        let store = SqliteStore::open(self.to_sqlite()).await?;
        Ok(Arc::new(store.settled()))
    }

    /// Opens it for a command that only reads, also where this process may write nothing.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_to_read(&self) -> Result<Arc<dyn Database>, StoreError> {
        Ok(Arc::new(SqliteStore::open_to_read(self.to_sqlite()).await?))
    }

    /// Takes a role; None when another process has it.
    ///
    /// # Errors
    /// When that cannot be found out: the cause is told without the database's name.
    pub fn hold(&self, role: Role<'_>) -> Result<Option<Box<dyn RoleHold>>, StoreError> {
        let lock = sqlite::hold(&self.path, role)?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn RoleHold>))
    }

    /// Puts the copy at `file` back as this database, with a new epoch.
    ///
    /// # Errors
    /// When the database is in use; when the copy is damaged or not ours; and, without `force`, when
    /// the database is newer than the copy. Nothing is changed then.
    pub async fn restore(
        &self,
        file: &Path,
        force: bool,
        now: UnixMillis,
    ) -> Result<Copied, StoreError> {
        sqlite::restore(file, &self.path, force, now).await
    }

    fn to_sqlite(&self) -> SqliteOptions {
        SqliteOptions::new(&self.path, &self.subject_prefix)
            .with_off_consumers(self.off_consumers.iter().copied())
    }
}
