//! The SQL interface as programs use it: the `sqlite3` shell, Python's `sqlite3`, and sqlx, each
//! with its own SQLite library. Every case runs in all three, on a separate file.
//!
//! `PAYRECOND_TEST_PYTHON` and `PAYRECOND_TEST_SQLITE_MODULE` select another Python and another
//! module than `sqlite3`: `pysqlite3-binary` 0.4.5 has SQLite 3.34.0, the oldest supported version.

mod busy;
pub mod drivers;
mod features;
pub mod keys;
mod moves;
mod readers;
pub mod refusals;
mod text;
mod transactions;
mod typed;
pub mod updates;

use std::path::{Path, PathBuf};

use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::migrate;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

/// One statement of a program, and its expected result.
pub struct Case {
    pub name: String,
    /// Executed before, on the same connection.
    pub before: String,
    pub sql: String,
    pub expect: Expect,
}

pub enum Expect {
    /// It fails, the message contains this text, and nothing has changed.
    Refused(&'static str),
    /// It succeeds, and this query then has this answer.
    Gives(&'static str, &'static str),
}

pub fn refused(name: &str, sql: &str, message: &'static str) -> Case {
    Case {
        name: name.into(),
        before: String::new(),
        sql: sql.into(),
        expect: Expect::Refused(message),
    }
}

pub fn gives(name: &str, sql: &str, ask: &'static str, answer: &'static str) -> Case {
    Case {
        name: name.into(),
        before: String::new(),
        sql: sql.into(),
        expect: Expect::Gives(ask, answer),
    }
}

/// Messages of rules, as programs get them.
async fn messages(path: &Path) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let triggers = "SELECT sql FROM sqlite_master WHERE type = 'trigger'";
    let triggers: Vec<String> = sqlx::query_scalar(triggers)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let raised = triggers
        .iter()
        .flat_map(|sql| sql.split("RAISE(ABORT,").skip(1));
    let texts = raised.filter_map(|rest| rest.split('\'').nth(1));
    texts.map(str::to_owned).collect()
}

#[tokio::test]
async fn messages_say_poll_and_not_look() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    migrate(&path, UnixMillis(0)).await.unwrap();
    let messages = messages(&path).await;
    assert!(messages.len() > 50, "{}", messages.len());
    let says = |word: &str| -> Vec<&String> {
        let of_word = messages.iter().filter(|text| text.contains(word));
        of_word.collect()
    };
    assert!(says("look").is_empty(), "{:?}", says("look"));
    assert!(says("poll").len() >= 3, "{:?}", says("poll"));
}

impl Case {
    pub fn after(mut self, before: &str) -> Self {
        self.before = before.into();
        self
    }

    /// A setting of the connection writes nothing either.
    fn leaves_nothing(&self) -> bool {
        let settles = self.before.is_empty() || self.before.starts_with("PRAGMA");
        settles && matches!(self.expect, Expect::Refused(_))
    }
}

/// A database with an invoice of every kind, copied for each case.
pub struct Scene {
    pub folder: tempfile::TempDir,
}

/// Ids of the scene's invoices.
pub const PENDING: i64 = 1;
pub const REQUESTED: i64 = 2;
/// Expired, with a planned poll.
pub const EXPIRED: i64 = 3;
/// Expired, with no more polls.
pub const EXPIRED_FOR_GOOD: i64 = 4;
pub const CANCELLED: i64 = 5;
pub const PAID: i64 = 6;
pub const REJECTED: i64 = 7;
pub const REVIEW: i64 = 8;
/// Requested, its creation sent.
pub const SENT: i64 = 9;

