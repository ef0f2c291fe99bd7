//! Appends events in the transaction of their rows.

use sqlx::sqlite::SqliteConnection;

use super::STEP;
use crate::domain::decide::Decision;
use crate::domain::event::Event;
use crate::domain::time::UnixMillis;
use crate::store::json_rows::JsonRows;
use crate::store::sqlite::outbox::{APPEND, OutgoingEvent};
use crate::store::sqlite::schema::highest_seq;

/// The end of the outbox.
pub(super) struct OutboxEnd<'a> {
    prefix: &'a str,
    pub(super) epoch: String,
    /// The highest seq assigned.
    pub(super) seq: i64,
    now: UnixMillis,
}

impl<'a> OutboxEnd<'a> {
    pub(super) async fn of(
        connection: &mut SqliteConnection,
        prefix: &'a str,
        now: UnixMillis,
    ) -> Result<Self, sqlx::Error> {
        let epoch = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(&mut *connection)
            .await?;
        Ok(Self {
            prefix,
            epoch,
            seq: highest_seq(connection).await?,
            now,
        })
    }

    /// Appends events in this order. Returns the seq of each, by the index that came with it.
    pub(super) async fn append<'d>(
        &mut self,
        connection: &mut SqliteConnection,
        events: impl Iterator<Item = (usize, &'d Decision, &'d Event)>,
    ) -> Result<Vec<(usize, i64)>, sqlx::Error> {
        let mut rows = JsonRows::new();
        let mut seqs = Vec::new();
        for (index, decision, event) in events {
            self.seq += 1;
            seqs.push((index, self.seq));
            let row = OutgoingEvent {
                decision,
                event,
                seq: self.seq,
                prefix: self.prefix,
                epoch: &self.epoch,
            };
            rows.push(|rows| row.cells(rows));
        }
        sqlx::query(APPEND.as_str())
            .bind(rows.finish())
            .bind(&self.epoch)
            .bind(self.now.0)
            .execute(connection)
            .await?;
        Ok(seqs)
    }

    /// Appends events that are followed by others of the same observation, one of each decision at
    /// a time: the version of an event is that of its row plus one.
    pub(super) async fn append_earlier(
        &mut self,
        connection: &mut SqliteConnection,
        decisions: &[(usize, &Decision)],
    ) -> Result<(), sqlx::Error> {
        let most = decisions.iter().map(|(_, d)| d.earlier.len()).max();
        for round in 0..most.unwrap_or_default() {
            let events: Vec<(usize, &Decision, &Event)> = decisions
                .iter()
                .filter_map(|&(index, d)| Some((index, d, d.earlier.get(round)?)))
                .collect();
            self.append(connection, events.iter().copied()).await?;
            let mut steps = JsonRows::new();
            for (_, decision, event) in events {
                steps.push(|rows| {
                    rows.number(decision.row.id.0);
                    rows.number(event.version - 1);
                    rows.text(event.facts.status.as_str());
                });
            }
            sqlx::query(STEP)
                .bind(steps.finish())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
