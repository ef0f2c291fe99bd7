//! Copies of a database on a server are made and restored with the server's own programs.

use std::path::Path;

use crate::store::{ServerLocation, StoreError};

pub(super) fn backup_elsewhere(server: &ServerLocation, file: &Path) -> StoreError {
    let (file, owner) = (file.display(), server.as_owner());
    StoreError::Unusable(format!(
        "a database on a server is copied by its own programs, as the role that owns the schema: `pg_dump --format=custom --schema=payrecond --file={file} '{owner}'`; for every commit up to the last one, archive the write-ahead log"
    ))
}

/// What to use instead of `restore`.
pub fn restore_elsewhere(server: &ServerLocation, file: &Path) -> StoreError {
    let (file, owner) = (file.display(), server.as_owner());
    StoreError::Unusable(format!(
        "a database on a server is put back by its own programs, as the role that owns the schema and with every daemon stopped: `pg_restore --clean --if-exists --exit-on-error --dbname='{owner}' {file}`; the next start begins a new epoch"
    ))
}
