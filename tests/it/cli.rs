//! The built program, run as people and scripts run it: exit codes, output, the feed.

mod check;
mod feed;
mod first;
mod money;
mod reports;
mod subscribe;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use payrecond::clock::{Clock as _, SystemClock};
use payrecond::domain::decide::{Decision, decide};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::observation::{Observation, OrderState};
use payrecond::store::sqlite::{SqliteOptions, SqliteStore};
use payrecond::store::{NewInvoice, Reports as _, Store as _, Written};
use serde_json::Value;
use tempfile::TempDir;

use crate::rows::observed_order_of;
use crate::{PATIENCE, other_day};

/// A directory with a configuration, the program's working directory.
pub struct Shop {
    folder: TempDir,
}

/// The result of a finished command.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Shop {
    /// Without a database.
    pub fn empty() -> Self {
        let shop = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        // Prevents the tests from reading a configuration at the default paths.
        shop.configure("");
        shop
    }

    /// With a new database.
    pub fn new() -> Self {
        let shop = Self::empty();
        assert_eq!(shop.run(&["migrate"]).code, 0);
        shop
    }

    pub fn configure(&self, text: &str) {
        std::fs::write(self.folder.path().join("payrecond.toml"), text).unwrap();
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("payrecond.db")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payrecond"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(other_day::environment())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    pub async fn store(&self) -> Arc<SqliteStore> {
        let options = SqliteOptions::new(self.database(), "payments");
        Arc::new(SqliteStore::open(options).await.unwrap())
    }
}

/// Inserts an invoice, as a program does.
pub async fn drop_in(store: &SqliteStore, external_id: &str, order_id: &str) -> Invoice {
    let new = NewInvoice {
        external_id: external_id.into(),
        order_id: Some(order_id.into()),
        amount: Some("1.00".into()),
        currency: Some("USD".into()),
        metadata: Some("{\"digits\":12345678901234567890.10}".into()),
        ..NewInvoice::default()
    };
    store.insert(&new).await.unwrap().unwrap()
}

pub fn decided(invoice: &Invoice, observation: Observation) -> Decision {
    let mut decision = decide(invoice, "walletpay", observation);
    if decision.row.facts.status == payrecond::domain::state::Status::Paid {
        decision.row.schedule.next_poll_at = None;
    }
    decision
}

pub async fn commit(store: &SqliteStore, decisions: &[Decision]) {
    let now = SystemClock::new().now();
    for written in store.commit(decisions, now).await.unwrap() {
        assert!(matches!(written, Written::Yes { .. }), "{written:?}");
    }
}

/// Inserts an invoice and pays it: one event.
pub async fn pay(store: &SqliteStore, external_id: &str, order_id: &str) {
    let invoice = drop_in(store, external_id, order_id).await;
    let paid = decided(
        &invoice,
        Observation::Seen(observed_order_of(&invoice, OrderState::Paid)),
    );
    commit(store, &[paid]).await;
}

/// An invoice in review, since its order asks for another amount.
pub async fn into_review(store: &SqliteStore, external_id: &str, order_id: &str) {
    let invoice = drop_in(store, external_id, order_id).await;
    let mut other = observed_order_of(&invoice, OrderState::Open);
    other.amount = Some(crate::rows::money("2.00", "USD"));
    commit(store, &[decided(&invoice, Observation::Seen(other))]).await;
}

/// A running command, with the lines of its stdout.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        Self { child, lines }
    }

    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    pub fn end(mut self) -> i32 {
        ended(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if line.is_err() || sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

/// The exit code, after the child has ended.
pub fn ended(child: &mut Child) -> i32 {
    let step = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        assert!(waited < PATIENCE, "the command does not end");
        std::thread::sleep(step);
        waited += step;
    }
}

/// Runs statements in a program with its own SQLite library; returns its output.
pub fn sql(database: &Path, statements: &str) -> String {
    let done = Command::new("sqlite3")
        .arg(database)
        .arg(statements)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{complaint}");
    String::from_utf8(done.stdout).unwrap()
}
