//! An open database, and the only place that knows which database it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::postgres::{self, PostgresOptions, PostgresStore};
use super::sqlite::{self, SqliteOptions, SqliteStore};
use super::{
    DatabaseLocation, Leases, Reports, ServerLocation, Store, StoreError, TakenOver, takeover,
};
use crate::domain::time::UnixMillis;
use crate::words;

/// An open database, for the process that has it open.
#[async_trait]
pub trait Database: Store + Reports {
    /// The name shown to people: its location.
    fn name(&self) -> String;

    /// Whether it was opened read-only without any writer, so that its content never changes.
    fn is_at_rest(&self) -> bool;

    /// Whether a daemon runs on it; None when that cannot be found out.
    async fn daemon_runs(&self) -> Option<bool>;

    /// Checks that the open database is still the configured one. Cheap.
    ///
    /// # Errors
    /// `Replaced` if it is not; then nothing more is written.
    fn require_in_place(&self) -> Result<(), StoreError>;

    /// Like `require_in_place`, and also checks that no older content was written into it.
    ///
    /// # Errors
    /// Like `require_in_place`.
    async fn require_unchanged(&self) -> Result<(), StoreError>;

    /// A condition that impairs the database without stopping it, as text for people.
    fn hindrance(&self) -> Option<String>;

    /// When the write in progress began; None if there is none. A write that never ends hangs,
    /// since no write waits long for other processes.
    fn writing_since(&self) -> Option<Instant>;

    /// The leases by which several daemons share this database; None where one daemon has it alone.
    fn leases(&self) -> Option<Arc<dyn Leases>>;

    /// Begins to watch for writes by other processes.
    fn watch_changes(&self) -> Box<dyn ChangeWatch>;

    /// Writes a consistent copy of the database, live or not, to `file`; durable when this returns.
    ///
    /// # Errors
    /// If `file` exists already or cannot be written; then nothing of it is left.
    async fn backup(&self, file: &Path) -> Result<Copied, StoreError>;

    /// Closes all connections.
    async fn close(&self);
}

/// Waits for writes by other processes.
#[async_trait]
pub trait ChangeWatch: Send {
    /// Returns when the database may have changed, and from time to time anyway. Nothing is lost
    /// when the future is dropped.
    async fn changed(&mut self);
}

/// A role that only one process can have for a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// Its daemon.
    Daemon,
    /// The holder of a consumer name.
    Consumer(&'a str),
}

/// A role that this process holds for as long as the value lives.
pub trait RoleHold: Send + Sync {
    /// Checks that no other process could have taken the role meanwhile.
    ///
    /// # Errors
    /// `Replaced` if one could.
    fn require_held(&self) -> Result<(), StoreError>;
}

/// The result of `migrate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Schema version before; 0 if the database was created.
    pub from_version: usize,
    /// Schema version now.
    pub version: usize,
    /// The epoch.
    pub epoch: String,
    /// The database was restored from an older copy, so the epoch is new.
    pub put_back: bool,
    /// SQL for a role that may create roles, where this one may not: roles that are missing on the server.
    pub missing_roles: Vec<String>,
}

/// A copy that was made or restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// The epoch in it.
    pub epoch: String,
    /// The highest seq ever assigned.
    pub highest_seq: i64,
    /// Where the previous database is kept.
    pub replaced: Option<PathBuf>,
    /// When the newest invoice or event of a restored copy was written.
    pub newest_at: Option<UnixMillis>,
    /// What the replaced database had and the copy has not; None if there was nothing to compare.
    pub lost: Option<LostRows>,
}

/// Rows of a replaced database that the copy in its place does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRows {
    /// Invoices inserted after the copy was made.
    pub invoices: i64,
    /// Events recorded after the copy was made.
    pub events: i64,
}

impl fmt::Display for LostRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invoices = words::counted(self.invoices, "invoice");
        let events = words::counted(self.events, "event");
        write!(f, "{invoices} and {events} newer than the copy")
    }
}

/// Which database to use, and how to open it.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Where it lies.
    pub location: DatabaseLocation,
    /// First token or tokens of every subject.
    pub subject_prefix: String,
    /// Consumers that are switched off: they keep their positions, and retention does not wait for them.
    pub off_consumers: Vec<&'static str>,
    /// The name of this process where its leases are shown, on a server.
    pub process: String,
}

impl DatabaseOptions {
    /// The same options with symbolic links resolved. A link that changes later has no effect on
    /// work with these options.
    #[must_use]
    pub fn resolved(&self) -> Self {
        let location = match &self.location {
            DatabaseLocation::File(path) => DatabaseLocation::File(sqlite::resolve(path)),
            DatabaseLocation::Server(server) => DatabaseLocation::Server(server.clone()),
        };
        Self {
            location,
            ..self.clone()
        }
    }

