//! The programs beside the daemon: they drop invoices in, nudge, read the outbox, die and come
//! back. They write with a connection of their own, as the SQL interface tells them.

use std::path::{Path, PathBuf};

use payrecond::clock::Clock as _;
use payrecond::domain::time::UnixMillis;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::clock::SharedClock;
use crate::disk::wait_for;
use crate::provider::BAD_OPTIONS;
use crate::world::{Kind, Wish};

/// How the schema asks for the time.
const REAL_TIME: &str = "CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)";
const VIRTUAL_TIME: &str = "(SELECT at FROM simulated_clock)";

/// What a row of `invoices` says at the end.
#[derive(Clone, Debug)]
pub struct InvoiceRow {
    pub id: i64,
    pub account: String,
    pub external_id: String,
    pub status: String,
    pub reason: Option<String>,
    pub version: i64,
    pub next_poll_at: Option<i64>,
    pub created_at: UnixMillis,
    pub received: Option<String>,
    pub refunded: Option<String>,
}

/// What a row of `transactions` says.
#[derive(Clone, Debug)]
pub struct TransactionRow {
    pub account: String,
    pub id: String,
    pub direction: String,
    pub label: Option<String>,
    pub amount: String,
    pub status: String,
    pub is_of_invoice: bool,
}

/// What a row of `outbox` says.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub seq: i64,
    pub event_id: String,
    pub kind: String,
    pub account: String,
    pub external_id: String,
    pub status: Option<String>,
    /// 0 where it belongs to no invoice.
    pub version: i64,
    pub payload: String,
}

/// A program's connection.
pub struct Shop {
    connection: SqliteConnection,
    clock: SharedClock,
}

impl Shop {
    pub fn open(path: &Path, clock: &SharedClock) -> Self {
        let path = PathBuf::from(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(false);
        let connection = wait_for(SqliteConnection::connect_with(&options)).unwrap();
        Self {
            connection,
            clock: clock.clone(),
        }
    }

    pub fn close(self) {
        wait_for(self.connection.close()).unwrap();
    }

    /// The triggers of a new database take the time from a table, else every run would differ.
    /// Nothing else of the schema is touched.
    pub fn take_over_time(&mut self) {
        let has_clock = "SELECT count(*) FROM sqlite_master WHERE name = 'simulated_clock'";
        let has_clock: i64 =
            wait_for(sqlx::query_scalar(has_clock).fetch_one(&mut self.connection)).unwrap();
        if has_clock > 0 {
            return;
        }
        self.execute("CREATE TABLE simulated_clock (at INTEGER)");
        self.execute("INSERT INTO simulated_clock VALUES (0)");
        let triggers =
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%julianday%'";
        let triggers: Vec<(String, String)> =
            wait_for(sqlx::query_as(triggers).fetch_all(&mut self.connection)).unwrap();
        assert!(
            !triggers.is_empty(),
            "the schema asks for the time elsewhere now"
        );
        for (name, sql) in triggers {
            self.execute(&format!("DROP TRIGGER {name}"));
            self.execute(&sql.replace(REAL_TIME, VIRTUAL_TIME));
        }
    }

    fn execute(&mut self, sql: &str) -> u64 {
        let done = wait_for(self.connection.execute(AssertSqlSafe(sql)));
        done.unwrap_or_else(|error| panic!("{sql}: {error}"))
            .rows_affected()
    }

    fn rows(&mut self, sql: &str) -> Vec<SqliteRow> {
        wait_for(self.connection.fetch_all(AssertSqlSafe(sql))).unwrap()
    }

    fn tick(&mut self) {
        let now = self.clock.now().0;
        self.execute(&format!("UPDATE simulated_clock SET at = {now}"));
    }

    /// Drops an invoice in, the idempotent way. False when it was there.
    pub fn drop_in(&mut self, account: &str, wish: &Wish) -> bool {
        self.tick();
        let is_stated = wish.price().is_some() || wish.kind == Kind::WrongSum;
        let stated = match wish.kind {
            Kind::WrongSum => "999.99",
            _ => &wish.amount,
        };
        let is_expected = matches!(wish.kind, Kind::Expected | Kind::LongLabel);
        let (status, value) = if is_expected {
            (", status", ", 'pending'")
        } else {
            ("", "")
        };
        let sql = format!(
            "INSERT OR IGNORE INTO invoices (account, external_id, order_id, amount, currency,
                       description, timeout_seconds, options, metadata{status})
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '{{\"of\":\"a simulation\"}}'{value})"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(account)
            .bind(&wish.external_id)
            .bind(wish.order_id.as_deref().filter(|_| wish.has_order_id()))
            .bind(is_stated.then_some(stated))
            .bind(is_stated.then_some(wish.currency))
            .bind(wish.is_requested().then_some("Six eggs"))
            .bind(i64::try_from(wish.timeout_s).unwrap())
            .bind((wish.kind == Kind::RefusedHere).then_some(BAD_OPTIONS));
        let done = wait_for(query.execute(&mut self.connection)).unwrap();
        done.rows_affected() > 0
    }

