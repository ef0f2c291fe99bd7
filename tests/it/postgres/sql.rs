//! Each statement of a program that is allowed, and each that is refused. The tables of statements are
//! those of SQLite's tests where the text means something here.

mod events;
mod insert;
mod keys;
mod update;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::server::{self, As, TestDatabase};
use crate::schema::{CANCELLED, EXPIRED, EXPIRED_FOR_GOOD, PAID, REJECTED, REVIEW, SENT};

/// Who writes: a program with the rights of its role, and one where a single role does everything, so
/// that the triggers alone stand in its way.
const WRITERS: [As; 2] = [As::App, As::Daemon];

/// What a role without the right says instead of a trigger.
const NO_RIGHT: &str = "permission denied";

/// A database with an invoice of every kind, under the ids of SQLite's scene.
struct PgScene {
    database: TestDatabase,
    app: PgConnection,
    daemon: PgConnection,
}

impl PgScene {
    /// None where the machine has no PostgreSQL.
    async fn set() -> Option<Self> {
        let database = server::database().await?;
        let mut scene = Self {
            app: database.connect(As::App).await,
            daemon: database.connect(As::Daemon).await,
            database,
        };
        scene
            .daemon
            .execute("SET search_path = payrecond")
            .await
            .unwrap();
        let script = include_str!("../schema/scene.sql");
        sqlx::raw_sql(script)
            .execute(&mut scene.daemon)
            .await
            .unwrap();
        for (id, to) in [
            (EXPIRED, "expired"),
            (EXPIRED_FOR_GOOD, "expired"),
            (CANCELLED, "cancelled"),
            (PAID, "paid"),
            (REJECTED, "rejected"),
            (REVIEW, "review"),
            (10, "paid"),
        ] {
            scene.daemon_runs(&move_with_event(id, to)).await;
        }
        let wait = "next_poll_at = 5000";
        let never = "next_poll_at = NULL";
        for (id, set) in [
            (EXPIRED, wait),
            (EXPIRED_FOR_GOOD, never),
            (CANCELLED, wait),
            (PAID, never),
            (REJECTED, never),
            (SENT, "create_sent_at = 9"),
        ] {
            let sql = format!(
                "UPDATE invoices SET {set}, daemon_writes = daemon_writes + 1 WHERE id = {id}"
            );
            scene.daemon_runs(&sql).await;
        }
        scene
            .daemon_runs("DELETE FROM invoices WHERE id = 10")
            .await;
        scene
            .daemon_runs("UPDATE consumers SET acked_seq = 3 WHERE name = 'bot'")
            .await;
        Some(scene)
    }

    async fn daemon_runs(&mut self, sql: &str) {
        let ran = self.daemon.execute(AssertSqlSafe(sql.to_owned())).await;
        assert!(ran.is_ok(), "{sql}: {ran:?}");
    }

    fn connection(&mut self, writer: As) -> &mut PgConnection {
        match writer {
            As::App => &mut self.app,
            As::Admin | As::Owner | As::Daemon => &mut self.daemon,
        }
    }

    /// Runs `before` and `sql` in a transaction that is rolled back. The answer to `ask`, or the refusal.
    async fn attempt(
        &mut self,
        writer: As,
        before: &str,
        sql: &str,
        ask: &str,
    ) -> Result<String, String> {
        let mut transaction = self.connection(writer).begin().await.unwrap();
        if !before.is_empty() {
            let ran = transaction.execute(AssertSqlSafe(before.to_owned())).await;
            assert!(ran.is_ok(), "{before}: {ran:?}");
        }
        let outcome = transaction.execute(AssertSqlSafe(sql.to_owned())).await;
        let given = match outcome {
            Ok(_) => {
                let ask = format!("SELECT ({ask})::text");
                let answer: Option<String> = sqlx::query_scalar(AssertSqlSafe(ask))
                    .fetch_one(&mut *transaction)
                    .await
                    .unwrap();
                Ok(answer.unwrap_or_default())
            }
            Err(error) => Err(error.to_string()),
        };
        transaction.rollback().await.unwrap();
        given
    }

    /// Both writers are refused: by this message, or the program by its rights.
    async fn refuses(&mut self, sql: &str, message: &str) -> Vec<String> {
        self.refuses_after("", sql, message).await
    }

    async fn refuses_after(&mut self, before: &str, sql: &str, message: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for writer in WRITERS {
            let outcome = self.attempt(writer, before, sql, "'was not refused'").await;
            let fine = outcome.as_ref().is_err_and(|error| {
                error.contains(message) || (writer == As::App && error.contains(NO_RIGHT))
            });
            if !fine {
                wrong.push(format!(
                    "{writer:?}: {sql}: expected '{message}', got {outcome:?}"
                ));
            }
        }
        wrong
    }

    /// Both writers may, and `ask` then has this answer.
    async fn gives(&mut self, before: &str, sql: &str, ask: &str, answer: &str) {
        for writer in WRITERS {
            let outcome = self.attempt(writer, before, sql, ask).await;
            assert_eq!(outcome.as_deref(), Ok(answer), "{writer:?}: {sql}");
        }
    }
}

/// A move and its event in one statement, as the daemon writes them.
fn move_with_event(id: i64, to: &str) -> String {
    format!(
        "WITH moved AS (
             UPDATE payrecond.invoices AS invoice
                SET status = '{to}', version = invoice.version + 1, updated_at = invoice.updated_at + 1,
                    daemon_writes = invoice.daemon_writes + 1
               FROM payrecond.invoices AS before
              WHERE invoice.id = {id} AND before.id = invoice.id
          RETURNING invoice.*, before.status AS previous),
         turn AS MATERIALIZED (
             SELECT payrecond.take_outbox_turn() FROM (SELECT count(*) FROM moved) AS all_moved)
         INSERT INTO payrecond.outbox (event_id, epoch, subject, type, account, external_id, order_id,
                                       status, previous_status, version, payload, created_at)
         SELECT 'event-' || id || '-' || version, 'e', 'payments.default.{to}', 'payment.{to}', account,
                external_id, order_id, status, previous, version, '{{}}', 1
           FROM moved CROSS JOIN turn"
    )
}

/// A statement of SQLite's tests in PostgreSQL's functions; None where it has no counterpart: blobs,
/// NUL, row ids.
fn translated(sql: &str) -> Option<String> {
    if ["x'", "CAST(", "char(0)", "rowid"]
        .iter()
        .any(|word| sql.contains(word))
    {
        return None;
    }
    let mut text = sql.replace("char(", "chr(");
    let filled = "replace(hex(zeroblob(";
    while let Some(start) = text.find(filled) {
        let (count, rest) = text[start + filled.len()..].split_once(")), '00', '")?;
        let (filling, rest) = rest.split_once("')")?;
        text = format!("{}repeat('{filling}', {count}){rest}", &text[..start]);
    }
    let zeros = "hex(zeroblob(";
    while let Some(start) = text.find(zeros) {
        let (count, rest) = text[start + zeros.len()..].split_once("))")?;
        text = format!("{}repeat('00', {count}){rest}", &text[..start]);
    }
    Some(text)
}
