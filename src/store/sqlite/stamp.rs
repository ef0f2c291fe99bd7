//! Detects writes by other processes from the metadata of the `-wal` file, since every commit
//! writes to it. Reading metadata costs a hundredth of a query, and an idle daemon checks all the
//! time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::path::beside;

/// Two writes within the clock's granularity leave the same metadata: a file counts as unchanged
/// only after it was unmodified for longer than this.
const AT_REST: Duration = Duration::from_secs(1);
/// The database itself is queried at least this often.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

/// The file's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: SystemTime,
}

/// The last answer of the database, and the metadata before the query.
pub(super) struct LastAnswer {
    wal: PathBuf,
    known: Mutex<Option<(Stamp, i64, Instant)>>,
}

impl LastAnswer {
    pub(super) fn about(database: &Path) -> Self {
        Self {
            wal: beside(database, "-wal"),
            known: Mutex::default(),
        }
    }

    /// The current metadata; None if there is no file or it was modified recently.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let file = fs::metadata(&self.wal).ok()?;
        let modified = file.modified().ok()?;
        let is_at_rest = modified.elapsed().is_ok_and(|age| age > AT_REST);
        is_at_rest.then_some(Stamp {
            length: file.len(),
            modified,
        })
    }

    /// The answer that is still valid for this metadata.
    pub(super) fn at(&self, stamp: Option<Stamp>) -> Option<i64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, answer, asked_at) = (*known)?;
        let holds = Some(then) == stamp && asked_at.elapsed() < TRUSTED_FOR;
        holds.then_some(answer)
    }

    /// Records an answer given after the metadata was read.
    pub(super) fn note(&self, stamp: Option<Stamp>, answer: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = stamp.map(|stamp| (stamp, answer, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_at_rest_counts_as_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let wal = folder.path().join("a.db-wal");
        let last = LastAnswer::about(&database);
        assert_eq!(last.stamp(), None, "there is no file");
        fs::write(&wal, "one").unwrap();
        assert_eq!(last.stamp(), None, "written just now");
        let old = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let age = |at| {
            let file = fs::File::options().append(true).open(&wal).unwrap();
            file.set_modified(at).unwrap();
        };
        age(old);
        last.note(last.stamp(), 7);
        assert_eq!(last.at(last.stamp()), Some(7));
        fs::write(&wal, "two").unwrap();
        assert_eq!(last.at(last.stamp()), None, "same length, written since");
        age(old + Duration::from_millis(10));
        assert_eq!(last.at(last.stamp()), None, "another time");
        last.note(None, 8);
        age(old);
        assert_eq!(
            last.at(last.stamp()),
            None,
            "an answer in between counts for nothing"
        );
    }
}
