//! The recipes in `examples/` run: each drops an invoice, shows the link, waits and credits once,
//! against the sandbox and the built daemon. Python and sqlite3 must be there under CI; a recipe
//! whose runtime is missing says so.

mod ledgers;
mod on_postgres;
mod packaged;
mod recipes;
mod shop_bot;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use payrecond::sandbox::SimulatedProvider;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::other_day;
use crate::shop::{Shop, ask};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// Whether a command ends well: so a runtime shows that it is there, with what the recipe needs.
async fn works(command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}

/// Says that a recipe was not run, also when its test passes: not by a macro that tests capture.
fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: no {what} here");
}

/// As `works`, for what CI must have.
async fn is_here(what: &str, command: &[&str]) -> bool {
    let found = works(command).await;
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{what} is missing");
        skipped(what);
    }
    found
}

async fn python_is_here() -> bool {
    is_here("python3", &["python3", "-c", "import sqlite3"]).await
}

/// The built daemon; it ends with the test.
fn daemon(shop: &Shop) -> Child {
    daemon_with(shop, "any")
}

/// A shop at `provider`, in a hurry.
async fn shop_at(provider: SimulatedProvider) -> Shop {
    let mut shop = Shop::open().await;
    let account = shop.world.sample(provider).unwrap().account;
    shop.settings = format!(
        "provider = \"{provider}\"\n{account}[polling]\nmin_interval = \"100ms\"\nmax_interval = \"1s\"\nintake_interval = \"50ms\"\n"
    );
    shop
}

/// The built daemon of such a shop.
fn daemon_at(shop: &Shop, provider: SimulatedProvider) -> Child {
    daemon_with(shop, shop.world.sample(provider).unwrap().key)
}

fn daemon_with(shop: &Shop, key: &str) -> Child {
    let settings = shop.folder.path().join("payrecond.toml");
    let text = format!("{}[feed]\nstdout = \"off\"\n", shop.config_text());
    std::fs::write(&settings, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_payrecond"))
        .arg("--config")
        .arg(settings)
        .arg("run")
        .env_clear()
        .envs(other_day::environment())
        .env("PAYRECOND_API_KEY_DEFAULT", key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A bot under way; it is killed with the test.
struct Bot {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Bot {
    /// Runs where the shop's files lie.
    fn start(shop: &Shop, command: &[&str], arguments: &[&str]) -> Self {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .arg(shop.database())
            .args(arguments)
            .current_dir(shop.folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    async fn type_in(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line; a bot that says nothing more fails the test.
    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("a line").unwrap().expect("the bot lives")
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// All that it says until it ends well; one that hangs fails the test.
    async fn ends(mut self) -> Vec<String> {
        let waiting = async {
            let mut lines = Vec::new();
            while let Some(line) = self.lines.next_line().await.unwrap() {
                lines.push(line);
            }
            (lines, self.child.wait().await.unwrap())
        };
        let (lines, status) = timeout(PATIENCE, waiting).await.expect("the bot ends");
        assert!(status.success(), "{lines:?}");
        lines
    }
}

/// Waits until `sql` answers `expected`.
async fn until(database: &Path, sql: &str, expected: &str) {
    let waiting = async {
        while ask(database, sql).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = timeout(PATIENCE, waiting).await.is_ok();
    assert!(in_time, "{sql}: never {expected}");
}
