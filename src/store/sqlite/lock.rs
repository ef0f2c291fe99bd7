//! Locks beside the database: one daemon, and one holder per consumer name.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::access;
use super::path::beside;
use super::path::{FileId, folder_of, missing_folder, resolve};
use crate::store::{Role, RoleHold, StoreError};

/// Maximum length in bytes of the lock's own part of a file name; the database's name precedes it.
const LONGEST_LOCK_NAME: usize = 64;

/// Takes the lock of a role; None if another process holds it.
///
/// # Errors
/// If the lock file cannot be created.
pub fn hold(database: &Path, role: Role<'_>) -> Result<Option<DatabaseLock>, StoreError> {
    let database = resolve(database);
    DatabaseLock::try_take(&database, &lock_name(role)).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            return StoreError::Unusable(missing_folder(&database));
        }
        let owners = access::owners(folder_of(&database));
        StoreError::Unusable(format!("lock file could not be created: {error}{owners}"))
    })
}

/// Whether a process has the role.
pub(super) fn is_held(database: &Path, role: Role<'_>) -> std::io::Result<bool> {
    DatabaseLock::is_held(database, &lock_name(role))
}

fn lock_name(role: Role<'_>) -> String {
    match role {
        Role::Daemon => "daemon".to_owned(),
        Role::Consumer(name) => format!("feed-{name}"),
    }
}

/// A lock beside the database, held as long as the value lives. It ends with the process in any
/// case.
#[derive(Debug)]
pub struct DatabaseLock {
    path: PathBuf,
    file: File,
}

impl DatabaseLock {
    /// Takes the lock `name` of the database at `path`; None if another process holds it.
    ///
    /// # Errors
    /// If the lock file cannot be created, because the directory is not writable.
    pub fn try_take(path: &Path, name: &str) -> std::io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let database = resolve(path);
        let lock = lock_path(&database, name);
        let file = match options.open(&lock) {
            // Created by another user of the group: a readable file can be locked.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(&lock)?,
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => {
                // A file created by root must be usable by the service too.
                let _ = access::share_as_database(&file, &database);
                Ok(Some(Self { path: lock, file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether the lock's file is still in place: if another file replaced it, a second process
    /// could take the same lock.
    ///
    /// # Errors
    /// If the files cannot be examined.
    pub fn is_in_place(&self) -> std::io::Result<bool> {
        let held = FileId::from(&self.file.metadata()?);
        Ok(FileId::of(&self.path)? == Some(held))
    }

    /// Whether a process holds the lock `name`. Creates no file, and does not disturb other checks.
    ///
    /// # Errors
    /// If the lock file cannot be read.
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

impl RoleHold for DatabaseLock {
    fn require_held(&self) -> Result<(), StoreError> {
        if self.is_in_place().unwrap_or(true) {
            return Ok(());
        }
        let why = "its lock file was removed, so another process could have taken the same lock";
        let lock = self.path.display();
        Err(StoreError::Replaced(format!("{lock}: {why}")))
    }
}

/// `<database>.<name>.lock`; characters not allowed in a file name are written as hex, and a name
/// too long for a file as a digest.
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
