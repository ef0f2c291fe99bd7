//! Where the database lies: the file behind its name, and whether it is still the one that is open.
//!
//! `rm`, `mv` and `rsync` put another file in the place of an open one, and SQLite goes on with what
//! nobody sees any more; `.restore` puts older content into the same file. Both are noticed here, by
//! looking at files from outside alone: opening and closing one would drop SQLite's locks.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqliteConnection;

use super::connection::beside;
use crate::store::StoreError;

/// As many links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// The file that `name` leads to through symbolic links, also where it does not exist yet. Locks,
/// side file, `-wal` and copies belong to it, whatever it was called by.
pub fn resolve(name: &Path) -> PathBuf {
    follow(name, MOST_LINKS)
}

fn follow(name: &Path, links_left: u32) -> PathBuf {
    if let Ok(path) = name.canonicalize() {
        return path;
    }
    match fs::read_link(name) {
        Ok(target) if links_left > 0 => follow(&folder_of(name).join(target), links_left - 1),
        Ok(_) | Err(_) => match (folder_of(name).canonicalize(), name.file_name()) {
            (Ok(folder), Some(file)) => folder.join(file),
            _ => name.to_owned(),
        },
    }
}

/// The folder that holds `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Refuses a database with several names: each would have a `-wal` and locks of its own.
///
/// # Errors
/// `Unusable` when a hard link leads to it, beside `path`.
pub(super) fn require_one_name(path: &Path) -> Result<(), StoreError> {
    let links = |path| fs::metadata(path).map_or(0, |file| file.nlink());
    if links(path) > 1 {
        remove_half_made_restores(path);
    }
    match links(path) {
        0 | 1 => Ok(()),
        names => Err(StoreError::Unusable(format!(
            "{}: the file has {names} names (hard links), and SQLite keeps a log and locks for each: remove all but one, `find -samefile` lists them",
            path.display()
        ))),
    }
}

