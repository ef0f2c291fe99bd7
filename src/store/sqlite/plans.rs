//! Checks the query plans of frequent statements: none may read all invoices.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{
    accounts, commit, consumers, due, invoices, open, outbox, pages, retention, schema,
    status_queries,
};
use crate::domain::time::UnixMillis;
use crate::store::columns::Part;

/// The contract's query for programs that read events.
const UNREAD: &str = "SELECT * FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq LIMIT 100";

/// Each frequent statement, and a step that its plan must have.
const OFTEN: &[(&str, &str)] = &[
    (
        pages::DUE_WITH,
        "invoices_due (account=? AND next_poll_at=? AND rowid>?)",
    ),
    (
        pages::DUE_LATER,
        "invoices_due (account=? AND next_poll_at>? AND next_poll_at<?)",
    ),
    (
        due::NEXT_PLAN,
        "invoices_due (account=? AND next_poll_at>?)",
    ),
    (
        due::CLAMP_PLANS,
        "invoices_due (account=? AND next_poll_at>?)",
    ),
    (
        accounts::ACCOUNTS_IN_QUEUE,
        "COVERING INDEX invoices_due (account>?)",
    ),
    (
        accounts::FLAGGED_ACCOUNTS,
        "INDEX invoices_of_unknown_accounts (account>?)",
    ),
    (
        accounts::TAKE_FLAG_OFF,
        "INDEX invoices_of_unknown_accounts (account=?)",
    ),
    (accounts::NOT_YET_FLAGGED, "INTEGER PRIMARY KEY (rowid>?)"),
    (
        invoices::BY_EXTERNAL_ID,
        "invoices_by_external_id (account=? AND external_id=?)",
    ),
    (
        invoices::BY_ORDER_ID,
        "invoices_by_order_id (account=? AND order_id=?)",
    ),
    (
        status_queries::PLANS_BETWEEN,
        "COVERING INDEX invoices_due (account=? AND next_poll_at>? AND next_poll_at<?)",
    ),
    (
        status_queries::OLDEST_NUDGED,
        "invoices_due (account=? AND next_poll_at<?)",
    ),
    (
        status_queries::OVERDUE_ROWS,
        "invoices_due (account=? AND next_poll_at>? AND next_poll_at<?)",
    ),
    (
        status_queries::NEWEST_OF_STATUS,
        "INDEX invoices_by_status (status=?)",
    ),
    (
        status_queries::LAGS,
        "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    (
        status_queries::ENTRIES_AFTER,
        "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    (retention::PRUNE_INVOICES, "invoices_ended (updated_at<?)"),
    (
        consumers::EVENTS_AFTER,
        "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    (UNREAD, "SEARCH o USING INTEGER PRIMARY KEY (rowid>?)"),
    (
        commit::STALE,
        "SEARCH invoices USING INTEGER PRIMARY KEY (rowid=?)",
    ),
];

/// The plan of a statement, one line per step.
async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn no_frequent_statement_reads_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.db");
    schema::migrate(&path, UnixMillis(1)).await.unwrap();
    let mut connection = open::open_or_create(&path).await.unwrap();
    let parts = [Part::Plan, Part::Facts, Part::Standing, Part::Order];
    let written = parts
        .map(commit::update)
        .into_iter()
        .chain([outbox::APPEND.as_str()]);
    let by_row = written.map(|sql| (sql, "SEARCH invoices USING INTEGER PRIMARY KEY (rowid=?)"));
    for (sql, step) in OFTEN.iter().copied().chain(by_row) {
        let steps = plan(&mut connection, sql).await;
        let all = steps.join("\n");
        assert!(all.contains(step), "{sql}\nhas no step {step}:\n{all}");
        let is_scan = |step: &&String| {
            let words: Vec<&str> = step.split(' ').collect();
            words[0] == "SCAN" && ["invoices", "outbox", "o"].contains(&words[1])
        };
        let scans = steps.iter().filter(is_scan).count();
        assert!(scans == 0, "{sql}\nreads all:\n{all}");
    }
    connection.close().await.unwrap();
}
