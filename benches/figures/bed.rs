//! What a measurement lies in: a sandbox in a process of its own, databases with any number of
//! rows, a daemon's configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use payrecond::clock::{Clock as _, SystemClock};
use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::{SqliteOptions, SqliteStore, migrate};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::process::{Process, quiet};

/// The program under measurement.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_payrecond");
/// Questions under way at the same time, in every loop that is compared.
pub const IN_FLIGHT: usize = 32;
/// Orders read or written at a time while a bed is made.
pub const CHUNK: usize = 50_000;

/// A folder on the disk of the build, not in memory: commits must cost what they cost.
pub fn folder() -> Result<TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

pub fn now() -> UnixMillis {
    SystemClock::new().now()
}

/// An order, as the sandbox tells of it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    pub external_id: String,
    pub number: String,
    pub expiration_date_time: String,
}

/// A sandbox in a process of its own, without latency and without limit.
pub struct Sandbox {
    _process: Process,
    pub url: String,
    client: reqwest::Client,
}

impl Sandbox {
    pub async fn start() -> Result<Self> {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--latency", "0ms"]);
        let mut process = Process::spawn(command.as_std_mut().stdout(Stdio::piped()))?;
        let stdout = process.child.stdout.take().context("no stdout")?;
        let stdout = tokio::process::ChildStdout::from_std(stdout)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let url = line.trim().rsplit(' ').next().unwrap_or_default();
        Ok(Self {
            _process: process,
            url: url.to_owned(),
            client: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// Makes `count` more orders and tells of them.
    pub async fn seed(&self, count: usize) -> Result<Vec<Order>> {
        #[derive(Deserialize)]
        struct Dump {
            orders: Vec<Order>,
        }
        let before = self.orders().await?;
        let address = format!("{}/sandbox/orders", self.url);
        let wish = json!({"count": count, "timeoutSeconds": 864_000});
        let answer = self.client.post(&address).body(wish.to_string()).send();
        answer.await?.error_for_status()?;
        let mut orders = Vec::with_capacity(count);
        while orders.len() < count {
            let offset = before + orders.len();
            let limit = CHUNK.min(count - orders.len());
            let page = format!("{address}?offset={offset}&limit={limit}");
            let body = self.client.get(page).send().await?.bytes().await?;
            orders.extend(serde_json::from_slice::<Dump>(&body)?.orders);
        }
        Ok(orders)
    }

    /// Payers pay these.
    pub async fn pay(&self, orders: &[Order]) -> Result<()> {
        for order in orders {
            let address = format!("{}/sandbox/orders/{}/pay", self.url, order.id);
            self.client.post(address).send().await?.error_for_status()?;
        }
        Ok(())
    }

    /// A counter of `GET /sandbox/stats`, by operation: requests or bytes.
    pub async fn count(&self, what: &str, operation: &str) -> Result<u64> {
        let address = format!("{}/sandbox/stats", self.url);
        let body = self.client.get(address).send().await?.bytes().await?;
        let stats: Value = serde_json::from_slice(&body)?;
        stats[what]["walletpay"][operation]
            .as_u64()
            .with_context(|| format!("the sandbox does not count {what} of {operation}"))
    }

    async fn orders(&self) -> Result<usize> {
        let address = format!("{}/sandbox/stats", self.url);
        let body = self.client.get(address).send().await?.bytes().await?;
        let stats: Value = serde_json::from_slice(&body)?;
        let counts = stats["orders"]["walletpay"].as_object();
        let counts = counts.context("no orders in stats")?;
        let total: u64 = counts.values().filter_map(Value::as_u64).sum();
        Ok(usize::try_from(total)?)
    }
}

/// How rows stand in a database that is being filled.
#[derive(Clone, Copy)]
pub enum Rows {
    /// As programs drop them, due at once, nothing known yet.
    Fresh,
    /// Looked at before, so that a look at an open order changes nothing; next look then.
    Seen { next_poll_at: UnixMillis },
}

/// A database at the current schema.
pub struct Database {
    pub path: PathBuf,
}

impl Database {
    pub async fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        migrate(&path, now()).await?;
        Ok(Self { path })
    }

    pub async fn store(&self) -> Result<SqliteStore> {
        let options = SqliteOptions::new(self.path.clone(), "payments");
        Ok(SqliteStore::open(options).await?)
    }

    /// Puts invoices of `orders` in. The triggers are out of the way meanwhile: a million rows
    /// would take minutes, and what they cost is not measured here.
    pub async fn fill(&self, orders: &[Order], rows: Rows) -> Result<()> {
        let mut connection = self.unguarded().await?;
        let triggers = take_triggers(&mut connection).await?;
        let (seen, next) = match rows {
            Rows::Fresh => (false, now()),
            Rows::Seen { next_poll_at } => (true, next_poll_at),
        };
        for chunk in orders.chunks(CHUNK) {
            let cells: Vec<Value> = chunk.iter().map(cells_of).collect();
            sqlx::query(FILL)
                .bind(Value::Array(cells).to_string())
                .bind(seen)
                .bind(now().0)
                .bind(next.0)
                .execute(&mut connection)
                .await?;
        }
        put_back(&mut connection, triggers).await?;
        Ok(connection.close().await?)
    }

    /// Invoices of orders that no sandbox knows, due in minutes: no plan may lie 10 minutes ahead.
    pub async fn fill_idle(&self, count: usize) -> Result<()> {
        for (orders, next_poll_at) in idle_orders(count) {
            self.fill(&orders, Rows::Seen { next_poll_at }).await?;
        }
        Ok(())
    }

    /// Plans the next look at every invoice that has one.
    pub async fn plan_all(&self, next_poll_at: UnixMillis) -> Result<()> {
        let mut connection = self.unguarded().await?;
        sqlx::query(
            "UPDATE invoices SET next_poll_at = ?1, daemon_writes = daemon_writes + 1
              WHERE next_poll_at IS NOT NULL",
        )
        .bind(next_poll_at.0)
        .execute(&mut connection)
        .await?;
        Ok(connection.close().await?)
    }

    /// Puts `count` events into the outbox.
    pub async fn fill_outbox(&self, count: i64) -> Result<()> {
        let mut connection = self.unguarded().await?;
        let triggers = take_triggers(&mut connection).await?;
        sqlx::query(FILL_OUTBOX)
            .bind(count)
            .execute(&mut connection)
            .await?;
        put_back(&mut connection, triggers).await?;
        Ok(connection.close().await?)
    }

    /// A copy of the closed database.
    pub fn copy(&self, folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        std::fs::copy(&self.path, &path)?;
        Ok(Self { path })
    }

    pub async fn number(&self, query: &'static str) -> Result<i64> {
        let mut connection = self.unguarded().await?;
        let number = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(number)
    }

    async fn unguarded(&self) -> Result<SqliteConnection> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .synchronous(SqliteSynchronous::Off);
        Ok(SqliteConnection::connect_with(&options).await?)
    }
}

const FILL: &str = "
    INSERT INTO invoices (account, external_id, order_id, timeout_seconds, status, version,
                          created_at, updated_at, next_poll_at, polls, failures, last_polled_at,
                          amount, currency, provider_status, order_number, expires_at)
    SELECT 'default', o.value ->> 0, o.value ->> 1, 86400, 'pending', 0, ?3, ?3, ?4, ?2, 0,
           iif(?2, ?3, NULL), iif(?2, '1.00', NULL), iif(?2, 'USD', NULL),
           iif(?2, 'ACTIVE', NULL), iif(?2, o.value ->> 2, NULL), iif(?2, o.value ->> 3, NULL)
      FROM jsonb_each(?1) AS o";

const FILL_OUTBOX: &str = r#"
    WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?1)
    INSERT INTO outbox (seq, event_id, epoch, subject, type, account, external_id, order_id, status,
                        previous_status, version, payload, created_at)
    SELECT seq, printf('5b3f8a52-6d5e-5c11-9a77-%012x', seq), 'epoch', 'payments.default.paid',
           'payment.paid', 'default', 'ORD-' || seq, printf('%016d', seq), 'paid', 'pending', 1,
           printf('{"specversion":"1.0","id":"5b3f8a52-6d5e-5c11-9a77-%012x","source":"/payrecond/default","type":"payment.paid","subject":"ORD-%d","time":"2026-11-22T00:00:00.000Z","datacontenttype":"application/json","sequence":"%d","epoch":"961bc5ad-02f0-4002-b367-d551ec2e85ca","data":{"account":"default","provider":"walletpay","external_id":"ORD-%d","order_id":"%016d","order_number":"9Q4J2SJQ","status":"paid","previous_status":"pending","late":false,"reason":null,"version":1,"amount":{"value":"1.00","currency":"USD"},"provider_status":"PAID","paid_at":"2026-11-22T00:00:00.000Z","expires_at":"2026-11-23T00:00:00.000Z","observed_at":"2026-11-22T00:00:00.000Z","metadata":{}}}',
                  seq, seq, seq, seq, seq), 1
      FROM n"#;

