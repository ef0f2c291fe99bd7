//! Connections: how they are opened, when one is thrown away, and who holds the file.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlitePool};
use tokio::sync::MutexGuard;
use tokio::time::Instant;
use uuid::Uuid;

use super::access;
use super::high_water;
use super::log::{Log, LogState};
use super::pace::Pace;
use super::place::{FileId, LogWatch, Numbers, Place, resolve};
use super::schema;
use crate::store::StoreError;

/// Longest part of a lock's file name that is its own, in bytes; the database's name goes before it.
const LONGEST_LOCK_NAME: usize = 64;
/// How long a statement waits for another process's write lock before it reports.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows that the connection's thread hands over without waiting for them to be taken: a batch, or
/// the two threads wake each other every few rows.
const ROWS_AHEAD: usize = 1024;

/// The one connection that writes. After an error it is dropped and opened again: a COMMIT that
/// failed has an unknown outcome, and only a new connection reads what really is there.
pub(super) struct Writer {
    place: Arc<Place>,
    open: Option<Open>,
    pace: Pace,
    log: Log,
}

struct Open {
    log_watch: LogWatch,
    connection: SqliteConnection,
    /// True from BEGIN to the end of a transaction: whoever fails or is dropped in between leaves
    /// it so, and the connection is not used again.
    in_doubt: bool,
}

impl Open {
    /// Opens the database that stands at its place, and makes sure that it still does then.
    async fn of(place: &Arc<Place>) -> Result<Self, StoreError> {
        place.require_in_place()?;
        access::require_writable(place.path())?;
        let mut connection = open_writer(place.path()).await?;
        let log_watch = LogWatch::begin(place, &mut connection).await?;
        place.require_in_place()?;
        Ok(Self {
            log_watch,
            connection,
            in_doubt: false,
        })
    }
}

impl Writer {
    /// `beside_others`: how long the lock is left alone between two transactions while other
    /// programs write.
    pub(super) fn new(place: &Arc<Place>, beside_others: Duration) -> Self {
        Self {
            place: Arc::clone(place),
            open: None,
            pace: Pace::new(beside_others),
            log: Log::default(),
        }
    }

    /// The connection, opened for the first use and after one that failed.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        Ok(&mut sound(&mut self.open, &self.place).await?.connection)
    }

    /// Begins a write transaction, to be ended by `commit` or `roll_back`. Nothing is written to a
    /// database that is no longer the one that was opened.
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.place.require_in_place()?;
        let open = sound(&mut self.open, &self.place).await?;
        open.in_doubt = true;
        let others = sqlx::query_scalar("SELECT data_version FROM pragma_data_version")
            .fetch_one(&mut open.connection)
            .await?;
        self.pace.wait(others).await;
        open.connection.execute("BEGIN IMMEDIATE").await?;
        self.pace.began();
        let before = self.place.seen();
        let now = Numbers::of(&mut open.connection).await?;
        self.place.note(before.as_ref(), &now)?;
        Ok(&mut open.connection)
    }

    /// As `begin`, for a transaction that gives out numbers. The side file must not know of higher
    /// ones: a copy put back while nobody ran is noticed by whoever is the first to write.
    pub(super) async fn begin_events(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let place = Arc::clone(&self.place);
        let connection = self.begin().await?;
        if let Some(seen) = place.seen() {
            high_water::require_not_above(place.path(), &seen, place.is_settled()).await?;
        }
        Ok(connection)
    }

    /// Ends the transaction that `begin` began.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    /// Copies all that was committed from the log into the database.
    pub(super) async fn fold_in(&mut self) -> Result<(), StoreError> {
        if let Some(open) = self.open.as_mut() {
            open.connection
                .execute("PRAGMA wal_checkpoint(PASSIVE)")
                .await?;
        }
        Ok(())
    }

    /// Gives the transaction up; nothing of it is kept.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, statement: &'static str) -> Result<(), StoreError> {
        if let Some(open) = self.open.as_mut() {
            open.connection.execute(statement).await?;
            self.pace.ended();
            match self.log.tend(&mut open.connection).await {
                Ok(()) => open.in_doubt = false,
                // What was committed is committed; the next use has a new connection.
                Err(error) => tracing::debug!(%error, "the log could not be folded in"),
            }
        }
        Ok(())
    }

    /// Remembers, outside the database, the highest seq that was given out.
    pub(super) fn note_high_water(&self, epoch: &str, seq: i64) {
        self.place.note_seq(seq);
        high_water::raise(
            self.place.path(),
            &high_water::HighWater {
                epoch: epoch.to_owned(),
                seq,
            },
        );
    }

    /// What is known of the log.
    pub(super) fn log(&self) -> LogState {
        self.log.state.clone()
    }

    /// Keeps the connection open to the end of the process.
    pub(super) fn leave_open(&mut self) {
        std::mem::forget(self.open.take());
    }

    pub(super) async fn close(&mut self) {
        if let Some(Open {
            log_watch,
            connection,
            ..
        }) = self.open.take()
        {
            drop(log_watch);
            // Failing to checkpoint on the way out loses nothing: the WAL is read at the next start.
            let _ = connection.close().await;
        }
    }
}

async fn sound<'a>(
    open: &'a mut Option<Open>,
    place: &Arc<Place>,
) -> Result<&'a mut Open, StoreError> {
    // A doubtful connection is dropped, not closed: closing would wait for a checkpoint on a file
    // that just failed.
    let sound = match open.take().filter(|open| !open.in_doubt) {
        Some(open) => open,
        None => Open::of(place).await?,
    };
    Ok(open.insert(sound))
}

