//! The side file: the highest seq ever assigned, kept outside the database.
//!
//! A database restored from an older copy would assign the same numbers again. The daemon detects
//! that by this file, which is written after commits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access;
use super::path::beside;
use super::path::folder_of;
use super::place::Numbers;
use crate::store::StoreError;

/// A mark that seems to be ahead is read again after this time, in case it was being written.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The content of the side file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HighWater {
    /// Epoch of the database that wrote it.
    pub(super) epoch: String,
    /// Highest seq assigned.
    pub(super) seq: i64,
}

/// Reads the side file; None if it is missing or unusable.
///
/// # Errors
/// If it exists and cannot be read at present: that is no sign of a restored copy.
pub(super) fn read(database: &Path) -> Result<Option<HighWater>, StoreError> {
    match fs::read(side_path(database)) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Unavailable(format!(
            "side file .high-water could not be read: {error}"
        ))),
    }
}

fn parse(bytes: &[u8]) -> Option<HighWater> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (epoch, seq) = text.trim_end().split_once(' ')?;
    Some(HighWater {
        epoch: epoch.to_owned(),
        seq: seq.trim_start().parse().ok()?,
    })
}

/// Refuses to assign seqs if the side file shows that the database was restored from an older copy.
///
/// # Errors
/// `Replaced` in that case.
pub(super) async fn require_not_above(
    database: &Path,
    seen: &Numbers,
    may_be_missing: bool,
) -> Result<(), StoreError> {
    let shows_put_back = || {
        let side = read(database)?;
        let is_missing = side.is_none() && may_be_missing;
        Ok::<_, StoreError>(!is_missing && is_put_back(&seen.epoch, seen.seq, side.as_ref()))
    };
    if !shows_put_back()? {
        return Ok(());
    }
    tokio::time::sleep(READ_AGAIN_AFTER).await;
    if !shows_put_back()? {
        return Ok(());
    }
    Err(StoreError::Replaced(format!(
        "{}: {} shows that an older copy was put back; `payrecond migrate` starts a new epoch",
        database.display(),
        side_path(database).display()
    )))
}

/// Writes the file atomically and durably. A failure is logged only: the seq in the database is
/// authoritative, the file only detects a restored copy. A higher mark of the same epoch stays.
pub(super) fn put(database: &Path, mark: &HighWater) {
    let there = read(database).unwrap_or(None);
    if there.is_none_or(|there| there.epoch != mark.epoch || there.seq <= mark.seq) {
        log_failure(database, put_whole(database, mark));
    }
}

/// Writes a mark over a lower one of the same epoch; a mark of another epoch stays. Not synced: all
/// marks have the same length and fit one sector, so a power failure leaves the new mark or an
/// older one, which does no harm. A new file renamed over the old one could end up empty, which
/// would look like a restored copy.
pub(super) fn raise(database: &Path, mark: &HighWater) {
    let raised = OpenOptions::new()
        .read(true)
        .write(true)
        .open(side_path(database))
        .and_then(|file| raise_in(&file, mark));
    // Removed, or created by another user of the group.
    let raised = raised.or_else(|_| match read(database) {
        Ok(Some(there)) if there.keeps_over(mark) => Ok(()),
        Ok(_) | Err(_) => put_whole(database, mark),
    });
    log_failure(database, raised);
}

/// Other processes write here too. Each needs the lock for microseconds; a process stopped
/// meanwhile is not waited for.
fn raise_in(file: &File, mark: &HighWater) -> io::Result<()> {
    let _ = file.try_lock();
    let mut bytes = Vec::new();
    (&mut &*file).read_to_end(&mut bytes)?;
    if parse(&bytes).is_some_and(|there| there.keeps_over(mark)) {
        return Ok(());
    }
    file.write_all_at(line(mark).as_bytes(), 0)
}

impl HighWater {
    /// Whether `mark` must not overwrite it.
    fn keeps_over(&self, mark: &Self) -> bool {
        self.epoch != mark.epoch || self.seq >= mark.seq
    }
}

fn put_whole(database: &Path, mark: &HighWater) -> io::Result<()> {
    let path = side_path(database);
    let fresh = beside(database, ".high-water.new");
    let mut file = File::create(&fresh)?;
    // A file created by root must be usable by the service too.
    let _ = access::share_as_database(&file, database);
    file.write_all(line(mark).as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(folder_of(&path))?.sync_all()
}

/// Always of the same length for one epoch.
fn line(mark: &HighWater) -> String {
    format!("{} {:>20}\n", mark.epoch, mark.seq)
}

fn log_failure(database: &Path, written: io::Result<()>) {
    if let Err(error) = written {
        let file = side_path(database);
        tracing::warn!(file = %file.display(), %error, "high-water mark could not be written");
    }
}

/// `<database>.high-water`
pub(super) fn side_path(database: &Path) -> PathBuf {
    beside(database, ".high-water")
}

/// Whether the database was restored: it is used and has no side file, is behind its side file, or
/// has that of another epoch.
pub(super) fn is_put_back(epoch: &str, own_seq: i64, side: Option<&HighWater>) -> bool {
    match side {
        None => own_seq > 0,
        Some(side) => side.seq > own_seq || side.epoch != epoch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_round_trips_and_invalid_text_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert_eq!(read(&database).unwrap(), None);
        let mark = HighWater {
            epoch: "e-1".into(),
            seq: 42,
        };
        raise(&database, &mark);
        assert_eq!(read(&database).unwrap(), Some(mark.clone()));
        let seq = i64::MAX;
        raise(
            &database,
            &HighWater {
                seq,
                ..mark.clone()
            },
        );
        assert_eq!(read(&database).unwrap().map(|mark| mark.seq), Some(seq));
        raise(&database, &mark);
        put(&database, &mark);
        let kept = read(&database).unwrap().map(|mark| mark.seq);
        assert_eq!(kept, Some(seq), "never backwards within an epoch");
        let next = HighWater {
            epoch: "e-2".into(),
            seq: 7,
        };
        raise(&database, &next);
        assert_eq!(read(&database).unwrap().unwrap().epoch, "e-1");
        put(&database, &next);
        assert_eq!(read(&database).unwrap(), Some(next));
        fs::write(side_path(&database), "e-1 4x").unwrap();
        assert_eq!(read(&database).unwrap(), None);
        fs::remove_file(side_path(&database)).unwrap();
        fs::create_dir(side_path(&database)).unwrap();
        assert!(read(&database).is_err(), "there, and cannot be read");
    }
}
