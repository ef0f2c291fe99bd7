//! Backup and restore: a consistent copy of a live database, and restoring a copy with a new epoch.
//!
//! A file renamed over an open database leaves its readers with the old file, so a restore requires
//! exclusive access to the database.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use super::access;
use super::high_water::{self, HighWater};
use super::lock::DatabaseLock;
use super::open;
use super::path::beside;
use super::path::{self, folder_of};
use super::schema;
use crate::domain::time::UnixMillis;
use crate::store::{Copied, LostRows, StoreError};

const EMPTY: &str = "not a payrecond database: the file is empty";

/// Writes a consistent copy of the database, live or not, to `file`; durable when this returns.
///
/// # Errors
/// If `file` exists already or cannot be written; then nothing of it is left.
pub(super) async fn backup(database: &Path, file: &Path) -> Result<Copied, StoreError> {
    let file = &path::resolve(file);
    if file.try_exists().map_err(|error| io(file, &error))? {
        return Err(unusable(
            file,
            "file exists, and a backup never overwrites; name another file, or delete this one first",
        ));
    }
    let partial = beside(file, ".partial");
    let _ = fs::remove_file(&partial);
    // The copy is written into this file. It contains the same secrets, so it gets the same access
    // rights.
    access::create_as_secret_as(database, &partial).map_err(|error| io(file, &error))?;
    // Not one of the read connections: query_only forbids VACUUM INTO.
    let mut source = open::open_or_create(database).await?;
    let made = sqlx::query("VACUUM INTO ?1")
        .bind(partial.to_string_lossy().into_owned())
        .execute(&mut source)
        .await;
    source.close().await?;
    if let Err(error) = made {
        let _ = fs::remove_file(&partial);
        return Err(StoreError::from(error).at(file));
    }
    let mut copy = open::open_or_create(&partial).await?;
    let (epoch, highest_seq) = (
        epoch_of(&mut copy).await?,
        schema::highest_seq(&mut copy).await?,
    );
    copy.close().await?;
    // VACUUM INTO does not sync the file.
    settle(&partial, file)?;
    let bytes = fs::metadata(file).map_err(|error| io(file, &error))?.len();
    Ok(Copied {
        bytes,
        epoch,
        highest_seq,
        replaced: None,
        newest_at: None,
        lost: None,
    })
}

/// Restores the copy at `file` as `database`, with a new epoch whose seq continues above every
/// number ever assigned. The previous database is kept beside it.
///
/// # Errors
/// If any process has the database open, if the copy is damaged or not ours, and, without `force`,
/// if the database is newer than the copy. Nothing is changed then.
pub async fn restore(
    file: &Path,
    database: &Path,
    force: bool,
    now: UnixMillis,
) -> Result<Copied, StoreError> {
    let (file, database) = (&path::resolve(file), &path::resolve(database));
    path::require_usable_path(database)?;
    let held = || unusable(database, "a daemon has the database open; stop it first");
    let _lock = DatabaseLock::try_take(database, "daemon")
        .map_err(|error| access::explained(io(database, &error), database))?
        .ok_or_else(held)?;
    let fresh = beside(database, ".restoring");
    let outcome = restore_by(file, database, &fresh, force, now).await;
    if outcome.is_err() {
        for leftover in ["", "-wal", "-shm", ".high-water"] {
            let _ = fs::remove_file(beside(&fresh, leftover));
        }
    }
    outcome
}

