//! Maps PostgreSQL's errors to those of the store.

use sqlx::error::DatabaseError;

/// The message of a refused row, for people: a rule of the schema, a value of the wrong type, or a
/// permission that programs do not have.
pub(super) fn refusal(error: &sqlx::Error) -> Option<String> {
    let database = error.as_database_error()?;
    let code = database.code()?;
    let is_refusal = code.starts_with("23") || code.starts_with("22") || code == "42501";
    is_refusal.then(|| database.message().to_owned())
}

/// Whether another session holds a row: `lock_not_available`, or a deadlock that the server ended.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}
