//! The side file: the highest seq ever given out, kept outside the database.
//!
//! A database put back from an older copy would hand out the same numbers again. The daemon finds
//! that out by this file, written after commits; it is never read while it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::connection::beside;
use crate::store::StoreError;

/// What the side file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HighWater {
    /// Epoch of the database that wrote it.
    pub(super) epoch: String,
    /// Highest seq it gave out.
    pub(super) seq: i64,
}

/// Reads the side file; None when it is missing or says nothing usable.
///
/// # Errors
/// When it is there and cannot be read just now: that is no sign of a copy put back.
pub(super) fn read(database: &Path) -> Result<Option<HighWater>, StoreError> {
    match fs::read(side_path(database)) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Unavailable(format!(
            "its side file .high-water cannot be read: {error}"
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

/// Puts the file there, whole and safe from a loss of power. A failure is told but stops nothing:
/// the seq in the database stays the truth, the file only guards against a copy put back.
pub(super) fn put(database: &Path, mark: &HighWater) {
    tell(database, put_whole(database, mark));
}

/// Writes a mark over the one before. Not synced: all marks are of one length and lie within one
/// sector, so the power leaves the new one or an older one, and an older one is no harm. A new file
/// renamed over the old one could be found empty, which would look like a copy put back.
pub(super) fn raise(database: &Path, mark: &HighWater) {
    let raised = OpenOptions::new()
        .write(true)
        .open(side_path(database))
        .and_then(|mut file| file.write_all(line(mark).as_bytes()));
    // Gone, or made by another user of the group.
    tell(database, raised.or_else(|_| put_whole(database, mark)));
}

fn put_whole(database: &Path, mark: &HighWater) -> io::Result<()> {
    let path = side_path(database);
    let fresh = beside(database, ".high-water.new");
    let mut file = File::create(&fresh)?;
    file.write_all(line(mark).as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Always of one length for one epoch.
fn line(mark: &HighWater) -> String {
    format!("{} {:>20}\n", mark.epoch, mark.seq)
}

fn tell(database: &Path, written: io::Result<()>) {
    if let Err(error) = written {
        let file = side_path(database);
        tracing::warn!(file = %file.display(), %error, "the high-water mark could not be written");
    }
}

/// `<database>.high-water`
pub(super) fn side_path(database: &Path) -> PathBuf {
    beside(database, ".high-water")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_rubbish_is_nothing() {
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
        put(&database, &mark);
        assert_eq!(read(&database).unwrap(), Some(mark));
        fs::write(side_path(&database), "e-1 4x").unwrap();
        assert_eq!(read(&database).unwrap(), None);
        fs::remove_file(side_path(&database)).unwrap();
        fs::create_dir(side_path(&database)).unwrap();
        assert!(read(&database).is_err(), "there, and cannot be read");
    }
}
