//! The location of the database: the file behind its name, and whether it is still the open one.
//!
//! `rm`, `mv` and `rsync` replace an open file, and SQLite continues with one that no other program
//! sees; `.restore` writes older content into the same file. Both are detected here, by file
//! metadata only: opening and closing a file would drop SQLite's locks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqliteConnection;

use super::path::beside;
use super::path::{FileId, require_usable_path, resolve};
use crate::store::StoreError;

/// Numbers that only grow within an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) epoch: String,
    /// Highest seq assigned.
    pub(super) seq: i64,
    /// Highest invoice id.
    invoice: i64,
}

impl Numbers {
    const READ: &str = "
        SELECT coalesce((SELECT value FROM meta WHERE key = 'epoch'), ''),
               coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0),
               coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'invoices'), 0)";

    pub(super) async fn of(
        connection: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    ) -> sqlx::Result<Self> {
        let (epoch, seq, invoice) = sqlx::query_as(Self::READ).fetch_one(connection).await?;
        Ok(Self {
            epoch,
            seq,
            invoice,
        })
    }

    fn has_fallen_below(&self, before: &Self) -> bool {
        self.epoch != before.epoch || self.seq < before.seq || self.invoice < before.invoice
    }

    fn raise_to(&mut self, seen: &Self) {
        self.seq = self.seq.max(seen.seq);
        self.invoice = self.invoice.max(seen.invoice);
    }
}

/// Files that SQLite creates beside the database and removes when the last connection is closed.
const WAL_FILES: [&str; 2] = ["-wal", "-shm"];

/// The location of an open database.
pub(super) struct DatabasePlace {
    name: PathBuf,
    path: PathBuf,
    database: FileId,
    /// `WAL_FILES`, while one of our connections keeps SQLite from removing them.
    wal_files: Mutex<Option<[FileId; 2]>>,
    seen: Mutex<Option<Numbers>>,
    settled: AtomicBool,
    replaced: AtomicBool,
}