/// A restore that was killed leaves a second name for the database that it did not replace.
fn remove_half_made_restores(path: &Path) {
    let (Ok(Some(database)), Some(name)) = (FileId::of(path), path.file_name()) else {
        return;
    };
    let prefix = format!("{}.replaced-", name.to_string_lossy());
    let entries = fs::read_dir(folder_of(path)).into_iter().flatten();
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_string_lossy().starts_with(&prefix);
        if is_named && FileId::of(&entry.path()).is_ok_and(|id| id == Some(database)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file at `path`; None when there is none.
    pub(super) fn of(path: &Path) -> std::io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(file) => Ok(Some(Self::from(&file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<&fs::Metadata> for FileId {
    fn from(file: &fs::Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
        }
    }
}

/// Numbers that only grow within an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) epoch: String,
    /// Highest seq given out.
    pub(super) seq: i64,
    /// Highest id of an invoice.
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

/// Files that SQLite makes beside the database, and removes when the last connection is closed.
const LOG_FILES: [&str; 2] = ["-wal", "-shm"];

/// The place of an open database.
pub(super) struct Place {
    name: PathBuf,
    path: PathBuf,
    database: FileId,
    /// `LOG_FILES`, as long as a connection of ours keeps SQLite from removing them.
    log: Mutex<Option<[FileId; 2]>>,
    seen: Mutex<Option<Numbers>>,
    settled: AtomicBool,
    replaced: AtomicBool,
}

impl Place {
    /// The place that `name` leads to.
    ///
    /// # Errors
    /// `Unusable` when there is no database, or one with several names.
    pub(super) fn of(name: &Path) -> Result<Self, StoreError> {
        let path = resolve(name);
        require_one_name(&path)?;
        // Never a silent new database: a file that is gone or misspelt is an error.
        let database = look(&path)?.ok_or_else(|| {
            StoreError::Unusable(format!(
                "there is no database at {}: `payrecond migrate` makes one",
                path.display()
            ))
        })?;
        Ok(Self {
            name: name.to_owned(),
            path,
            database,
            log: Mutex::default(),
            seen: Mutex::default(),
            settled: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the name still leads to the files that are open.
    ///
    /// # Errors
    /// `Replaced` when it does not; `Unavailable` when the files cannot be looked at.
    pub(super) fn require_in_place(&self) -> Result<(), StoreError> {
        match look(&self.name)? {
            None => return Err(self.replaced("the database was removed")),
            Some(there) if there != self.database => {
                return Err(self.replaced("the database was replaced by another file"));
            }
            Some(_) => {}
        }
        // Held meanwhile: the connection that keeps these files is not closed in between.
        let log = self.log();
        for (suffix, known) in LOG_FILES.iter().zip(log.iter().flatten()) {
            if look(&beside(&self.path, suffix))? != Some(*known) {
                let what = format!("its {suffix} file was removed or replaced");
                return Err(self.replaced(&what));
            }
        }
        Ok(())
    }

    /// Takes note of the files beside the database, which a connection has just opened.
    pub(super) fn watch_log(&self) {
        let id = |suffix| FileId::of(&beside(&self.path, suffix)).ok().flatten();
        *self.log() = match LOG_FILES.map(id) {
            [Some(wal), Some(shm)] => Some([wal, shm]),
            _ => None,
        };
    }

    /// The connection that kept them is about to be closed: SQLite may remove them.
    fn forget_log(&self) {
        *self.log() = None;
    }

    /// The numbers seen so far, to be compared with those that are read afterwards.
    pub(super) fn seen(&self) -> Option<Numbers> {
        self.seen_numbers().clone()
    }

    /// Takes note of `now`, read after `before` was known.
    ///
    /// # Errors
    /// `Replaced` when numbers have fallen: older content was put into the file.
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

    /// This process has settled the epoch: that the side file is missing tells nothing.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Takes note of numbers that were just given out.
    pub(super) fn note_seq(&self, seq: i64) {
        if let Some(seen) = &mut *self.seen_numbers() {
            seen.seq = seen.seq.max(seq);
        }
    }

    /// What was written last and not yet folded in is lost with the `-wal` file unless this says
    /// so: the database is there, its `-wal` is gone, and nobody has begun another.
    pub(super) fn can_be_folded_in(&self) -> bool {
        let there = |path: &Path| FileId::of(path).unwrap_or(None);
        let has_log = self.log().is_some();
        has_log
            && there(&self.name) == Some(self.database)
            && there(&beside(&self.path, "-wal")).is_none()
    }

    /// Keeps what stands in the place of the database apart from the log that was the database's:
    /// SQLite would write the one into the other.
    pub(super) fn set_log_aside(&self) {
        let there = |path: &Path| FileId::of(path).unwrap_or(None);
        if there(&self.path) == Some(self.database) {
            return;
        }
        let log = self.log();
        for (suffix, known) in LOG_FILES.iter().zip(log.iter().flatten()) {
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
                    tracing::warn!(file = %aside.display(), "log of the replaced database set aside");
                }
                Err(error) => {
                    tracing::error!(file = %file.display(), %error, "log of the replaced database cannot be set aside: remove it before the next start");
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

    fn log(&self) -> MutexGuard<'_, Option<[FileId; 2]>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen_numbers(&self) -> MutexGuard<'_, Option<Numbers>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the watch on the files beside the database when the connection that keeps them goes. A
/// field before the connection: it is dropped first.
pub(super) struct LogWatch(Arc<Place>);

impl LogWatch {
    /// Begins when the connection has opened them, which its first read does.
    pub(super) async fn begin(
        place: &Arc<Place>,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        sqlx::query("PRAGMA schema_version")
            .fetch_one(connection)
            .await?;
        place.watch_log();
        Ok(Self(Arc::clone(place)))
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        self.0.forget_log();
    }
}

fn look(path: &Path) -> Result<Option<FileId>, StoreError> {
    FileId::of(path).map_err(|error| unavailable(path, &error))
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_leads_to_its_file_through_links_also_to_one_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("disk")).unwrap();
        symlink("disk", root.join("mount")).unwrap();
        symlink("../mount/a.db", root.join("disk/b.db")).unwrap();
        symlink(root.join("disk/b.db"), root.join("c.db")).unwrap();
        symlink("round.db", root.join("round.db")).unwrap();
        let file = root.join("disk/a.db");
        for name in [
            "disk/a.db",
            "mount/a.db",
            "disk/b.db",
            "c.db",
            "disk/../c.db",
        ] {
            assert_eq!(resolve(&root.join(name)), file, "{name}");
        }
        fs::write(&file, "").unwrap();
        for name in ["disk/a.db", "mount/a.db", "disk/b.db", "c.db"] {
            assert_eq!(resolve(&root.join(name)), file, "{name}");
        }
        let nowhere = root.join("absent/a.db");
        assert_eq!(resolve(&nowhere), nowhere);
        assert_eq!(resolve(&root.join("round.db")), root.join("round.db"));
    }

    #[test]
    fn a_second_name_is_refused_unless_a_killed_restore_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, "").unwrap();
        fs::hard_link(&path, folder.path().join("a.db.replaced-17")).unwrap();
        fs::write(folder.path().join("a.db.replaced-16"), "").unwrap();
        require_one_name(&path).unwrap();
        assert!(folder.path().join("a.db.replaced-16").exists());
        assert!(!folder.path().join("a.db.replaced-17").exists());
        fs::hard_link(&path, folder.path().join("b.db")).unwrap();
        assert!(require_one_name(&path).is_err());
        assert!(require_one_name(&folder.path().join("b.db")).is_err());
    }
}
