//! The outbox and its consumers.

use sqlx::{Row as _, SqlitePool};

use super::connection::WriteConnection;
use super::row::cells;
use super::{SqliteStore, lock, meta};
use crate::store::{Consumer, FeedFailure, FeedRecord, Role, StoreError, StoredEvent};

pub(super) const EVENTS_AFTER: &str = "SELECT seq, event_id, subject, payload, created_at FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2";

pub(super) async fn events_after(
    readers: &SqlitePool,
    seq: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let rows = sqlx::query(EVENTS_AFTER)
        .bind(seq)
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| {
            let mut cells = cells(row)?;
            Ok(StoredEvent {
                seq: cells.number()?.unwrap_or_default(),
                event_id: cells.text()?.unwrap_or_default(),
                subject: cells.text()?.unwrap_or_default(),
                payload: cells.text()?.unwrap_or_default(),
                created_at: cells.time()?.unwrap_or_default(),
            })
        })
        .collect()
}

/// Names as one value for a statement.
pub(super) fn json_names(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

pub(super) async fn first_seq(readers: &SqlitePool) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce((SELECT min(seq) FROM outbox),
                         (SELECT max(seq) + 1 FROM sqlite_sequence WHERE name = 'outbox'), 1)",
    )
    .fetch_one(readers)
    .await?)
}

pub(super) async fn consumer(writer: &mut WriteConnection, name: &str) -> Result<i64, StoreError> {
    let connection = writer.begin().await?;
    sqlx::query("INSERT OR IGNORE INTO consumers (name) VALUES (?1)")
        .bind(name)
        .execute(&mut *connection)
        .await?;
    let acked = sqlx::query_scalar("SELECT acked_seq FROM consumers WHERE name = ?1")
        .bind(name)
        .fetch_one(connection)
        .await?;
    writer.commit().await?;
    Ok(acked)
}

pub(super) async fn acknowledge(
    writer: &mut WriteConnection,
    name: &str,
    seq: i64,
) -> Result<(), StoreError> {
    let connection = writer.begin().await?;
    sqlx::query("UPDATE consumers SET acked_seq = ?2 WHERE name = ?1 AND acked_seq < ?2")
        .bind(name)
        .bind(seq)
        .execute(connection)
        .await?;
    writer.commit().await
}

/// Records why a feed does not deliver, or that it delivers again.
pub(super) async fn record_feed_failure(
    writer: &mut WriteConnection,
    consumer: &str,
    failure: Option<&FeedFailure>,
) -> Result<(), StoreError> {
    let connection = writer.begin().await?;
    let value = FeedFailure::to_value(failure);
    meta::put(connection, &FeedFailure::key(consumer), &value).await?;
    writer.commit().await
}

/// The recorded failure of a feed.
pub(super) async fn feed_failure(
    readers: &SqlitePool,
    consumer: &str,
) -> Result<Option<FeedFailure>, StoreError> {
    let value = meta::get(readers, &FeedFailure::key(consumer)).await?;
    Ok(FeedFailure::from_value(value.as_deref()))
}

/// What is known of a feed.
pub(super) async fn feed_record(
    store: &SqliteStore,
    consumer: &str,
) -> Result<FeedRecord, StoreError> {
    Ok(FeedRecord {
        is_held: lock::is_held(store.path(), Role::Consumer(consumer)).ok(),
        failure: feed_failure(&store.readers, consumer).await?,
    })
}

pub(super) async fn list(
    readers: &SqlitePool,
    off_consumers: &[String],
) -> Result<Vec<Consumer>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, acked_seq,
                (SELECT count(*) FROM outbox WHERE seq > acked_seq) AS unread,
                (SELECT created_at FROM outbox WHERE seq > acked_seq ORDER BY seq LIMIT 1) AS oldest
           FROM consumers ORDER BY name",
    )
    .fetch_all(readers)
    .await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            Ok(Consumer {
                is_off: off_consumers.contains(&name),
                name,
                acked_seq: row.try_get("acked_seq")?,
                unread: row.try_get("unread")?,
                oldest_unread_at: row
                    .try_get::<Option<i64>, _>("oldest")?
                    .map(crate::domain::time::UnixMillis),
            })
        })
        .collect()
}