    /// Creates the database or upgrades it.
    ///
    /// # Errors
    /// `Unusable` if the existing file is not ours or is newer; `Unavailable` if it cannot be used.
    pub async fn migrate(&self, now: UnixMillis) -> Result<Migrated, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => sqlite::migrate(path, now).await,
            DatabaseLocation::Server(server) => postgres::migrate(server).await,
        }
    }

    /// What the daemon does to the database before it opens it: a file is made or brought up to
    /// date; a server's database is the owner's to migrate, so only its epoch is settled.
    ///
    /// # Errors
    /// As `migrate`.
    pub async fn prepare(&self, now: UnixMillis) -> Result<Migrated, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => sqlite::migrate(path, now).await,
            DatabaseLocation::Server(server) => postgres::prepare(server).await,
        }
    }

    /// Fills the database on `server` from this file, after the owner's migration. Where the server holds
    /// all of it already, it only compares.
    ///
    /// # Errors
    /// `Unusable` where the server holds other rows, or this role does not own the schema: nothing is
    /// written then.
    pub async fn copy_to(&self, server: &ServerLocation) -> Result<TakenOver, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => {
                postgres::migrate(server).await?;
                takeover::take_over(path, server).await
            }
            DatabaseLocation::Server(server) => Err(StoreError::Unusable(format!(
                "{server} is a server; only a file is copied to one"
            ))),
        }
    }

    /// Opens a database that `migrate` has upgraded.
    ///
    /// # Errors
    /// `Unusable` if there is none, it is not ours, or has another version; `Unavailable` if it
    /// cannot be used at present.
    pub async fn open(&self) -> Result<Arc<dyn Database>, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => {
                Ok(Arc::new(SqliteStore::open(self.to_sqlite(path)).await?))
            }
            DatabaseLocation::Server(server) => Ok(Arc::new(
                PostgresStore::open(self.to_postgres(server)).await?,
            )),
        }
    }

    /// Like `open`, for the process that has just called `migrate` and so settled the epoch.
    ///
    /// # Errors
    /// Like `open`.
    pub async fn open_migrated(&self) -> Result<Arc<dyn Database>, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => {
                let store = SqliteStore::open(self.to_sqlite(path)).await?;
                Ok(Arc::new(store.settled()))
            }
            DatabaseLocation::Server(_) => self.open().await,
        }
    }

    /// Opens it for a read-only command, even if this process has no write permission.
    ///
    /// # Errors
    /// Like `open`.
    pub async fn open_to_read(&self) -> Result<Arc<dyn Database>, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => {
                let store = SqliteStore::open_to_read(self.to_sqlite(path)).await?;
                Ok(Arc::new(store))
            }
            DatabaseLocation::Server(_) => self.open().await,
        }
    }

    /// Takes a role; None if another process has it.
    ///
    /// # Errors
    /// When that cannot be found out: the cause is told without the database's name.
    pub async fn hold(&self, role: Role<'_>) -> Result<Option<Box<dyn RoleHold>>, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => {
                let lock = sqlite::hold(path, role)?;
                Ok(lock.map(|lock| Box::new(lock) as Box<dyn RoleHold>))
            }
            DatabaseLocation::Server(server) => {
                let hold = postgres::hold(server, role, &self.process).await?;
                Ok(hold.map(|hold| Box::new(hold) as Box<dyn RoleHold>))
            }
        }
    }

    /// Restores the copy at `file` as this database, with a new epoch.
    ///
    /// # Errors
    /// If the database is in use, if the copy is damaged or not ours, and, without `force`, if the
    /// database is newer than the copy. Nothing is changed then.
    pub async fn restore(
        &self,
        file: &Path,
        force: bool,
        now: UnixMillis,
    ) -> Result<Copied, StoreError> {
        match &self.location {
            DatabaseLocation::File(path) => sqlite::restore(file, path, force, now).await,
            DatabaseLocation::Server(server) => Err(postgres::restore_elsewhere(server, file)),
        }
    }

    fn to_sqlite(&self, path: &Path) -> SqliteOptions {
        SqliteOptions::new(path, &self.subject_prefix)
            .with_off_consumers(self.off_consumers.iter().copied())
    }

    fn to_postgres(&self, server: &ServerLocation) -> PostgresOptions {
        PostgresOptions {
            server: server.clone(),
            subject_prefix: self.subject_prefix.clone(),
            off_consumers: self
                .off_consumers
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        }
    }
}
