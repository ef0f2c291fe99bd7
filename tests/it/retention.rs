//! Retention: old rows are deleted, and one kind of row does not wait for another.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use payrecond::clock::ManualClock;
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::retention::Retention;
use payrecond::store::sqlite::{SqliteOptions, SqliteStore, migrate};
use sqlx::AssertSqlSafe;

use crate::store::{connect, open, pay};

/// Long after the rows here were written.
const LATER: UnixMillis = UnixMillis(4_000_000_000_000);

async fn execute(path: &Path, sql: &str) {
    let mut program = connect(path).await;
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut program)
        .await
        .unwrap();
}

async fn kept(path: &Path, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let mut program = connect(path).await;
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut program)
        .await
        .unwrap()
}

#[tokio::test]
async fn undeletable_events_and_invoices_do_not_block_each_other() {
    for (stuck, other) in [("outbox", "invoices"), ("invoices", "outbox")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        migrate(&path, LATER).await.unwrap();
        pay(&path, "ORD-1").await;
        execute(
            &path,
            &format!("CREATE TRIGGER stuck BEFORE DELETE ON {stuck} BEGIN SELECT RAISE(ABORT, 'the {stuck} stays'); END"),
        )
        .await;
        let retention = Retention {
            store: Arc::new(open(&path).await.unwrap()),
            clock: Arc::new(ManualClock::at(LATER)),
            outbox: Some(Duration::from_hours(1)),
            invoices: Some(Duration::from_hours(1)),
            transactions: None,
        };
        let error = retention.run_once().await.unwrap_err().to_string();
        assert!(error.contains(&format!("the {stuck} stays")), "{error}");
        assert_eq!((kept(&path, stuck).await, kept(&path, other).await), (1, 0));
        execute(&path, "DROP TRIGGER stuck").await;
        let deleted = retention.run_once().await.unwrap();
        assert_eq!(deleted.events + deleted.invoices, 1);
        assert_eq!(kept(&path, stuck).await, 0);
    }
}

#[tokio::test]
async fn a_disabled_consumer_does_not_delay_retention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    migrate(&path, LATER).await.unwrap();
    for name in ["ORD-1", "ORD-2", "ORD-3"] {
        pay(&path, name).await;
    }
    execute(
        &path,
        "INSERT INTO consumers (name, acked_seq) VALUES ('stdout', 1), ('bot', 2)",
    )
    .await;
    let retention = async |off_consumer: Option<&str>| {
        let options = SqliteOptions::new(&path, "payments").with_off_consumers(off_consumer);
        let retention = Retention {
            store: Arc::new(SqliteStore::open(options).await.unwrap()),
            clock: Arc::new(ManualClock::at(LATER)),
            outbox: Some(Duration::from_hours(1)),
            invoices: None,
            transactions: None,
        };
        retention.run_once().await.unwrap().events
    };
    assert_eq!(retention(None).await, 1, "it is waited for");
    assert_eq!(retention(Some("stdout")).await, 1, "but the other one is");
    assert_eq!(kept(&path, "outbox").await, 1);
    execute(
        &path,
        "UPDATE consumers SET acked_seq = 3 WHERE name = 'bot'",
    )
    .await;
    assert_eq!(retention(Some("stdout")).await, 1);
    assert_eq!(
        kept(&path, "consumers WHERE name = 'stdout' AND acked_seq = 3").await,
        1
    );
}
