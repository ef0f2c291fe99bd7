//! A server takes an SQLite database over: all of it, once, and nothing else.

use payrecond::domain::time::UnixMillis;
use payrecond::store::{DatabaseLocation, DatabaseOptions, ServerLocation, StoreError, TakenOver};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::process::Command;

use super::server::{self, As, TestDatabase};
use crate::schema::{self, PAID};

const NOW: UnixMillis = UnixMillis(1_795_293_000_000);

/// A file with an invoice of every kind and a transaction, and an empty database on a server.
struct Move {
    folder: TempDir,
    database: TestDatabase,
}

impl Move {
    /// None where the machine has no PostgreSQL.
    async fn prepare() -> Option<Self> {
        let database = server::empty_database().await?;
        let scene = schema::Scene::set().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(scene.copy("moved.db"), folder.path().join("moved.db")).unwrap();
        let mut file = schema::connect(&folder.path().join("moved.db")).await;
        let transaction = format!(
            "INSERT INTO transactions (account, transaction_id, direction, invoice_id, amount, currency, is_net,
                                       status, happened_at, seen_at, daemon_writes)
             VALUES ('default', 'T', 'in', {PAID}, '1.00', 'RUB', 1, 'succeeded', 5, 6, 1);
             UPDATE invoices SET metadata = '{{\"name\": \"Яйца \\u0442 🥚\"}}' WHERE id = 1"
        );
        sqlx::raw_sql(AssertSqlSafe(transaction))
            .execute(&mut file)
            .await
            .unwrap();
        file.close().await.unwrap();
        Some(Self { folder, database })
    }

    async fn copy(&self) -> Result<TakenOver, StoreError> {
        let options = DatabaseOptions {
            location: DatabaseLocation::File(self.folder.path().join("moved.db")),
            subject_prefix: "payments".to_owned(),
            off_consumers: Vec::new(),
            process: "a process".to_owned(),
        };
        let server = ServerLocation::new(self.database.url(As::Owner), None);
        options.copy_to(&server).await
    }

    async fn owner(&self) -> PgConnection {
        self.database.connect(As::Owner).await
    }
}

async fn ask(connection: &mut PgConnection, question: &str) -> String {
    let text = format!("SELECT ({question})::text");
    let answer: Option<String> = sqlx::query_scalar(AssertSqlSafe(text))
        .fetch_one(connection)
        .await
        .unwrap();
    answer.unwrap_or_default()
}

#[tokio::test]
async fn a_server_takes_a_file_over_once() {
    let Some(moved) = Move::prepare().await else {
        return;
    };
    let taken = moved.copy().await.unwrap();
    let rows = [
        ("invoices", 10),
        ("used_keys", 1),
        ("transactions", 1),
        ("outbox", 7),
        ("consumers", 2),
        ("accounts", 2),
        ("findings", 0),
    ];
    assert_eq!(taken.rows, rows);
    assert_eq!((taken.highest_seq, taken.was_there), (7, false));
    let again = moved.copy().await.unwrap();
    assert_eq!(
        again,
        TakenOver {
            was_there: true,
            ..taken.clone()
        }
    );

    let mut owner = moved.owner().await;
    for (question, answer) in [
        (
            "SELECT value FROM payrecond.meta WHERE key = 'epoch'",
            taken.epoch.as_str(),
        ),
        (
            "SELECT acked_seq FROM payrecond.consumers WHERE name = 'bot'",
            "3",
        ),
        (
            "SELECT status || version || coalesce(next_poll_at, -1) FROM payrecond.invoices WHERE id = 6",
            "paid1-1",
        ),
        (
            "SELECT metadata FROM payrecond.invoices WHERE id = 1",
            "{\"name\": \"Яйца \\u0442 🥚\"}",
        ),
        (
            "SELECT string_agg(event_id, ',' ORDER BY seq) FROM payrecond.outbox WHERE seq < 3",
            "event-3-1,event-4-1",
        ),
        ("SELECT nextval('payrecond.outbox_seq')", "8"),
    ] {
        assert_eq!(ask(&mut owner, question).await, answer, "{question}");
    }
}

#[tokio::test]
async fn after_a_copy_every_rule_holds_and_numbers_go_on() {
    let Some(moved) = Move::prepare().await else {
        return;
    };
    moved.copy().await.unwrap();
    let mut owner = moved.owner().await;
    owner.execute("SET search_path = payrecond").await.unwrap();
    owner
        .execute("INSERT INTO invoices (external_id, order_id) VALUES ('NEW', '500')")
        .await
        .unwrap();
    assert_eq!(ask(&mut owner, "SELECT max(id) FROM invoices").await, "12");
    for (sql, message) in [
        (
            "INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '501')",
            "duplicate key value",
        ),
        (
            "UPDATE invoices SET status = 'paid' WHERE id = 1",
            "a program may set metadata",
        ),
        ("UPDATE outbox SET payload = ''", "events are never changed"),
        (
            "UPDATE consumers SET acked_seq = 1 WHERE name = 'bot'",
            "never moves backwards",
        ),
    ] {
        let refused = owner.execute(sql).await.unwrap_err();
        assert!(refused.to_string().contains(message), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_server_that_holds_other_rows_stays_as_it_is() {
    let Some(moved) = Move::prepare().await else {
        return;
    };
    let server = ServerLocation::new(moved.database.url(As::Owner), None);
    let options = DatabaseOptions {
        location: DatabaseLocation::Server(server),
        subject_prefix: "payments".to_owned(),
        off_consumers: Vec::new(),
        process: "a process".to_owned(),
    };
    options.migrate(NOW).await.unwrap();
    let mut owner = moved.owner().await;
    owner
        .execute("INSERT INTO payrecond.invoices (external_id, order_id) VALUES ('OTHER', '1')")
        .await
        .unwrap();
    let refused = moved.copy().await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("copy into a database without invoices"),
        "{refused}"
    );
    assert_eq!(
        ask(
            &mut owner,
            "SELECT string_agg(external_id, ',') FROM payrecond.invoices"
        )
        .await,
        "OTHER"
    );
}

#[tokio::test]
async fn a_copy_that_cannot_end_leaves_nothing_and_is_made_again() {
    let Some(moved) = Move::prepare().await else {
        return;
    };
    let mut file = schema::connect(&moved.folder.path().join("moved.db")).await;
    // Read last, after all the other tables were written.
    file.execute("INSERT INTO findings (event_id, said_at) VALUES ('x', 'no number')")
        .await
        .unwrap();
    moved.copy().await.unwrap_err();
    let mut owner = moved.owner().await;
    assert_eq!(
        ask(&mut owner, "SELECT count(*) FROM payrecond.invoices").await,
        "0"
    );
    file.execute("DELETE FROM findings").await.unwrap();
    file.close().await.unwrap();
    assert!(!moved.copy().await.unwrap().was_there);
}

#[tokio::test]
async fn the_command_copies_and_says_what() {
    let Some(moved) = Move::prepare().await else {
        return;
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_payrecond"));
    command
        .args(["copy", "--to", &moved.database.url(As::Owner)])
        .env_clear()
        .env(
            "PAYRECOND__DATABASE__PATH",
            moved.folder.path().join("moved.db"),
        )
        .current_dir(moved.folder.path());
    let output = command.output().await.unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("copied and compared"), "{out}");
    assert!(out.contains("invoices") && out.contains("10"), "{out}");
}
