//! Daemons as they ship, on one database: alone, killed, stopped, paused for longer than their leases.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use payrecond::sandbox::{NewOrder, Sandbox, SandboxOptions, SimulatedPayment, World};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::server::{self, As, TestDatabase};
use crate::PATIENCE;
use crate::other_day;
use crate::until::eventually;

/// The accounts that every daemon here knows, each a store at the same provider.
const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];

/// A sandbox and a database on a server.
struct ServerShop {
    database: TestDatabase,
    _sandbox: Sandbox,
    world: Arc<World>,
    folder: TempDir,
}

impl ServerShop {
    /// None where the machine has no server.
    async fn open() -> Option<Self> {
        let database = server::database().await?;
        let sandbox = Sandbox::start(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ..SandboxOptions::default()
        });
        let sandbox = sandbox.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = format!(
            "[database]\nurl = \"{}\"\n[cluster]\nlease = \"3s\"\n\
             [polling]\nmin_interval = \"200ms\"\nintake_interval = \"100ms\"\n\
             age_factor = 0.0\njitter = 0.0\n",
            database.url(As::Daemon)
        );
        let accounts = ACCOUNTS.map(|account| {
            format!(
                "[[account]]\nname = \"{account}\"\nbase_url = \"{}\"\n\
                 requests_per_second = 0\nstrategy = \"single\"\n",
                sandbox.url()
            )
        });
        config += &accounts.concat();
        std::fs::write(folder.path().join("payrecond.toml"), config).unwrap();
        Some(Self {
            database,
            world: sandbox.world(),
            _sandbox: sandbox,
            folder,
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payrecond"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(other_day::environment())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for account in ACCOUNTS {
            let name = format!("PAYRECOND_API_KEY_{}", account.to_uppercase());
            command.env(name, "canary-key-0123456789");
        }
        command
    }

    /// A daemon of this name, running.
    fn daemon(&self, name: &str) -> Child {
        let log = std::fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let mut command = self.command(&["run"]);
        command
            .env("PAYRECOND__CLUSTER__NAME", name)
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().unwrap()
    }

    /// What a command prints; it must succeed.
    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The first column of the first row, as text.
    async fn ask(&self, sql: &str) -> String {
        let mut program = self.database.connect(As::App).await;
        let sql = format!("SELECT coalesce(({sql})::text, '')");
        let answer = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut program)
            .await
            .unwrap();
        program.close().await.unwrap();
        answer
    }

    async fn until(&self, sql: &str, expected: &str) {
        let mut last = String::new();
        let waiting = async {
            loop {
                last = self.ask(sql).await;
                if last == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(
            in_time,
            "{sql}: expected {expected}, still {last}\n{}",
            self.logs()
        );
    }

    fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let logs = files.filter_map(|file| {
            let path = file.unwrap().path();
            let is_log = path.extension().is_some_and(|ending| ending == "log");
            is_log.then(|| std::fs::read_to_string(path).unwrap())
        });
        logs.collect::<Vec<String>>().join("\n---\n")
    }

    /// Drops an order of the sandbox as an invoice of `account`. Returns the order's id.
    async fn drop_in(&self, account: &str, external_id: &str) -> String {
        let order = NewOrder::simple(external_id, "1.00", "USD");
        let id = self.world.create(&order).unwrap().order.id;
        let mut program = self.database.connect(As::App).await;
        sqlx::query("INSERT INTO invoices (account, external_id, order_id) VALUES ($1, $2, $3)")
            .bind(account)
            .bind(external_id)
            .bind(&id)
            .execute(&mut program)
            .await
            .unwrap();
        program.close().await.unwrap();
        id
    }

    /// An invoice of each account, paid at once.
    async fn pay_in_each(&self, round: &str) {
        for account in ACCOUNTS {
            let id = self.drop_in(account, &format!("{round}-{account}")).await;
            self.world.pay(&id, &SimulatedPayment::default()).unwrap();
        }
    }

    async fn until_paid(&self, invoices: usize) {
        let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
        self.until(paid, &invoices.to_string()).await;
        let told = "SELECT count(*) FROM outbox WHERE type = 'payment.paid'";
        assert_eq!(self.ask(told).await, invoices.to_string());
    }

    /// How many accounts a daemon has.
    async fn accounts_of(&self, daemon: &str) -> String {
        self.ask(&format!(
            "SELECT count(*) FROM leases WHERE owner = '{daemon}' AND name LIKE 'account:%'"
        ))
        .await
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &pid])
        .status();
    assert!(sent.unwrap().success());
}

