//! A shop for tests: a sandbox, a database, a daemon in this process.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use payrecond::clock::{Clock, SystemClock};
use payrecond::config::{Config, Environment};
use payrecond::daemon::{self, DaemonError};
use payrecond::domain::decide::Rules;
use payrecond::jobs::poll::{PollSettings, PollSetup, PollSignals, Strategy};
use payrecond::jobs::{Heartbeat, StatusLines};
use payrecond::limit::{Limits, SharedLimiter};
use payrecond::metrics::Metrics;
use payrecond::provider::Provider;
use payrecond::sandbox::{
    Fault, FaultKind, Operation, OrderBatch, Sandbox, SandboxOptions, SimulatedPayment, World,
};
use payrecond::store::sqlite::{SqliteOptions, SqliteStore, migrate};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::io::AsyncWrite;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::PATIENCE;

/// How often `until` asks by one connection.
const ASKED_BY_A_CONNECTION: u32 = 50;

pub struct Shop {
    pub folder: tempfile::TempDir,
    _sandbox: Sandbox,
    pub world: Arc<World>,
    pub base_url: String,
    /// More lines of configuration, the first of the account. Most tests count single polls, so
    /// orders are polled one by one; `list` covers the other strategies.
    pub settings: String,
}

impl Shop {
    pub async fn open() -> Self {
        Self::with(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ..SandboxOptions::default()
        })
        .await
    }

    /// The provider has another key than the daemon.
    pub async fn refusing_the_key() -> Self {
        Self::with(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            api_key: Some("another-key".into()),
            ..SandboxOptions::default()
        })
        .await
    }

    /// With the default strategy.
    pub async fn as_shipped() -> Self {
        let mut shop = Self::open().await;
        shop.settings = shop.settings.replace("strategy = \"preview\"\n", "");
        shop
    }

    pub async fn with(options: SandboxOptions) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let shop = Self {
            folder: tempfile::tempdir().unwrap(),
            world: sandbox.world(),
            base_url: sandbox.url(),
            _sandbox: sandbox,
            settings: "strategy = \"preview\"\n[polling]\nmin_interval = \"100ms\"\nintake_interval = \"50ms\"\nage_factor = 0.0\njitter = 0.0\n".into(),
        };
        migrate(&shop.database(), SystemClock::new().now())
            .await
            .unwrap();
        shop
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("payrecond.db")
    }

    pub fn config(&self) -> Config {
        Config::parse(&self.config_text(), &environment()).unwrap()
    }

    /// The configuration as in its file.
    pub fn config_text(&self) -> String {
        let database = self.database().display().to_string();
        let rate = if self.settings.contains("requests_per_second") {
            ""
        } else {
            "requests_per_second = 0\n"
        };
        format!(
            "[database]\npath = {database:?}\n[[account]]\nname = \"default\"\nbase_url = {:?}\n{rate}{}",
            self.base_url, self.settings
        )
    }

    /// Adds lines to the configuration.
    pub fn configure(&mut self, lines: &str) {
        self.settings.push_str(lines);
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(self.config())
    }

    pub async fn connect(&self) -> SqliteConnection {
        connect(&self.database()).await
    }

    pub async fn execute(&self, sql: &str) {
        execute(&self.database(), sql).await;
    }

    /// The first column of the first row, as text.
    pub async fn ask(&self, sql: &str) -> String {
        ask(&self.database(), sql).await
    }

    /// Waits until `sql` answers `expected`.
    pub async fn until(&self, sql: &str, expected: &str) {
        let mut last = String::new();
        let waiting = async {
            let mut connection = self.connect().await;
            for count in 1_u32.. {
                last = ask_by(&mut connection, sql).await;
                if last == expected {
                    connection.close().await.unwrap();
                    return;
                }
                // Each connection parses the schema; but the file may be another one by now.
                if count.is_multiple_of(ASKED_BY_A_CONNECTION) {
                    connection.close().await.unwrap();
                    connection = self.connect().await;
                }
                // Nothing will happen any more.
                if let Some(why) = failure_at(&self.database()) {
                    panic!("{sql}: expected {expected}, still {last}; the daemon ended: {why}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{sql}: expected {expected}, still {last}");
    }

    /// Number of requests of a kind so far.
    pub fn asked(&self, operation: Operation) -> u64 {
        self.world.stats().requests[&operation]
    }

    /// Waits until this many requests of a kind were made.
    pub async fn until_asked(&self, operation: Operation, count: u64) {
        let waiting = async {
            while self.asked(operation) < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{:?}", self.world.stats());
    }

    /// Resets every request from now on.
    pub fn answer_nothing(&self) {
        self.world.set_faults(vec![Fault::new(FaultKind::Reset)]);
    }

    /// Removes the faults.
    pub fn answer_again(&self) {
        self.world.set_faults(Vec::new());
    }

    /// Inserts an invoice of `account` for an order of its store that is already paid.
    pub async fn drop_in_paid(&self, account: &str, store: &World, external_id: &str) {
        let order = payrecond::sandbox::NewOrder::simple(external_id, "1.00", "USD");
        let id = store.create(&order).unwrap().order.id;
        store.pay(&id, &SimulatedPayment::default()).unwrap();
        self.execute(&format!(
            "INSERT INTO invoices (account, external_id, order_id) VALUES ('{account}', '{external_id}', '{id}')"
        ))
        .await;
    }

    /// Inserts an invoice for an order of the sandbox. Returns the order's id.
    pub async fn drop_in(&self, external_id: &str) -> String {
        let order = payrecond::sandbox::NewOrder::simple(external_id, "1.00", "USD");
        let id = self.world.create(&order).unwrap().order.id;
        self.execute(&format!(
            "INSERT INTO invoices (external_id, order_id) VALUES ('{external_id}', '{id}')"
        ))
        .await;
        id
    }
}

async fn connect(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .busy_timeout(PATIENCE);
    SqliteConnection::connect_with(&options).await.unwrap()
}

pub async fn execute(database: &Path, sql: &str) {
    let mut connection = connect(database).await;
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    // If only dropped, it would be closed a little later, and might write then.
    connection.close().await.unwrap();
}

/// The first column of the first row of any database, as text.
pub async fn ask(database: &Path, sql: &str) -> String {
    let mut connection = connect(database).await;
    let answer = ask_by(&mut connection, sql).await;
    connection.close().await.unwrap();
    answer
}

async fn ask_by(connection: &mut SqliteConnection, sql: &str) -> String {
    let sql = format!("SELECT CAST(({sql}) AS TEXT)");
    let answer: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .unwrap();
    answer.unwrap_or_default()
}

/// Creates orders in the sandbox. Returns their external ids.
pub fn seed(world: &World, batch: &OrderBatch) -> Vec<String> {
    let places = world.seed(batch).unwrap();
    places
        .map(|n| format!("{}{}", batch.external_id_prefix, n + 1))
        .collect()
}

/// Inserts invoices for all these orders of the sandbox in one statement of `program`.
pub async fn drop_in_all(world: &World, program: &mut SqliteConnection, external_ids: &[String]) {
    let rows: Vec<[String; 2]> = external_ids
        .iter()
        .map(|name| [name.clone(), world.order(name).unwrap().id])
        .collect();
    sqlx::query(
        "INSERT INTO invoices (external_id, order_id)
         SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)",
    )
    .bind(serde_json::to_string(&rows).unwrap())
    .execute(program)
    .await
    .unwrap();
}

pub fn environment() -> Environment {
    [("PAYRECOND_API_KEY_DEFAULT", "canary-key-0123456789")]
        .into_iter()
        .collect()
}

/// No limit to requests a second.
pub const UNLIMITED: Limits = Limits {
    requests_per_second: 0.0,
    burst: 1,
    max_in_flight: 4,
};

/// What the daemon makes a poller of, at `provider`, on the shop's database; nothing is read beyond what is
/// due. What is sent wakes the poller, as intake does.
pub async fn poll_setup(
    shop: &Shop,
    provider: Arc<dyn Provider>,
    limits: Limits,
) -> (PollSetup, watch::Sender<()>) {
    let config = shop.config();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = SqliteOptions::new(shop.database(), "payments");
    let (somebody_wrote, changed) = watch::channel(());
    let setup = PollSetup {
        account: "default".into(),
        provider,
        read_key: Arc::new(|| Err("there is no other".into())),
        store: Arc::new(SqliteStore::open(options).await.unwrap()),
        limiter: SharedLimiter::new(limits, clock.monotonic()),
        settings: PollSettings {
            cadence: daemon::cadence(&config),
            not_found_grace: config.polling.not_found_grace,
            rules: Rules::default(),
            intake_interval: config.polling.intake_interval,
            strategy: Strategy::Auto,
            list_bytes_per_second: 0,
        },
        signals: PollSignals {
            committed: Arc::default(),
            changed,
            heartbeat: Heartbeat::default(),
            status_lines: StatusLines::default(),
            meter: Metrics::new().account("default"),
        },
        seed: 1,
        clock,
    };
    (setup, somebody_wrote)
}

/// Daemons of this process that ended with an error: by their database, why.
static FAILED: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

fn failure_at(database: &Path) -> Option<String> {
    let failed = FAILED.lock().unwrap();
    let found = failed.iter().find(|(path, _)| path == database);
    found.map(|(_, why)| why.clone())
}

/// A daemon in this process.
pub struct Daemon {
    stop: CancellationToken,
    running: JoinHandle<Result<(), DaemonError>>,
    pub stdout: Captured,
}

impl Daemon {
    pub fn start(config: Config) -> Self {
        Self::start_in(config, environment())
    }

    pub fn start_in(config: Config, environment: Environment) -> Self {
        let stop = CancellationToken::new();
        let stdout = Captured::default();
        let (token, output) = (stop.clone(), stdout.clone());
        let running = tokio::spawn(async move {
            let reload = Arc::new(Notify::new());
            let database = config.database.path.clone();
            let ended = daemon::run_until(config, &environment, output, token, reload).await;
            if let Err(error) = &ended {
                let why = (database, error.to_string());
                FAILED.lock().unwrap().push(why);
            }
            ended
        });
        Self {
            stop,
            running,
            stdout,
        }
    }

    pub async fn stop(self) -> String {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.stdout.text()
    }
}

/// An output that is kept in memory.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl AsyncWrite for Captured {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
