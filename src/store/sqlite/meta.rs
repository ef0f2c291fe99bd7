//! Single rows of `meta`.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

/// The value of a row, if it exists.
pub(super) async fn get(readers: &SqlitePool, key: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT value FROM meta WHERE key = ?1")
        .bind(key)
        .fetch_optional(readers)
        .await
}

/// Sets the value of a row, in the caller's transaction.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    key: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    let updated = sqlx::query("UPDATE meta SET value = ?2 WHERE key = ?1")
        .bind(key)
        .bind(value)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if updated == 0 {
        sqlx::query("INSERT INTO meta (key, value) VALUES (?1, ?2)")
            .bind(key)
            .bind(value)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Sets the value of a row, in the caller's transaction. An empty value makes no row.
pub(super) async fn put_or_clear(
    connection: &mut SqliteConnection,
    key: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    if !value.is_empty() {
        return put(connection, key, value).await;
    }
    sqlx::query("UPDATE meta SET value = '' WHERE key = ?1 AND value <> ''")
        .bind(key)
        .execute(connection)
        .await?;
    Ok(())
}