async fn stopped(mut child: Child) {
    signal(&child, "TERM");
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(0));
}

async fn commands_work_beside_a_daemon(shop: &ServerShop) {
    let added = shop
        .run(&[
            "add",
            "--account",
            "a",
            "--external-id",
            "ORD-1",
            "--amount",
            "1.00",
            "--currency",
            "USD",
            "--description",
            "Six eggs",
            "--options",
            r#"{"customerTelegramUserId": 42}"#,
            "--json",
        ])
        .await;
    assert!(added.contains("ORD-1"), "{added}");
    shop.until(
        "SELECT status FROM invoices WHERE external_id = 'ORD-1'",
        "pending",
    )
    .await;
    assert!(
        shop.run(&["show", "ORD-1", "--json"])
            .await
            .contains("pending")
    );
    assert!(shop.run(&["why", "ORD-1"]).await.contains("pending"));
    shop.run(&["nudge", "ORD-1"]).await;
    assert!(
        shop.run(&["list", "--status", "paid"])
            .await
            .contains("first-a")
    );
    let stats = shop.run(&["stats", "--json"]).await;
    assert!(
        stats.contains(r#""owner":"only""#) || stats.contains(r#""owner": "only""#),
        "{stats}"
    );
    let feed = shop
        .run(&["feed", "--consumer", "bot", "--format", "jsonl"])
        .await;
    assert_eq!(feed.lines().count(), ACCOUNTS.len() + 1, "{feed}");
    shop.until("SELECT acked_seq FROM consumers WHERE name = 'bot'", "5")
        .await;
    let check = shop.run(&["check"]).await;
    assert!(check.contains("intact and writable"), "{check}");
    for arguments in [["backup", "copy.db"], ["restore", "copy.db"]] {
        let output = shop.command(&arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("pg_dump") || error.contains("pg_restore"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_daemon_polls_and_every_command_works_beside_it() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("only");
    shop.pay_in_each("first").await;
    shop.until_paid(ACCOUNTS.len()).await;
    commands_work_beside_a_daemon(&shop).await;
    stopped(daemon).await;
    shop.until(
        "SELECT count(*) FROM leases WHERE owner IS NOT NULL AND name NOT LIKE 'consumer:%'",
        "0",
    )
    .await;
    shop.pay_in_each("second").await;
    shop.run(&["run", "--once"]).await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_share_the_accounts_and_take_over_from_one_that_is_killed_or_stopped() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let one = shop.daemon("one");
    let all = "SELECT count(*) FROM leases WHERE owner = 'one'";
    shop.until(all, &(ACCOUNTS.len() + 1).to_string()).await;
    let mut two = shop.daemon("two");
    eventually(async || (shop.accounts_of("two").await == "2").then_some(())).await;
    shop.pay_in_each("both").await;
    shop.until_paid(ACCOUNTS.len()).await;
    two.kill().await.unwrap();
    shop.pay_in_each("killed").await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
    eventually(async || (shop.accounts_of("one").await == "4").then_some(())).await;
    let three = shop.daemon("three");
    eventually(async || (shop.accounts_of("three").await == "2").then_some(())).await;
    stopped(one).await;
    shop.pay_in_each("stopped").await;
    shop.until_paid(3 * ACCOUNTS.len()).await;
    stopped(three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_paused_for_longer_than_its_leases_tells_nothing_twice() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let one = shop.daemon("one");
    let all = "SELECT count(*) FROM leases WHERE owner = 'one'";
    shop.until(all, &(ACCOUNTS.len() + 1).to_string()).await;
    let mut ids = Vec::new();
    for account in ACCOUNTS {
        ids.push(shop.drop_in(account, account).await);
    }
    shop.until("SELECT min(polls) > 0 FROM invoices", "true")
        .await;
    signal(&one, "STOP");
    let two = shop.daemon("two");
    for id in &ids {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    shop.until_paid(ACCOUNTS.len()).await;
    assert_eq!(shop.accounts_of("two").await, "4", "all were taken over");
    signal(&one, "CONT");
    // Awake again it gets its share, by leases of its own.
    eventually(async || (shop.accounts_of("one").await == "2").then_some(())).await;
    shop.pay_in_each("later").await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
    for daemon in [one, two] {
        stopped(daemon).await;
    }
}
