//! Maps SQLite's errors to those of the store.

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

use crate::store::StoreError;

/// `SQLITE_CONSTRAINT`: a trigger or an index refused the row.
pub(super) const CONSTRAINT: i32 = 19;

/// SQLite's primary result code of an error; 0 for another database's.
pub(super) fn primary_code(error: &dyn DatabaseError) -> i32 {
    let code = error
        .try_downcast_ref::<SqliteError>()
        .and_then(DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok())
        .map_or(0, |code| code & 0xff)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match &error {
            sqlx::Error::Database(database) => match primary_code(database.as_ref()) {
                // SQLITE_CORRUPT, SQLITE_NOTADB: a retry cannot help.
                11 | 26 => Self::Unusable(format!("the file is damaged or not a database: {text}")),
                _ => Self::Unavailable(text),
            },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Unusable(text),
            _ => Self::Unavailable(text),
        }
    }
}
