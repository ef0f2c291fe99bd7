//! Resolves the database's name to its file, and checks that the file has no second name.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Maximum number of links, the same as the kernel's.
const MOST_LINKS: u32 = 40;

/// The file that `name` leads to through symbolic links, even if it does not exist yet. Locks, side
/// file, `-wal` and copies belong to this file.
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

/// The file beside the database that has its name and `suffix`.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory of `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Refuses a path at which no database can lie: its directory does not exist, or the file has several names.
///
/// # Errors
/// `Unusable`, with what to do.
pub(super) fn require_usable_path(database: &Path) -> Result<(), StoreError> {
    require_folder(database)?;
    require_one_name(database)
}

fn require_folder(database: &Path) -> Result<(), StoreError> {
    if folder_of(database).exists() {
        return Ok(());
    }
    Err(StoreError::Unusable(missing_folder(database)))
}

/// What to do about a directory that does not exist.
pub(super) fn missing_folder(database: &Path) -> String {
    let directory = folder_of(database).display();
    format!(
        "the directory of database.path does not exist; create it with `mkdir -p {directory}`, or \
         change database.path"
    )
}

/// Refuses a database with several names: each name would have its own `-wal` and locks.
///
/// # Errors
/// `Unusable` if a hard link other than `path` leads to it.
fn require_one_name(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Err(StoreError::Unusable(format!(
            "{}: is a directory; database.path names a file",
            path.display()
        )));
    }
    let links = |path| fs::metadata(path).map_or(0, |file| file.nlink());
    if links(path) > 1 {
        remove_half_made_restores(path);
    }
    match links(path) {
        0 | 1 => Ok(()),
        names => Err(StoreError::Unusable(format!(
            "{}: the file has {names} hard links, and SQLite would keep a write-ahead log for each; remove all but one (`find -samefile` lists them)",
            path.display()
        ))),
    }
}

/// Removes the second name that a killed restore leaves for the database that it did not replace.
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

/// The identity of a file, independent of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    pub(super) inode: u64,
}

impl FileId {
    /// The file at `path`; None if there is none.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_is_refused_as_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let refused = require_one_name(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is a directory"), "{refused}");
    }

    #[test]
    fn a_name_resolves_through_links_even_to_a_missing_file() {
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
    fn a_hard_link_is_refused_unless_a_killed_restore_left_it() {
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
