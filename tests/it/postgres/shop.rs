//! A shop on a PostgreSQL server: its database, its provider, its daemons as they ship.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use payrecond::sandbox::{NewOrder, Sandbox, SandboxOptions, SimulatedPayment, World};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::server::{self, As, TestDatabase};
use crate::PATIENCE;
use crate::other_day;
use crate::until::eventually;

/// The accounts that every daemon here knows, each a store at the same provider.
pub const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];

/// A sandbox and a database on a server.
pub struct ServerShop {
    pub database: TestDatabase,
    pub sandbox: Sandbox,
    pub world: Arc<World>,
    pub folder: TempDir,
    /// The settings of every account beside its name and address.
    pub account_settings: &'static str,
}

impl ServerShop {
    /// None where the machine has no server.
    pub async fn open() -> Option<Self> {
        Some(Self::on(server::database().await?).await)
    }

    /// On a server that the test may kill and restart.
    pub async fn open_alone() -> Option<Self> {
        Some(Self::on(server::database_alone().await?).await)
    }

    async fn on(database: TestDatabase) -> Self {
        let sandbox = Sandbox::start(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ..SandboxOptions::default()
        });
        let sandbox = sandbox.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let shop = Self {
            database,
            world: sandbox.world(),
            sandbox,
            folder,
            account_settings: "requests_per_second = 0\nstrategy = \"single\"\n",
        };
        shop.configure("payrecond", &shop.database.url(As::Daemon), |_| {
            shop.sandbox.url()
        });
        shop
    }

    /// Writes a configuration in which the database and the provider of each account are reached by
    /// these addresses.
    pub fn configure(&self, name: &str, database: &str, provider: impl Fn(&str) -> String) {
        let accounts = ACCOUNTS.map(|account| {
            format!(
                "[[account]]\nname = \"{account}\"\nbase_url = \"{}\"\n{}",
                provider(account),
                self.account_settings
            )
        });
        let config = format!(
            "[database]\nurl = \"{database}\"\n[cluster]\nlease = \"3s\"\n\
             [polling]\nmin_interval = \"200ms\"\nintake_interval = \"100ms\"\n\
             age_factor = 0.0\njitter = 0.0\n{}",
            accounts.concat()
        );
        std::fs::write(self.folder.path().join(format!("{name}.toml")), config).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
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
    pub fn daemon(&self, name: &str) -> Child {
        self.daemon_with(name, |_| ())
    }

    /// A daemon whose environment is changed first.
    pub fn daemon_with(&self, name: &str, change: impl FnOnce(&mut Command)) -> Child {
        let mut command = self.command(&["run"]);
        change(&mut command);
        self.daemon_by(command, name)
    }

    /// A daemon that has a configuration of its own.
    pub fn configured_daemon(&self, name: &str) -> Child {
        let config = format!("{name}.toml");
        self.daemon_by(self.command(&["--config", &config, "run"]), name)
    }

    fn daemon_by(&self, mut command: Command, name: &str) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{name}.log")));
        command
            .env("PAYRECOND__CLUSTER__NAME", name)
            .stdout(Stdio::null())
            .stderr(log.unwrap());
        command.spawn().unwrap()
    }

    /// What a command prints; it must succeed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The first column of the first row, as text; waits while the server is not there.
    pub async fn ask(&self, sql: &str) -> String {
        eventually(async || self.try_ask(sql).await.ok()).await
    }

    pub async fn try_ask(&self, sql: &str) -> sqlx::Result<String> {
        let mut program = PgConnection::connect(&self.database.url(As::App)).await?;
        let sql = format!("SELECT coalesce(({sql})::text, '')");
        let answer = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut program)
            .await?;
        program.close().await?;
        Ok(answer)
    }

    /// What only a daemon may write.
    pub async fn write_as_daemon(&self, sql: &'static str) {
        let url = self.database.url(As::Daemon);
        let mut daemon = PgConnection::connect(&url).await.unwrap();
        sqlx::query(sql).execute(&mut daemon).await.unwrap();
        daemon.close().await.unwrap();
    }

    pub async fn until(&self, sql: &str, expected: &str) {
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

    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let logs = files.filter_map(|file| {
            let path = file.unwrap().path();
            let is_log = path.extension().is_some_and(|ending| ending == "log");
            is_log.then(|| std::fs::read_to_string(path).unwrap())
        });
        logs.collect::<Vec<String>>().join("\n---\n")
    }

    /// Drops an order of the sandbox as an invoice of `account`. Returns the order's id.
    pub async fn drop_in(&self, account: &str, external_id: &str) -> String {
        let order = NewOrder::simple(external_id, "1.00", "USD");
        let id = self.world.create(&order).unwrap().order.id;
        // As a program that tries again while the server is not there.
        eventually(async || self.insert(account, external_id, &id).await.ok()).await;
        id
    }

    async fn insert(&self, account: &str, external_id: &str, order_id: &str) -> sqlx::Result<()> {
        let mut program = PgConnection::connect(&self.database.url(As::App)).await?;
        let insert = "INSERT INTO invoices (account, external_id, order_id) VALUES ($1, $2, $3)
                      ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert)
            .bind(account)
            .bind(external_id)
            .bind(order_id);
        insert.execute(&mut program).await?;
        program.close().await
    }

    /// An invoice of each account, paid at once.
    pub async fn pay_in_each(&self, round: &str) {
        for account in ACCOUNTS {
            let id = self.drop_in(account, &format!("{round}-{account}")).await;
            self.world.pay(&id, &SimulatedPayment::default()).unwrap();
        }
    }

    pub async fn until_paid(&self, invoices: usize) {
        let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
        self.until(paid, &invoices.to_string()).await;
        let told = "SELECT count(*) FROM outbox WHERE type = 'payment.paid'";
        assert_eq!(self.ask(told).await, invoices.to_string());
    }

    /// How many accounts a daemon has.
    pub async fn accounts_of(&self, daemon: &str) -> String {
        self.ask(&format!(
            "SELECT count(*) FROM leases WHERE owner = '{daemon}' AND name LIKE 'account:%'"
        ))
        .await
    }
}

pub fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &pid])
        .status();
    assert!(sent.unwrap().success());
}

pub async fn stopped(mut child: Child) {
    signal(&child, "TERM");
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(0));
}
