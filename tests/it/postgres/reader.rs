//! A program that reads the outbox by its cursor all the time, whatever happens to the server.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// As documented for programs.
const READ: &str = "SELECT seq, event_id FROM outbox
    WHERE seq > (SELECT acked_seq FROM consumers WHERE name = 'shop') ORDER BY seq LIMIT 100";

/// A number and an event's id.
pub type SeenEvent = (i64, String);

/// The reader, until `stop`.
pub struct CursorReader {
    stop: CancellationToken,
    task: JoinHandle<Vec<SeenEvent>>,
}

impl CursorReader {
    pub fn start(url: String) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            // As long as the server is not there, it tries again.
            while read(&url, &mut seen, &stopped).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            seen
        });
        Self { stop, task }
    }

    /// Reads what is left, and returns all in the order in which it came.
    pub async fn stop(self) -> Vec<SeenEvent> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn read(
    url: &str,
    seen: &mut Vec<SeenEvent>,
    stop: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let mut program = PgConnection::connect(url).await?;
    sqlx::query("INSERT INTO consumers (name) VALUES ('shop') ON CONFLICT DO NOTHING")
        .execute(&mut program)
        .await?;
    loop {
        let is_last = stop.is_cancelled();
        let events: Vec<SeenEvent> = sqlx::query_as(READ).fetch_all(&mut program).await?;
        for event in &events {
            let last = seen.last().map_or(0, |(seq, _)| *seq);
            if event.0 > last {
                seen.push(event.clone());
            } else {
                // Read before, and not acknowledged because the server went.
                assert!(seen.contains(event), "{event:?} came after {last}");
            }
        }
        if let Some((seq, _)) = events.last() {
            sqlx::query("UPDATE consumers SET acked_seq = $1 WHERE name = 'shop'")
                .bind(seq)
                .execute(&mut program)
                .await?;
        } else if is_last {
            return program.close().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
