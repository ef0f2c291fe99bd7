//! The side file: the highest seq ever given out, kept outside the database.
//!
//! A database put back from an older copy would hand out the same numbers again. The daemon finds
//! that out by this file, written after commits; it is never read while it is written.

use std::fs;
use std::path::{Path, PathBuf};

/// What the side file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HighWater {
    /// Epoch of the database that wrote it.
    pub(super) epoch: String,
    /// Highest seq it gave out.
    pub(super) seq: i64,
}

/// Reads the side file; None when it is missing or says nothing usable.
pub(super) fn read(database: &Path) -> Option<HighWater> {
    let text = fs::read_to_string(side_path(database)).ok()?;
    let (epoch, seq) = text.trim_end().split_once(' ')?;
    Some(HighWater {
        epoch: epoch.to_owned(),
        seq: seq.parse().ok()?,
    })
}

/// Writes it whole or not at all. A failure is told but stops nothing: the seq in the database
/// stays the truth, the file only guards against a copy put back.
pub(super) fn write(database: &Path, mark: &HighWater) {
    let path = side_path(database);
    let fresh = with_suffix(database, ".high-water.new");
    let written = fs::write(&fresh, format!("{} {}\n", mark.epoch, mark.seq))
        .and_then(|()| fs::rename(&fresh, &path));
    if let Err(error) = written {
        tracing::warn!(file = %path.display(), %error, "the high-water mark could not be written");
    }
}

/// `<database>.high-water`
pub(super) fn side_path(database: &Path) -> PathBuf {
    with_suffix(database, ".high-water")
}

fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_rubbish_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert_eq!(read(&database), None);
        let mark = HighWater {
            epoch: "e-1".into(),
            seq: 42,
        };
        write(&database, &mark);
        assert_eq!(read(&database), Some(mark));
        fs::write(side_path(&database), "e-1 4x").unwrap();
        assert_eq!(read(&database), None);
    }
}