    /// Asks for a look at one invoice.
    pub fn nudge(&mut self, external_id: &str) {
        self.execute(&format!(
            "UPDATE invoices SET next_poll_at = 0 WHERE external_id = '{external_id}'"
        ));
    }

    /// Asks for a look at all that are open, and returns how many they are.
    pub fn nudge_all(&mut self) -> u64 {
        self.execute("UPDATE invoices SET next_poll_at = 0 WHERE status = 'pending'")
    }

    /// How many nudges nobody has answered.
    pub fn count_nudged(&mut self) -> u64 {
        let count: i64 =
            self.rows("SELECT count(*) FROM invoices WHERE next_poll_at = 0")[0].get(0);
        count.unsigned_abs()
    }

    /// Asks for a look at all that have ended.
    pub fn nudge_ended(&mut self) {
        self.execute(
            "UPDATE invoices SET next_poll_at = 0 WHERE status IN ('expired', 'cancelled')",
        );
    }

    pub fn set_metadata(&mut self, external_id: &str, n: u32) {
        self.execute(&format!(
            "UPDATE invoices SET metadata = '{{\"n\":{n}}}' WHERE external_id = '{external_id}'"
        ));
    }

    /// Makes a consumer known.
    pub fn subscribe(&mut self, name: &str) {
        self.tick();
        self.execute(&format!(
            "INSERT OR IGNORE INTO consumers (name) VALUES ('{name}')"
        ));
    }

    /// What a consumer has not acknowledged, a few at a time.
    pub fn unread(&mut self, name: &str, limit: u32) -> Vec<(i64, String)> {
        pairs(&self.rows(&format!(
            "SELECT seq, event_id FROM outbox_unread WHERE consumer = '{name}' ORDER BY seq LIMIT {limit}"
        )))
    }

    pub fn acknowledge(&mut self, name: &str, seq: i64) {
        self.tick();
        self.execute(&format!(
            "UPDATE consumers SET acked_seq = {seq} WHERE name = '{name}'"
        ));
    }

    /// What stands after a place that the reader keeps himself.
    pub fn after(&mut self, seq: i64, limit: u32) -> Vec<(i64, String)> {
        pairs(&self.rows(&format!(
            "SELECT seq, event_id FROM outbox WHERE seq > {seq} ORDER BY seq LIMIT {limit}"
        )))
    }

    pub fn epoch(&mut self) -> String {
        self.rows("SELECT value FROM meta WHERE key = 'epoch'")[0].get(0)
    }

    pub fn highest_seq(&mut self) -> i64 {
        self.rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'")[0]
            .get(0)
    }

    pub fn invoices(&mut self) -> Vec<InvoiceRow> {
        let rows = self.rows(
            "SELECT id, account, external_id, status, reason, version, next_poll_at, created_at,
                    received_amount, refunded_amount
               FROM invoices ORDER BY id",
        );
        let row = |row: &SqliteRow| InvoiceRow {
            id: row.get(0),
            account: row.get(1),
            external_id: row.get(2),
            status: row.get(3),
            reason: row.get(4),
            version: row.get(5),
            next_poll_at: row.get(6),
            created_at: UnixMillis(row.get(7)),
            received: row.get(8),
            refunded: row.get(9),
        };
        rows.iter().map(row).collect()
    }

    pub fn transactions(&mut self) -> Vec<TransactionRow> {
        let rows = self.rows(
            "SELECT account, transaction_id, direction, external_id, amount, status, invoice_id IS NOT NULL
               FROM transactions ORDER BY account, transaction_id, direction",
        );
        let row = |row: &SqliteRow| TransactionRow {
            account: row.get(0),
            id: row.get(1),
            direction: row.get(2),
            label: row.get(3),
            amount: row.get(4),
            status: row.get(5),
            is_of_invoice: row.get(6),
        };
        rows.iter().map(row).collect()
    }

    pub fn events(&mut self) -> Vec<EventRow> {
        let rows = self.rows(
            "SELECT seq, event_id, type, account, external_id, status, version, payload
               FROM outbox ORDER BY seq",
        );
        let row = |row: &SqliteRow| EventRow {
            seq: row.get(0),
            event_id: row.get(1),
            kind: row.get(2),
            account: row.get(3),
            external_id: row.get::<Option<String>, _>(4).unwrap_or_default(),
            status: row.get(5),
            version: row.get::<Option<i64>, _>(6).unwrap_or_default(),
            payload: row.get(7),
        };
        rows.iter().map(row).collect()
    }
}

fn pairs(rows: &[SqliteRow]) -> Vec<(i64, String)> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