fn cells_of(order: &Order) -> Value {
    let expires_at = UnixMillis::parse(&order.expiration_date_time).map(|at| at.0);
    json!([order.external_id, order.id, order.number, expires_at])
}

/// Orders that no sandbox knows, a chunk at a time with the plan of their next polls.
pub fn idle_orders(count: usize) -> impl Iterator<Item = (Vec<Order>, UnixMillis)> {
    let far = now().plus(Duration::from_mins(7));
    (0..count).step_by(CHUNK).map(move |begin| {
        let orders = (begin..count.min(begin + CHUNK)).map(made_up).collect();
        let next_poll_at = far.plus(Duration::from_millis(begin as u64 / 10));
        (orders, next_poll_at)
    })
}

fn made_up(number: usize) -> Order {
    Order {
        id: format!("{:016}", 1_000_000_000 + number),
        external_id: format!("IDLE-{number}"),
        number: format!("{number:08}"),
        expiration_date_time: "2099-01-01T00:00:00Z".into(),
    }
}

async fn take_triggers(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        .fetch_all(&mut *connection)
        .await?;
    let mut triggers = Vec::new();
    for row in rows {
        let drop = format!("DROP TRIGGER {}", row.get::<&str, _>(0));
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut *connection)
            .await?;
        triggers.push(row.get(1));
    }
    Ok(triggers)
}