impl DatabasePlace {
    /// The location that `name` leads to.
    ///
    /// # Errors
    /// `Unusable` if there is no database, or one with several names.
    pub(super) fn of(name: &Path) -> Result<Self, StoreError> {
        let path = resolve(name);
        require_usable_path(&path)?;
        // Never creates a database silently: a missing or misspelt file is an error.
        let database = file_id(&path)?.ok_or_else(|| {
            StoreError::Unusable(format!(
                "no database at {}; `payrecond migrate` creates it",
                path.display()
            ))
        })?;
        Ok(Self {
            name: name.to_owned(),
            path,
            database,
            wal_files: Mutex::default(),
            seen: Mutex::default(),
            settled: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the name still leads to the files that are open.
    ///
    /// # Errors
    /// `Replaced` if it does not; `Unavailable` if the files cannot be examined.
    pub(super) fn require_in_place(&self) -> Result<(), StoreError> {
        match file_id(&self.name)? {
            None => return Err(self.replaced("the database was removed")),
            Some(there) if there != self.database => {
                return Err(self.replaced("the database was replaced by another file"));
            }
            Some(_) => {}
        }
        // Held meanwhile, so that the connection that keeps these files is not closed.
        let files = self.wal_files();
        for (suffix, known) in WAL_FILES.iter().zip(files.iter().flatten()) {
            if file_id(&beside(&self.path, suffix))? != Some(*known) {
                let what = format!("its {suffix} file was removed or replaced");
                return Err(self.replaced(&what));
            }
        }
        Ok(())
    }

    /// Records the files beside the database, which a connection has just opened.
    pub(super) fn watch_wal(&self) {
        let id = |suffix| FileId::of(&beside(&self.path, suffix)).ok().flatten();
        *self.wal_files() = match WAL_FILES.map(id) {
            [Some(wal), Some(shm)] => Some([wal, shm]),
            _ => None,
        };
    }

    /// Forgets these files: the connection that kept them is about to be closed, and SQLite may
    /// remove them.
    fn forget_wal(&self) {
        *self.wal_files() = None;
    }

    /// The numbers seen so far, to be compared with those read afterwards.
    pub(super) fn seen(&self) -> Option<Numbers> {
        self.seen_numbers().clone()
    }

    /// Records `now`, read after `before` was known.
    ///
    /// # Errors
    /// `Replaced` if numbers have decreased: older content was written into the file.
    pub(super) fn note(&self, before: Option<&Numbers>, now: &Numbers) -> Result<(), StoreError> {
        if before.is_some_and(|before| now.has_fallen_below(before)) {
            return Err(self.replaced("an older copy was put back into the database"));
        }
        match &mut *self.seen_numbers() {
            Some(seen) if seen.epoch == now.epoch => seen.raise_to(now),
            seen => *seen = Some(now.clone()),
        }
        Ok(())
    }

    /// Marks the epoch as settled by this process: a missing side file then proves nothing.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Records a seq that was just assigned.
    pub(super) fn note_seq(&self, seq: i64) {
        if let Some(seen) = &mut *self.seen_numbers() {
            seen.seq = seen.seq.max(seq);
        }
    }

    /// Whether the last writes can still be checkpointed: the database is in place, its `-wal` file
    /// was removed, and no other one was created.
    pub(super) fn can_be_checkpointed(&self) -> bool {
        let there = |path: &Path| FileId::of(path).unwrap_or(None);
        let has_wal = self.wal_files().is_some();
        has_wal
            && there(&self.name) == Some(self.database)
            && there(&beside(&self.path, "-wal")).is_none()
    }

    /// Detaches the write-ahead log of the database from the file that replaced it: SQLite would
    /// write the log into that file.
    pub(super) fn detach_wal(&self) {
        let there = |path: &Path| FileId::of(path).unwrap_or(None);
        if there(&self.path) == Some(self.database) {
            return;
        }
        let files = self.wal_files();
        for (suffix, known) in WAL_FILES.iter().zip(files.iter().flatten()) {
            let file = beside(&self.path, suffix);
            let aside = beside(
                &self.path,
                &format!(".replaced-{}{suffix}", self.database.inode),
            );
            if there(&file) != Some(*known) {
                continue;
            }
            match fs::rename(&file, &aside) {
                Ok(()) => {
                    tracing::warn!(file = %aside.display(), "write-ahead log of the replaced database moved aside");
                }
                Err(error) => {
                    tracing::error!(file = %file.display(), %error, "write-ahead log of the replaced database could not be moved aside; remove it before the next start");
                }
            }
        }
    }

    /// Whether it was ever found to be replaced.
    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }

    fn replaced(&self, what: &str) -> StoreError {
        self.replaced.store(true, Ordering::Relaxed);
        StoreError::Replaced(format!("{}: {what} while it was open", self.path.display()))
    }

    fn wal_files(&self) -> MutexGuard<'_, Option<[FileId; 2]>> {
        self.wal_files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn seen_numbers(&self) -> MutexGuard<'_, Option<Numbers>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the watch on the files beside the database when the connection that keeps them is closed.
/// Declared before the connection, so it is dropped first.
pub(super) struct WalWatch(Arc<DatabasePlace>);

impl WalWatch {
    /// Begins after the connection has opened them, which its first read does.
    pub(super) async fn begin(
        place: &Arc<DatabasePlace>,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        sqlx::query("PRAGMA schema_version")
            .fetch_one(connection)
            .await?;
        place.watch_wal();
        Ok(Self(Arc::clone(place)))
    }
}

impl Drop for WalWatch {
    fn drop(&mut self) {
        self.0.forget_wal();
    }
}

fn file_id(path: &Path) -> Result<Option<FileId>, StoreError> {
    FileId::of(path).map_err(|error| unavailable(path, &error))
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
