//! Ownership of files: shared with everyone who uses the directory, and named in errors.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::path::beside;
use super::path::folder_of;
use crate::store::StoreError;

/// Access for everyone, subject to the umask. SQLite would request 0644, and gives the files beside
/// the database the mode of the database.
const MODE: u32 = 0o666;
const ROOT: u32 = 0;
/// Read and write for the group.
const GROUP_READS_AND_WRITES: u32 = 0o060;
const GROUP_WRITES: u32 = 0o020;

/// Creates a new empty file, shared with everyone who uses its directory.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    create_like(path, MODE, folder_of(path))
}

/// Creates a new empty file that can be read only by those who can read the file `like`.
pub(super) fn create_as_secret_as(like: &Path, path: &Path) -> io::Result<File> {
    let mode = fs::metadata(like)?.mode() & MODE;
    create_like(path, mode, folder_of(path))
}

fn create_like(path: &Path, mode: u32, like: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(mode);
    let file = options.open(path)?;
    share_as(&file, like)?;
    Ok(file)
}

/// Gives a file beside the database the database's owner and group.
pub(super) fn share_as_database(file: &File, database: &Path) -> io::Result<()> {
    if database.exists() {
        share_as(file, database)
    } else {
        share_as(file, folder_of(database))
    }
}

/// A file created by root would belong to root alone: it gets the owner, the group and the group's
/// rights of `like`. Files of other users stay their own; the directory may set the group.
fn share_as(file: &File, like: &Path) -> io::Result<()> {
    let (new, like) = (file.metadata()?, fs::metadata(like)?);
    if new.uid() != ROOT || geteuid().as_raw() != ROOT {
        return Ok(());
    }
    if (new.uid(), new.gid()) != (like.uid(), like.gid()) {
        fchown(file, Some(like.uid()), Some(like.gid()))?;
    }
    if like.mode() & GROUP_WRITES != 0 {
        let mode = new.mode() | GROUP_READS_AND_WRITES;
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Whether this process may write the database and the files beside it, or create these.
pub(super) fn is_writable(database: &Path) -> bool {
    what_is_refused(database).is_none()
}

/// Refuses to open a database for writing without permission: SQLite would open it read-only and
/// fail at the first row.
pub(super) fn require_writable(database: &Path) -> Result<(), StoreError> {
    match what_is_refused(database) {
        None => Ok(()),
        Some((file, refused)) => Err(StoreError::Unavailable(cause(&file, &refused))),
    }
}

fn cause(file: &Path, refused: &io::Error) -> String {
    format!("{}: {refused}{}", file.display(), owners(file))
}

/// The first file or directory that this process may not write, and why.
fn what_is_refused(database: &Path) -> Option<(PathBuf, io::Error)> {
    let files = ["", "-wal", "-shm"].map(|suffix| beside(database, suffix));
    for file in &files {
        match rustix::fs::access(file, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) => {}
            Err(Errno::NOENT) => {
                // SQLite or payrecond creates it.
                let folder = folder_of(database);
                let access = Access::WRITE_OK | Access::EXEC_OK;
                if let Err(refused) = rustix::fs::access(folder, access) {
                    return Some((folder.to_owned(), refused.into()));
                }
            }
            Err(refused) => return Some((file.clone(), refused.into())),
        }
    }
    None
}

/// Adds the owner of the file and the user of this process to the error, where they are the cause.
pub(super) fn explained(error: StoreError, database: &Path) -> StoreError {
    let Some((file, refused)) = what_is_refused(database) else {
        return error;
    };
    let cause = cause(&file, &refused);
    match error {
        StoreError::Unavailable(text) => StoreError::Unavailable(format!("{text}; {cause}")),
        StoreError::Unusable(text) => StoreError::Unusable(format!("{text}; {cause}")),
        StoreError::Replaced(_) | StoreError::LeaseLost(_) => error,
    }
}

/// Who owns a file or directory, and which user runs this process, as the end of a message: `; it
/// belongs to root:root with mode 0644, and this process runs as payrecond:payrecond (995:995)`.
/// Empty if the file does not exist.
pub(super) fn owners(file: &Path) -> String {
    let Ok(there) = fs::metadata(file) else {
        return String::new();
    };
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let mut words = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        words,
        "; it belongs to {}:{} with mode {:04o}, and this process runs as {}:{} ({user}:{group})",
        name_in("/etc/passwd", there.uid()),
        name_in("/etc/group", there.gid()),
        there.mode() & 0o7777,
        name_in("/etc/passwd", user),
        name_in("/etc/group", group),
    );
    words
}

/// The name of a user or group, or its number if the file does not list it.
fn name_in(file: &str, id: u32) -> String {
    let known = fs::read_to_string(file).unwrap_or_default();
    let named = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| id.to_string())
}