impl Scene {
    pub async fn set() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        migrate(&scene.template(), UnixMillis(1)).await.unwrap();
        let mut connection = connect(&scene.template()).await;
        let wait = "next_poll_at = 5000, daemon_writes = daemon_writes + 1";
        let never = "next_poll_at = NULL, daemon_writes = daemon_writes + 1";
        let sent = "create_sent_at = 9, daemon_writes = daemon_writes + 1";
        let mut script = include_str!("schema/scene.sql").to_owned();
        for (id, to) in [
            (EXPIRED, "expired"),
            (EXPIRED_FOR_GOOD, "expired"),
            (CANCELLED, "cancelled"),
            (PAID, "paid"),
            (REJECTED, "rejected"),
            (REVIEW, "review"),
            (10, "paid"),
        ] {
            script += &event(id, to);
            script += &write_move(id, to);
        }
        for (id, set) in [
            (EXPIRED, wait),
            (EXPIRED_FOR_GOOD, never),
            (CANCELLED, wait),
            (PAID, never),
            (REJECTED, never),
            (SENT, sent),
        ] {
            script += &[
                "UPDATE invoices SET ",
                set,
                " WHERE id = ",
                &id.to_string(),
                ";\n",
            ]
            .concat();
        }
        script += "DELETE FROM invoices WHERE id = 10;\n";
        script += "UPDATE consumers SET acked_seq = 3 WHERE name = 'bot';\n";
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        scene
    }

    fn template(&self) -> PathBuf {
        self.folder.path().join("template.db")
    }

    pub fn copy(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::copy(self.template(), &path).unwrap();
        path
    }

    /// Runs every case in every driver. Cases that may change something get a separate file.
    pub async fn play(&self, cases: Vec<Case>) {
        let untouched = contents(&self.template()).await;
        let mut wrong = Vec::new();
        for driver in drivers::all() {
            let shared = self.copy(&format!("{}.db", driver.name()));
            let file = |(number, case): (usize, &Case)| {
                if case.leaves_nothing() {
                    shared.clone()
                } else {
                    self.copy(&format!("{}-{number}.db", driver.name()))
                }
            };
            let files: Vec<PathBuf> = cases.iter().enumerate().map(file).collect();
            let outcomes = driver.run(&files, &cases).await;
            assert_eq!(outcomes.len(), cases.len());
            for (case, outcome) in cases.iter().zip(outcomes) {
                if let Err(why) = judge(case, &outcome) {
                    wrong.push(format!("{} [{}]: {why}", case.name, driver.name()));
                }
            }
            let left = contents(&shared).await;
            assert!(
                left == untouched || !wrong.is_empty(),
                "a refused statement left\n{left}"
            );
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

fn judge(case: &Case, outcome: &drivers::Outcome) -> Result<(), String> {
    match (&case.expect, outcome) {
        (Expect::Refused(message), Err(error)) if error.contains(message) => Ok(()),
        (Expect::Refused(message), other) => Err(format!("not refused by '{message}': {other:?}")),
        (Expect::Gives(_, answer), Ok(given)) if given == answer => Ok(()),
        (Expect::Gives(ask, answer), other) => {
            Err(format!("{ask} should give '{answer}', not {other:?}"))
        }
    }
}

/// The outbox row that reports a transition.
pub fn event(id: i64, to: &str) -> String {
    format!(
        "INSERT INTO outbox (event_id, epoch, subject, type, account, external_id, order_id,
                             status, previous_status, version, payload, created_at)
         SELECT 'event-{id}-' || (version + 1), 'e', 'payments.default.{to}', 'payment.{to}',
                account, external_id, order_id, '{to}', status, version + 1, '{{}}', 1
           FROM invoices WHERE id = {id};\n"
    )
}

/// The transition itself, as the daemon writes it.
pub fn write_move(id: i64, to: &str) -> String {
    format!(
        "UPDATE invoices SET status = '{to}', version = version + 1, updated_at = updated_at + 1,
                             daemon_writes = daemon_writes + 1 WHERE id = {id};\n"
    )
}

pub async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// All rows of all tables, as one text.
async fn contents(path: &Path) -> String {
    let mut connection = connect(path).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT 'SELECT ' || quote(t.name) || ' || group_concat(row, char(10)) FROM (SELECT '
                || (SELECT group_concat('quote(' || c.name || ')', ' || '','' || ')
                      FROM pragma_table_info(t.name) AS c) || ' AS row FROM ' || t.name || ')'
           FROM sqlite_master AS t WHERE t.type = 'table' ORDER BY t.name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut all = String::new();
    for sql in tables {
        let rows: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        all += &rows.unwrap_or_default();
    }
    connection.close().await.unwrap();
    all
}