/// The writer, for one use. A transaction that an error or a dropped future left behind ends with
/// it: else its lock would keep every program out until the next write.
pub(super) struct Turn<'a> {
    writer: MutexGuard<'a, Writer>,
    in_use: &'a InUse,
}

impl<'a> Turn<'a> {
    pub(super) fn of(writer: MutexGuard<'a, Writer>, in_use: &'a InUse) -> Self {
        in_use.set(Some(Instant::now()));
        Self { writer, in_use }
    }
}

/// Since when the writer has been in the hands of whoever uses it now.
#[derive(Default)]
pub(super) struct InUse(Mutex<Option<Instant>>);

impl InUse {
    pub(super) fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Deref for Turn<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writer.open.take_if(|open| open.in_doubt);
        self.in_use.set(None);
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .statement_cache_capacity(64)
        .row_buffer_size(ROWS_AHEAD)
}

/// Sets no journal mode: that would write to a file that may turn out to be another program's.
async fn open_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = options(path)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        // `Log` sees to it.
        .pragma("wal_autocheckpoint", "0")
        // KiB, when negative: the queue's index is written all over, and should stay in memory.
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

/// A connection that makes the file when it is missing. For `migrate` only.
pub(super) async fn open_or_create(path: &Path) -> Result<SqliteConnection, StoreError> {
    let opened = match access::create_new(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(sqlx::Error::Io(error)),
        // Closed again before SQLite opens it: no lock of anybody's in this process is on it.
        Ok(_) | Err(_) => {
            let options = options(path).synchronous(SqliteSynchronous::Full);
            SqliteConnection::connect_with(&options).await
        }
    };
    opened.map_err(|error| access::explained(StoreError::from(error).at(path), path))
}

/// How a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// By one that may write it.
    AsWriter,
    /// While another process has it open: by the files that this one keeps beside it.
    BesideWriter,
    /// While nobody has it open: all of it stands in one file. SQLite would make others beside it,
    /// which it cannot here, or which the daemon could not write later.
    AtRest,
}

impl Reading {
    /// How this process may read the database.
    ///
    /// # Errors
    /// `Unusable` when what was written last could not be read.
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
                    "{}: what was written last stands in its -wal file, and without the -shm file only a process that may write here can read it",
                    path.display()
                )),
                path,
            )),
        }
    }
}

/// Readers never hold a transaction open, or the WAL could not be reset. None is opened on other
/// files than the writer has.
pub(super) fn readers(place: &Arc<Place>, reading: Reading) -> SqlitePool {
    let options = options(place.path())
        .pragma("query_only", "ON")
        .read_only(reading != Reading::AsWriter)
        .immutable(reading == Reading::AtRest);
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

pub(super) async fn change_counter(writer: &mut Writer) -> Result<i64, StoreError> {
    let connection = writer.connection().await?;
    // data_version tells of other connections' commits, total_changes() of this one's.
    let (others, own): (i64, i64) =
        sqlx::query_as("SELECT data_version, total_changes() FROM pragma_data_version")
            .fetch_one(connection)
            .await?;
    Ok(others.wrapping_shl(32).wrapping_add(own))
}

/// A lock beside the database, held as long as the value lives: one daemon a database, one holder
/// a consumer name. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct DatabaseLock {
    path: PathBuf,
    file: File,
}

impl DatabaseLock {
    /// Takes the lock `name` of the database at `path`; None when another process holds it.
    ///
    /// # Errors
    /// When the lock file cannot be made: the folder is not writable.
    pub fn try_take(path: &Path, name: &str) -> std::io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let database = resolve(path);
        let lock = lock_path(&database, name);
        let file = match options.open(&lock) {
            // Made by another user of the group: what can be read can be locked.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(&lock)?,
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => {
                // What root makes is for the service too.
                let _ = access::share_as_database(&file, &database);
                Ok(Some(Self { path: lock, file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether the lock's file is still at its place: beside another one a second process could take
    /// the same lock.
    ///
    /// # Errors
    /// When the files cannot be looked at.
    pub fn is_in_place(&self) -> std::io::Result<bool> {
        let held = FileId::from(&self.file.metadata()?);
        Ok(FileId::of(&self.path)? == Some(held))
    }

    /// Whether a process holds the lock `name`. Makes no file, and two that ask do not see each
    /// other.
    ///
    /// # Errors
    /// When the lock file cannot be read.
    pub fn is_held(path: &Path, name: &str) -> std::io::Result<bool> {
        let file = match File::open(lock_path(&resolve(path), name)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The file beside the database that has its name and `suffix`.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// `<database>.<name>.lock`; what cannot stand in a file name is written as hex, and what would make
/// the name too long for a file as a digest.
fn lock_path(path: &Path, name: &str) -> PathBuf {
    let mut suffix = String::from(".");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            suffix.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(suffix, "%{byte:02x}");
        }
    }
    if suffix.len() > LONGEST_LOCK_NAME {
        suffix = format!(".{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
    }
    suffix.push_str(".lock");
    beside(path, &suffix)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match &error {
            sqlx::Error::Database(database) => match schema::primary_code(database.as_ref()) {
                // SQLITE_CORRUPT, SQLITE_NOTADB: no time heals them.
                11 | 26 => Self::Unusable(format!("the database is damaged or is none: {text}")),
                _ => Self::Unavailable(text),
            },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Unusable(text),
            _ => Self::Unavailable(text),
        }
    }
}

impl StoreError {
    /// Names the file.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::Unavailable(text) => Self::Unavailable(format!("{}: {text}", path.display())),
            Self::Unusable(text) => Self::Unusable(format!("{}: {text}", path.display())),
            Self::Replaced(text) => Self::Replaced(text),
        }
    }
}