async fn restore_by(
    file: &Path,
    database: &Path,
    fresh: &Path,
    force: bool,
    now: UnixMillis,
) -> Result<Copied, StoreError> {
    take_copy(file, fresh)?;
    // Read before `migrate`, which detects the restored file and begins an epoch of its own.
    let marks = marks_of(fresh)
        .await
        .map_err(|error| renamed(error.at(fresh), fresh, file))?;
    let marks = marks.ok_or_else(|| unusable(file, EMPTY))?;
    // Upgrades an older schema, and refuses a file that is not ours.
    schema::migrate(fresh, now)
        .await
        .map_err(|error| renamed(error, fresh, file))?;
    let mut copy = open::open_or_create(fresh).await?;
    require_whole(&mut copy, file).await?;
    let mut floor = marks.seq.max(now.0);
    let lost = rows_after(database, &marks).await;
    match marks_of(database).await {
        Ok(Some(there)) if there.is_newer_than(&marks) && !force => {
            return Err(unusable(database, &refusal(&marks, lost)));
        }
        Ok(there) => floor = floor.max(there.map_or(0, |there| there.seq)),
        Err(_) if force => {}
        Err(error) => return Err(error.at(database)),
    }
    let old = open_alone(database).await?;
    let side = high_water::read(database).map_err(|error| error.at(database))?;
    floor = floor.max(side.map_or(0, |side| side.seq));
    let epoch = Uuid::new_v4().to_string();
    copy.execute("BEGIN IMMEDIATE").await?;
    schema::begin_epoch(&mut copy, &epoch, floor).await?;
    copy.execute("COMMIT").await?;
    copy.close().await?;
    let _ = fs::remove_file(high_water::side_path(fresh));
    let replaced = exchange(database, fresh, old.is_some(), now)?;
    if let Some(old) = old {
        old.close().await?;
    }
    high_water::put(
        database,
        &HighWater {
            epoch: epoch.clone(),
            seq: floor,
        },
    );
    let bytes = fs::metadata(database)
        .map_err(|error| io(database, &error))?
        .len();
    Ok(Copied {
        bytes,
        epoch,
        highest_seq: floor,
        replaced,
        newest_at: marks.newest_at,
        lost,
    })
}

/// The progress of a database.
struct Marks {
    seq: i64,
    invoices: i64,
    /// When the newest invoice or event was written.
    newest_at: Option<UnixMillis>,
}

impl Marks {
    /// None if the database is empty.
    async fn of(connection: &mut SqliteConnection) -> Result<Option<Self>, StoreError> {
        if schema::version_of(connection, schema::MIGRATIONS.len()).await? == 0 {
            return Ok(None);
        }
        let seq = schema::highest_seq(connection).await?;
        let invoices = sqlx::query_scalar(
            "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'invoices'), 0)",
        )
        .fetch_one(&mut *connection)
        .await?;
        let newest_at: Option<i64> = sqlx::query_scalar(
            "SELECT max(at) FROM
                 (SELECT * FROM (SELECT created_at AS at FROM invoices ORDER BY id DESC LIMIT 1)
                  UNION ALL
                  SELECT * FROM (SELECT created_at FROM outbox ORDER BY seq DESC LIMIT 1))",
        )
        .fetch_one(connection)
        .await?;
        Ok(Some(Self {
            seq,
            invoices,
            newest_at: newest_at.map(UnixMillis),
        }))
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        self.seq > other.seq || self.invoices > other.invoices
    }
}

/// Size of the file in bytes; 0 if it does not exist, which means the same: an empty file is not a
/// database yet.
fn bytes_of(file: &Path) -> Result<u64, StoreError> {
    match fs::metadata(file) {
        Ok(there) => Ok(there.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(io(file, &error)),
    }
}

/// The progress of the current database; None if there is none.
async fn marks_of(database: &Path) -> Result<Option<Marks>, StoreError> {
    if bytes_of(database)? == 0 {
        return Ok(None);
    }
    let mut connection = open::open_or_create(database).await?;
    let marks = Marks::of(&mut connection).await;
    connection.close().await?;
    marks
}

/// The rows of the current database that the copy does not have; None if they cannot be counted.
async fn rows_after(database: &Path, copy: &Marks) -> Option<LostRows> {
    if bytes_of(database).ok()? == 0 {
        return None;
    }
    let mut connection = open::open_or_create(database).await.ok()?;
    let counted = sqlx::query_as(
        "SELECT (SELECT count(*) FROM invoices WHERE id > ?1),
                (SELECT count(*) FROM outbox WHERE seq > ?2)",
    )
    .bind(copy.invoices)
    .bind(copy.seq)
    .fetch_one(&mut connection)
    .await;
    connection.close().await.ok()?;
    let (invoices, events) = counted.ok()?;
    Some(LostRows { invoices, events })
}

/// Why a newer database is not replaced.
fn refusal(copy: &Marks, lost: Option<LostRows>) -> String {
    let what = lost.map_or_else(String::new, |lost| format!(": {lost} would be lost"));
    let newest = copy
        .newest_at
        .map_or_else(String::new, |at| format!(" (its newest row is of {at})"));
    format!(
        "is newer than the copy{newest}{what}. --force puts the copy back all the same and keeps this \
         database beside it"
    )
}

/// Copies the file, and its WAL if there is one: a copy made by hand may have it.
fn take_copy(file: &Path, fresh: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm", ""] {
        let _ = fs::remove_file(beside(fresh, suffix));
    }
    let wal = beside(file, "-wal");
    if wal.exists() {
        copy_content(&wal, &beside(fresh, "-wal"))?;
    }
    copy_content(file, fresh)
}