async fn put_back(connection: &mut SqliteConnection, triggers: Vec<String>) -> Result<()> {
    for trigger in triggers {
        sqlx::raw_sql(AssertSqlSafe(trigger))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The daemon on `database`, to be spawned.
pub fn daemon(
    database: &Database,
    url: &str,
    strategy: &str,
    stdout: &str,
    arguments: &[&str],
) -> Result<Command> {
    daemon_with(&unlimited(strategy), database, url, stdout, arguments)
}

/// Settings of an account without a rate limit.
pub fn unlimited(strategy: &str) -> String {
    format!("requests_per_second = 0.0\nmax_in_flight = {IN_FLIGHT}\nstrategy = \"{strategy}\"\n")
}

/// The same, the rest of its account's settings being `account`.
pub fn daemon_with(
    account: &str,
    database: &Database,
    url: &str,
    stdout: &str,
    arguments: &[&str],
) -> Result<Command> {
    let config = database.path.with_extension("toml");
    let settings = format!("[database]\npath = '{}'\n", database.path.display());
    let mut command = daemon_at(&settings, account, &config, url, stdout)?;
    command.args(arguments);
    Ok(command)
}

/// The same on the database of `settings`, its configuration being written to `config`.
pub fn daemon_at(
    settings: &str,
    account: &str,
    config: &Path,
    url: &str,
    stdout: &str,
) -> Result<Command> {
    let text = format!(
        "{settings}[[account]]\nname = \"default\"\nprovider = \"walletpay\"\n\
         base_url = \"{url}\"\n{account}[feed]\nstdout = \"{stdout}\"\n[log]\nlevel = \"warn\"\n"
    );
    std::fs::write(config, text)?;
    let mut command = quiet(PROGRAM);
    command
        .arg("--config")
        .arg(config)
        .env("PAYRECOND_API_KEY_DEFAULT", "bench");
    Ok(command)
}

/// Builds and runs the package with raw SQLite. It answers in words on stdout.
pub fn limit(arguments: &[&str]) -> Result<Command> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/limit");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("limit");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .status()?;
    if !built.success() {
        bail!("benches/limit does not build");
    }
    let mut command = quiet(target.join("release/limit"));
    command.args(arguments);
    Ok(command)
}
