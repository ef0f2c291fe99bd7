//! A program beside the running daemon: it waits for the lock and never gets "database is locked".

use payrecond::domain::decide::Decision;
use payrecond::domain::invoice::Invoice;
use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::{SqliteOptions, SqliteStore};
use payrecond::store::{Database as _, QueuePlace, Store as _};
use serde_json::json;
use sqlx::Connection as _;

use super::{Scene, connect, drivers};

const PROGRAM: &str = r#"
import importlib, json, os, sys
sqlite3 = importlib.import_module(os.environ.get("PAYRECOND_TEST_SQLITE_MODULE", "sqlite3"))
case = json.load(sys.stdin)[0]
try:
    connection = sqlite3.connect(case["file"], timeout=5, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for n in range(case["rounds"]):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT count(*) FROM outbox_unread WHERE consumer = 'bot'").fetchall()
        for i in range(5):
            connection.execute("INSERT OR IGNORE INTO invoices (external_id, order_id) VALUES (?, ?)",
                               ("B-%d-%d" % (n, i), "%d%03d" % (n + 1000, i)))
        connection.execute("COMMIT")
        connection.execute("UPDATE invoices SET next_poll_at = 0 WHERE id = 1")
        connection.execute("INSERT INTO invoices (external_id, order_id) VALUES (?, ?)", ("S-%d" % n, "s%d" % n))
    count = connection.execute("SELECT count(*) FROM invoices").fetchone()[0]
    print(json.dumps([{"given": str(count)}]))
except sqlite3.Error as error:
    print(json.dumps([{"error": str(error)}]))
"#;

#[tokio::test]
async fn a_program_that_waits_five_seconds_never_gets_a_busy_error() {
    beside_a_busy_store(100, 0, 1, 500).await;
}

/// Two writers without a pause between them never leave the lock free by themselves.
#[tokio::test]
async fn no_busy_error_even_if_the_daemon_never_pauses() {
    beside_a_busy_store(1, 10_000, 2, 5_000).await;
}

/// A program writes `rounds` times, while `writers` of the daemon continuously commit up to `batch`
/// polls each, with `more` invoices than the scene has.
async fn beside_a_busy_store(rounds: i64, more: i64, writers: usize, batch: u32) {
    if !drivers::has_python() {
        assert!(std::env::var_os("CI").is_none(), "CI needs python3");
        eprintln!("python3 is missing here: the busy daemon is not tried");
        return;
    }
    let scene = Scene::set().await;
    let path = scene.copy("busy.db");
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                INSERT INTO invoices (external_id, order_id)
                SELECT 'M' || i, 'M' || i FROM n WHERE ?1 > 0";
    let mut connection = connect(&path).await;
    let filled = sqlx::query(fill).bind(more).execute(&mut connection).await;
    filled.unwrap();
    connection.close().await.unwrap();
    let options = SqliteOptions::new(path.clone(), "payments");
    let store = SqliteStore::open(options).await.unwrap();
    let cases = json!([{"file": path, "rounds": rounds}]);
    let program = tokio::task::spawn_blocking(move || drivers::run_python(PROGRAM, &cases));
    let (start, end) = (QueuePlace::default(), UnixMillis(i64::MAX));
    let due = store.due_after(&"default".into(), start, end, batch).await;
    let ids: Vec<_> = due.unwrap().iter().map(|row| row.id).collect();
    let rows = store.load(&ids).await.unwrap();
    let polls: Vec<Decision> = rows.iter().map(poll).collect();
    let turns = (0..writers).map(|_| async {
        while !program.is_finished() {
            store.commit(&polls, UnixMillis(1)).await.unwrap();
        }
    });
    futures::future::join_all(turns).await;
    let outcome = program.await.unwrap().pop().unwrap();
    assert_eq!(outcome, Ok((10 + more + 6 * rounds).to_string()));
    store.close().await;
}

/// A poll without a change.
fn poll(row: &Invoice) -> Decision {
    let mut looked = row.clone();
    looked.schedule.polls += 1;
    looked.schedule.next_poll_at = Some(UnixMillis(5000 + row.schedule.polls));
    Decision {
        based_on_version: row.version,
        based_on_next_poll_at: row.schedule.next_poll_at,
        row: Box::new(looked),
        facts_changed: false,
        order_learned: false,
        event: None,
        earlier: Vec::new(),
        transactions: Vec::new(),
    }
}