/// Copies the content without the mode: the copy may be readable only for its owner.
fn copy_content(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(|error| io(from, &error))?;
    let mut target = access::create_new(to).map_err(|error| io(to, &error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| io(from, &error))?;
    Ok(())
}

async fn require_whole(copy: &mut SqliteConnection, file: &Path) -> Result<(), StoreError> {
    let answer: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(copy)
        .await?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(unusable(file, &format!("file is damaged: {answer}")))
    }
}

/// Opens the database exclusively and checkpoints its WAL; None if there is none.
async fn open_alone(database: &Path) -> Result<Option<SqliteConnection>, StoreError> {
    if !database
        .try_exists()
        .map_err(|error| io(database, &error))?
    {
        return Ok(None);
    }
    let mut old = open::open_or_create(database).await?;
    let alone = async {
        old.execute("PRAGMA busy_timeout = 1000").await?;
        old.execute("PRAGMA locking_mode = EXCLUSIVE").await?;
        // Leaving WAL mode requires that every other connection is closed, and leaves no -wal file
        // that a later close could remove from under the new file.
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode = DELETE")
            .fetch_one(&mut old)
            .await?;
        old.execute("BEGIN EXCLUSIVE").await?;
        Ok::<bool, sqlx::Error>(mode == "delete")
    };
    match alone.await {
        Ok(true) => Ok(Some(old)),
        Ok(false) | Err(_) => Err(unusable(
            database,
            "a process has the database open; stop every program that uses it first",
        )),
    }
}

/// Puts the new file in place of the old one and keeps the old one under another name.
fn exchange(
    database: &Path,
    fresh: &Path,
    there: bool,
    now: UnixMillis,
) -> Result<Option<PathBuf>, StoreError> {
    let mut replaced = None;
    if there {
        let old = fs::metadata(database).map_err(|error| io(database, &error))?;
        let mode = fs::Permissions::from_mode(old.mode());
        fs::set_permissions(fresh, mode).map_err(|error| io(fresh, &error))?;
        // Owner and group as before, if permitted: programs of the group also write to it.
        let _ = std::os::unix::fs::chown(fresh, Some(old.uid()), Some(old.gid()));
        if old.len() > 0 {
            let kept = beside(database, &format!(".replaced-{}", now.0));
            fs::hard_link(database, &kept).map_err(|error| io(&kept, &error))?;
            replaced = Some(kept);
        }
    }
    settle(fresh, database)?;
    Ok(replaced)
}

/// Renames `from` to `to` and makes it durable.
fn settle(from: &Path, to: &Path) -> Result<(), StoreError> {
    File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| File::open(folder_of(to))?.sync_all())
        .map_err(|error| io(to, &error))
}

async fn epoch_of(connection: &mut SqliteConnection) -> Result<String, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(connection)
            .await?,
    )
}

/// Names the file that the person gave in an error about the working copy.
fn renamed(error: StoreError, fresh: &Path, file: &Path) -> StoreError {
    let (fresh, file) = (fresh.display().to_string(), file.display().to_string());
    match error {
        StoreError::Unavailable(text) => StoreError::Unavailable(text.replace(&fresh, &file)),
        StoreError::Unusable(text) => StoreError::Unusable(text.replace(&fresh, &file)),
        StoreError::Replaced(text) => StoreError::Replaced(text.replace(&fresh, &file)),
        StoreError::LeaseLost(_) => error,
    }
}

fn unusable(path: &Path, why: &str) -> StoreError {
    StoreError::Unusable(format!("{}: {why}", path.display()))
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
