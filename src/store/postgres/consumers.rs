//! The outbox and its consumers.

use sqlx::Row as _;

use super::PostgresStore;
use super::fence::fenced;
use crate::domain::time::UnixMillis;
use crate::store::{Consumer, FeedFailure, FeedRecord, StoreError, StoredEvent};

pub(super) const EVENTS_AFTER: &str = "
    SELECT seq, event_id, subject, payload, created_at FROM payrecond.outbox
     WHERE seq > $1 ORDER BY seq LIMIT $2";

const MAKE: &str = "
    INSERT INTO payrecond.consumers (name) VALUES ($1) ON CONFLICT DO NOTHING";

const ACKNOWLEDGE: &str = concat!(
    fenced!(),
    "acked AS (
         UPDATE payrecond.consumers SET acked_seq = $4
          WHERE name = $3 AND acked_seq < $4 AND EXISTS (SELECT 1 FROM allowed)
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed, (SELECT count(*) FROM acked) AS acked"
);

pub(super) async fn events_after(
    store: &PostgresStore,
    seq: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let statement = sqlx::query(EVENTS_AFTER).bind(seq).bind(i64::from(limit));
    let rows = store.connections.rows(statement).await?;
    rows.iter()
        .map(|row| {
            Ok(StoredEvent {
                seq: row.try_get(0)?,
                event_id: row.try_get(1)?,
                subject: row.try_get(2)?,
                payload: row.try_get(3)?,
                created_at: UnixMillis(row.try_get(4)?),
            })
        })
        .collect()
}

pub(super) async fn first_seq(store: &PostgresStore) -> Result<i64, StoreError> {
    let statement = sqlx::query(
        "SELECT coalesce((SELECT seq FROM payrecond.outbox ORDER BY seq LIMIT 1),
                         CASE WHEN is_called THEN last_value + 1 ELSE 1 END)
           FROM payrecond.outbox_seq",
    );
    Ok(store.connections.number(statement).await?.unwrap_or(1))
}

pub(super) async fn consumer(store: &PostgresStore, name: &str) -> Result<i64, StoreError> {
    let statement = "SELECT acked_seq FROM payrecond.consumers WHERE name = $1";
    let place = store
        .connections
        .number(sqlx::query(statement).bind(name))
        .await?;
    if let Some(place) = place {
        return Ok(place);
    }
    store.connections.rows(sqlx::query(MAKE).bind(name)).await?;
    let place = store
        .connections
        .number(sqlx::query(statement).bind(name))
        .await?;
    place.ok_or_else(|| StoreError::Unavailable(format!("consumer {name} was deleted meanwhile")))
}

pub(super) async fn acknowledge(
    store: &PostgresStore,
    name: &str,
    seq: i64,
) -> Result<(), StoreError> {
    let statement = sqlx::query(ACKNOWLEDGE)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(name)
        .bind(seq);
    store.fenced_row(statement).await?;
    Ok(())
}

/// The row of `meta` with the failure of a feed, and whether a process has the consumer.
const FEED_RECORD: &str = "
    SELECT (SELECT value FROM payrecond.meta WHERE key = $1) AS failure,
           EXISTS (SELECT 1 FROM payrecond.leases
                    WHERE name = $2 AND owner IS NOT NULL AND until > payrecond.now_ms()) AS is_held";

const PUT_FEED_FAILURE: &str = "
    INSERT INTO payrecond.meta (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value";

/// Records why a feed does not deliver, or that it delivers again.
pub(super) async fn record_feed_failure(
    store: &PostgresStore,
    consumer: &str,
    failure: Option<&FeedFailure>,
) -> Result<(), StoreError> {
    let recorded = feed_record(store, consumer).await?;
    if recorded.failure.as_ref() == failure {
        return Ok(());
    }
    let statement = sqlx::query(PUT_FEED_FAILURE)
        .bind(FeedFailure::key(consumer))
        .bind(FeedFailure::to_value(failure));
    store.connections.rows(statement).await?;
    Ok(())
}

/// What is known of a feed.
pub(super) async fn feed_record(
    store: &PostgresStore,
    consumer: &str,
) -> Result<FeedRecord, StoreError> {
    let statement = sqlx::query(FEED_RECORD)
        .bind(FeedFailure::key(consumer))
        .bind(format!("consumer:{consumer}"));
    let rows = store.connections.rows(statement).await?;
    let Some(row) = rows.first() else {
        return Ok(FeedRecord::default());
    };
    let failure: Option<String> = row.try_get("failure")?;
    Ok(FeedRecord {
        is_held: Some(row.try_get("is_held")?),
        failure: FeedFailure::from_value(failure.as_deref()),
    })
}

pub(super) async fn list(store: &PostgresStore) -> Result<Vec<Consumer>, StoreError> {
    let rows = store
        .connections
        .rows(sqlx::query(
            "SELECT name, acked_seq,
                    (SELECT count(*) FROM payrecond.outbox WHERE seq > acked_seq) AS unread,
                    (SELECT created_at FROM payrecond.outbox
                      WHERE seq > acked_seq ORDER BY seq LIMIT 1) AS oldest
               FROM payrecond.consumers ORDER BY name COLLATE \"C\"",
        ))
        .await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            Ok(Consumer {
                is_off: store.off_consumers().contains(&name),
                name,
                acked_seq: row.try_get("acked_seq")?,
                unread: row.try_get("unread")?,
                oldest_unread_at: row.try_get::<Option<i64>, _>("oldest")?.map(UnixMillis),
            })
        })
        .collect()
}
