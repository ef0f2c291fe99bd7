//! The composition root: the only place that names concrete stores, providers and feeds.

mod serve;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::{self, AccountConfig, Config, ConfigError, Environment, StdoutFeed};
use crate::domain::cadence::Cadence;
use crate::domain::invoice::AccountName;
use crate::feed::Format;
use crate::jobs::audit::Audit;
use crate::jobs::feed::{Delivery, Feed, FeedError};
use crate::jobs::intake::Intake;
use crate::jobs::poll::{FINISH_WITHIN, PollCounts, PollSetup, Poller, Strategy};
use crate::jobs::retention::Retention;
use crate::jobs::{Board, Heartbeat, LONGEST_NAP};
use crate::lifecycle;
use crate::metrics::{AccountMeter, Metrics};
use crate::provider::Provider;
use crate::provider::http::{HttpOptions, HttpTransport};
use crate::provider::walletpay::{self, WalletPay};
use crate::schedule::{Schedule, Turn};
use crate::store::sqlite::{DatabaseLock, SqliteOptions, SqliteStore, migrate};
use crate::store::{Store, StoreError};
use crate::throttle::{Gate, Limits};

/// The consumer that is the daemon's own stdout.
pub const STDOUT_CONSUMER: &str = "stdout";
/// Name of the lock that a running daemon holds on its database.
pub const DAEMON_LOCK: &str = "daemon";
/// On the way out, all duties together may take so long: a little more than a poller takes by
/// itself. What hangs on a locked database is let go, as a kill would.
const END_WITHIN: Duration = FINISH_WITHIN.saturating_add(Duration::from_millis(250));
/// Then the feed may take so long for what is left.
const FLUSH_WITHIN: Duration = Duration::from_millis(1500);

/// A lock that is held is tried so often, with this pause.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why the daemon cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration cannot be used: exit 78.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Name of the lock of a consumer.
pub fn consumer_lock(name: &str) -> String {
    format!("feed-{name}")
}

/// What every duty is built from.
struct Parts {
    config: Config,
    clock: Arc<dyn Clock>,
    store: Arc<SqliteStore>,
    accounts: Vec<Account>,
    committed: Arc<Notify>,
    /// Sent when the intake noticed that somebody wrote to the database.
    changed: watch::Sender<()>,
    board: Board,
    heartbeats: BTreeMap<String, Heartbeat>,
    metrics: Metrics,
    _locks: Vec<DatabaseLock>,
}

/// An enabled account, its provider holding its key.
struct Account {
    settings: AccountConfig,
    provider: Arc<dyn Provider>,
    read_key: config::KeyReader,
    gate: Gate,
    meter: AccountMeter,
}

/// The daemon, until a signal stops it: polls, delivers the feed to `output`.
pub async fn run<W>(config: Config, env: &Environment, output: W) -> Result<(), DaemonError>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    lifecycle::watch_signals(stop.clone(), Arc::clone(&reload))
        .map_err(|error| DaemonError::Failed(format!("signals cannot be watched: {error}")))?;
    run_until(config, env, output, stop, reload).await
}

/// As `run`, stopped by a token.
pub async fn run_until<W>(
    config: Config,
    env: &Environment,
    output: W,
    stop: CancellationToken,
    reload: Arc<Notify>,
) -> Result<(), DaemonError>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut parts = assemble(config, env).await?;
    let server = serve::bind(&parts).await?;
    let flush = CancellationToken::new();
    let feed = open_feed(&parts, output).await?;
    let mut pollers = JoinSet::new();
    for setup in poll_setups(&mut parts) {
        pollers.spawn(Poller::new(setup).run(stop.clone(), Arc::clone(&reload)));
    }
    let mut duties = duties(&mut parts, &stop);
    serve::start(server, &parts, &mut duties, &stop).await?;
    let delivery = feed.map(|feed| {
        let wakes = FeedWakes {
            clock: Arc::clone(&parts.clock),
            committed: Arc::clone(&parts.committed),
            changed: parts.changed.subscribe(),
            interval: parts.config.polling.intake_interval,
        };
        tokio::spawn(feed_loop(feed, wakes, flush.clone()))
    });
    let schedule = schedule(&parts).await?;
    let manager = tokio::spawn(lifecycle::tell_manager(
        Arc::clone(&parts.clock),
        parts.heartbeats.clone(),
        parts.board.clone(),
    ));
    lifecycle::ready(parts.board.words()).await;
    tracing::info!(database = %parts.store.path().display(), accounts = parts.accounts.len(), "polling");

    let stopped_as_told = tokio::select! {
        // First: a poller that ends because of it may be seen in the same moment.
        biased;
        () = stop.cancelled() => true,
        // Told to stop, a poller may have ended before this is looked at.
        Some(_) = pollers.join_next() => stop.is_cancelled(),
    };
    stop.cancel();
    lifecycle::stopping().await;
    let all_end = async {
        schedule.stop().await;
        while pollers.join_next().await.is_some() {}
        while duties.join_next().await.is_some() {}
    };
    if tokio::time::timeout(END_WITHIN, all_end).await.is_err() {
        tracing::warn!(
            "not every duty ended in time; what it was at is done again after the next start"
        );
        pollers.abort_all();
        duties.abort_all();
    }
    flush.cancel();
    if let Some(delivery) = delivery {
        // A reader that does not read is not waited for: what it did not take is not acknowledged.
        let _ = tokio::time::timeout(FLUSH_WITHIN, delivery).await;
    }
    manager.abort();
    parts.store.close().await;
    tracing::info!("stopped");
    if stopped_as_told {
        Ok(())
    } else {
        Err(DaemonError::Failed(
            "a poller ended by itself, which is a defect".into(),
        ))
    }
}

/// One pass over what is due now, then the feed. Returns what the pollers did.
pub async fn run_once<W>(
    config: Config,
    env: &Environment,
    output: W,
) -> Result<PollCounts, DaemonError>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut parts = assemble(config, env).await?;
    intake(&mut parts).run_once().await?;
    let mut pollers = JoinSet::new();
    for setup in poll_setups(&mut parts) {
        pollers.spawn(Poller::new(setup).run_once());
    }
    let mut total = PollCounts::default();
    while let Some(counts) = pollers.join_next().await {
        let counts = counts.map_err(|error| DaemonError::Failed(error.to_string()))?;
        total.answered += counts.answered;
        total.could_not_ask += counts.could_not_ask;
        total.left += counts.left;
    }
    if let Some(mut feed) = open_feed(&parts, output).await? {
        match feed.run_once(None).await {
            Ok(_) | Err(FeedError::ReaderGone) => {}
            Err(FeedError::Store(error)) => return Err(error.into()),
            Err(error @ FeedError::Output(_)) => {
                return Err(DaemonError::Failed(error.to_string()));
            }
        }
    }
    Ok(total)
}

/// Reads the keys, takes the lock, brings the database up to date, opens it.
async fn assemble(config: Config, env: &Environment) -> Result<Parts, DaemonError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Metrics::new();
    let accounts = accounts(&config, env, &clock, &metrics)?;
    let path = config.database.path.clone();
    let daemon_lock = lock(&path, DAEMON_LOCK, "another daemon runs on this database").await?;
    let migrated = migrate(&path, clock.now()).await?;
    if migrated.put_back {
        tracing::warn!(
            epoch = migrated.epoch,
            "this database does not know all that was said: it was put back from an older copy, or made anew. A new epoch begins, and what happened since is asked again"
        );
    }
    let mut locks = vec![daemon_lock];
    if config.feed.stdout != StdoutFeed::Off {
        let name = consumer_lock(STDOUT_CONSUMER);
        locks.push(lock(&path, &name, "a feed holds the consumer stdout").await?);
    }
    let store = SqliteStore::open(SqliteOptions {
        path,
        subject_prefix: config.feed.subject_prefix.clone(),
    })
    .await?;
    Ok(Parts {
        config,
        clock,
        store: Arc::new(store),
        accounts,
        committed: Arc::new(Notify::new()),
        changed: watch::Sender::new(()),
        board: Board::default(),
        heartbeats: BTreeMap::new(),
        metrics,
        _locks: locks,
    })
}

/// A lock for the daemon's whole life. Tried for a moment: commands that only ask whether a daemon
/// runs hold it for microseconds, and one that is just ending still holds it.
async fn lock(path: &Path, name: &str, held: &str) -> Result<DatabaseLock, DaemonError> {
    let failed = |why: String| DaemonError::Failed(format!("{}: {why}", path.display()));
    for _ in 0..LOCK_TRIES {
        let taken = DatabaseLock::try_take(path, name).map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed(
                "the folder of database.path does not exist: make it first, payrecond makes the file alone".into(),
            ),
            _ => failed(format!("the lock file cannot be made: {error}")),
        })?;
        if let Some(lock) = taken {
            return Ok(lock);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(failed(held.to_owned()))
}

/// The enabled accounts, each with its provider and its key.
fn accounts(
    config: &Config,
    env: &Environment,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<Vec<Account>, DaemonError> {
    let enabled = config.accounts.iter().filter(|account| account.enabled);
    enabled
        .map(|account| {
            let provider = provider(account, config, clock)?;
            provider.set_key(config::api_key(account, env)?);
            Ok(Account {
                settings: account.clone(),
                provider,
                read_key: config::key_reader(account, env),
                gate: gate(account, clock.as_ref()),
                meter: metrics.account(&account.name),
            })
        })
        .collect()
}

/// The provider behind an account. It has no key yet.
pub fn provider(
    account: &AccountConfig,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Provider>, DaemonError> {
    let options = HttpOptions {
        base_url: account.base_url.clone(),
        connect_timeout: config.http.connect_timeout,
        request_timeout: config.http.request_timeout,
        max_response_bytes: config.http.max_response_bytes,
        max_retry_after: config.http.max_retry_after,
        pool_size: account.max_in_flight,
    };
    match account.provider {
        config::Provider::WalletPay => {
            let transport = HttpTransport::new(options, walletpay::KEY_HEADER, Arc::clone(clock))
                .map_err(|error| DaemonError::Failed(error.to_string()))?;
            Ok(Arc::new(WalletPay::new(
                Arc::new(transport),
                Arc::clone(clock),
            )))
        }
    }
}

/// The budget of an account, untouched.
pub fn gate(account: &AccountConfig, clock: &dyn Clock) -> Gate {
    let limits = Limits {
        requests_per_second: account.requests_per_second,
        burst: account.burst,
        max_in_flight: account.max_in_flight,
    };
    Gate::new(limits, clock.monotonic())
}

/// The audit of one account.
pub fn audit(
    account: &AccountConfig,
    provider: Arc<dyn Provider>,
    store: &Arc<SqliteStore>,
    clock: &Arc<dyn Clock>,
    gate: Gate,
    adopt: bool,
) -> Audit {
    Audit {
        account: AccountName(account.name.clone()),
        provider,
        store: Arc::clone(store) as Arc<dyn Store>,
        clock: Arc::clone(clock),
        gate,
        adopt,
    }
}

/// The rules of looking, as configured.
pub fn cadence(config: &Config) -> Cadence {
    let polling = &config.polling;
    Cadence {
        min_interval: polling.min_interval,
        age_factor: polling.age_factor,
        max_interval: polling.max_interval,
        jitter: polling.jitter,
        checks_after_expiry: polling.checks_after_expiry.clone(),
    }
}

fn poll_setups(parts: &mut Parts) -> Vec<PollSetup> {
    let mut setups = Vec::new();
    for account in &parts.accounts {
        let settings = &account.settings;
        let heartbeat = Heartbeat::default();
        heartbeat.beat(parts.clock.monotonic());
        parts
            .heartbeats
            .insert(format!("poll {}", settings.name), heartbeat.clone());
        parts.board.put(&settings.name, "polling");
        setups.push(PollSetup {
            account: AccountName(settings.name.clone()),
            provider: Arc::clone(&account.provider),
            read_key: Arc::clone(&account.read_key),
            store: Arc::clone(&parts.store) as Arc<dyn Store>,
            clock: Arc::clone(&parts.clock),
            cadence: cadence(&parts.config),
            not_found_grace: parts.config.polling.not_found_grace,
            intake_interval: parts.config.polling.intake_interval,
            gate: account.gate.clone(),
            strategy: match settings.strategy {
                config::Strategy::Auto => Strategy::Auto,
                config::Strategy::Preview => Strategy::Preview,
                config::Strategy::List => Strategy::List,
            },
            list_bytes_per_second: settings.list_bytes_per_second,
            committed: Arc::clone(&parts.committed),
            changed: parts.changed.subscribe(),
            heartbeat,
            board: parts.board.clone(),
            meter: account.meter.clone(),
            seed: fastrand::u64(..),
        });
    }
    setups
}

fn intake(parts: &mut Parts) -> Intake {
    let heartbeat = Heartbeat::default();
    heartbeat.beat(parts.clock.monotonic());
    parts.heartbeats.insert("intake".into(), heartbeat.clone());
    let known = parts
        .config
        .accounts
        .iter()
        .map(|a| AccountName(a.name.clone()))
        .collect();
    Intake::new(
        Arc::clone(&parts.store) as Arc<dyn Store>,
        Arc::clone(&parts.clock),
        cadence(&parts.config),
        known,
        heartbeat,
    )
}

/// Turns the intake every `interval` until `stop`, and tells `changed` when somebody wrote. Public,
/// like `feed_loop`, for simulations with a clock and a provider of their own.
pub async fn intake_loop(
    mut intake: Intake,
    clock: Arc<dyn Clock>,
    interval: Duration,
    changed: watch::Sender<()>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match intake.run_once().await {
            Ok(true) => changed.send_modify(|()| {}),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "intake waits for the database"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = clock.sleep(interval.min(LONGEST_NAP)) => {}
        }
    }
}

/// What goes on beside polling and the feed.
fn duties(parts: &mut Parts, stop: &CancellationToken) -> JoinSet<()> {
    let mut duties = JoinSet::new();
    let intake = intake(parts);
    duties.spawn(intake_loop(
        intake,
        Arc::clone(&parts.clock),
        parts.config.polling.intake_interval,
        parts.changed.clone(),
        stop.clone(),
    ));
    duties.spawn(writer_watch(parts, stop.clone()));
    duties
}

/// Beats for the writer of the database. Whoever waits for it gives up after a while and goes on,
/// so a write that never ends would be noticed by nobody else.
fn writer_watch(
    parts: &mut Parts,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let heartbeat = Heartbeat::default();
    heartbeat.beat(parts.clock.monotonic());
    parts.heartbeats.insert("writer".into(), heartbeat.clone());
    let (store, clock) = (Arc::clone(&parts.store), Arc::clone(&parts.clock));
    let interval = parts.config.polling.intake_interval.min(LONGEST_NAP);
    async move {
        let mut last = None;
        while !stop.is_cancelled() {
            let in_use = store.writer_in_use_since();
            if in_use.is_none() || in_use != last {
                heartbeat.beat(clock.monotonic());
            }
            last = in_use;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = clock.sleep(interval) => {}
            }
        }
    }
}

/// The feed on stdout, at the place where it was; None when it is off, and then its consumer goes.
async fn open_feed<W>(parts: &Parts, output: W) -> Result<Option<Feed<W>>, DaemonError>
where
    W: AsyncWrite + Unpin + Send,
{
    let format = match parts.config.feed.stdout {
        StdoutFeed::Nats => Format::Nats,
        StdoutFeed::Hpub => Format::Hpub,
        StdoutFeed::Jsonl => Format::Jsonl,
        StdoutFeed::Off => {
            let removed = parts.store.remove_consumer(STDOUT_CONSUMER).await;
            removed.map_err(|error| error.at(parts.store.path()))?;
            return Ok(None);
        }
    };
    let place = parts.store.consumer(STDOUT_CONSUMER).await;
    let place = place.map_err(|error| error.at(parts.store.path()))?;
    let delivery = Delivery {
        format,
        consumer: Some(STDOUT_CONSUMER.to_owned()),
        pattern: None,
    };
    let store = Arc::clone(&parts.store) as Arc<dyn Store>;
    let meter = parts.metrics.feed(Arc::clone(&parts.clock));
    Ok(Some(
        Feed::new(store, delivery, place, output).metered(meter),
    ))
}

/// What the feed waits for.
pub struct FeedWakes {
    /// The clock of its naps.
    pub clock: Arc<dyn Clock>,
    /// A commit of ours.
    pub committed: Arc<Notify>,
    /// A commit of whomever, noticed by the intake.
    pub changed: watch::Receiver<()>,
    /// Between tries, while the database cannot be read.
    pub interval: Duration,
}

/// Delivers after each commit: ours at once, those of other processes when the intake notices.
pub async fn feed_loop<W>(mut feed: Feed<W>, mut wakes: FeedWakes, flush: CancellationToken)
where
    W: AsyncWrite + Unpin + Send,
{
    let mut failing = false;
    loop {
        let last = flush.is_cancelled();
        match feed.run_once(None).await {
            Ok(_) => failing = false,
            Err(FeedError::Store(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "the feed waits for the database");
                }
            }
            Err(error @ (FeedError::ReaderGone | FeedError::Output(_))) => {
                tracing::warn!(%error, "nobody reads stdout any more: events stay in the outbox, and come after the next start");
                return;
            }
        }
        if last {
            return;
        }
        let nap = if failing { wakes.interval } else { LONGEST_NAP };
        tokio::select! {
            biased;
            () = wakes.committed.notified() => {}
            Ok(()) = wakes.changed.changed() => {}
            () = wakes.clock.sleep(nap) => {}
            () = flush.cancelled() => {}
        }
    }
}

async fn schedule(parts: &Parts) -> Result<Schedule, DaemonError> {
    let mut jobs = Vec::new();
    if let Some(cron) = &parts.config.jobs.retention {
        jobs.push(("retention", cron.clone(), retention_turn(parts)));
    }
    if let Some(cron) = &parts.config.jobs.audit {
        jobs.push(("audit", cron.clone(), audit_turn(parts)));
    }
    Schedule::start(jobs)
        .await
        .map_err(|error| DaemonError::Failed(error.to_string()))
}

fn retention_turn(parts: &Parts) -> Turn {
    let retention = Arc::new(Retention {
        store: Arc::clone(&parts.store) as Arc<dyn Store>,
        clock: Arc::clone(&parts.clock),
        outbox: parts.config.retention.outbox,
        invoices: parts.config.retention.invoices,
    });
    Arc::new(move || {
        let retention = Arc::clone(&retention);
        Box::pin(async move {
            if let Err(error) = retention.run_once().await {
                tracing::warn!(%error, "old rows could not be deleted; the next turn tries again");
            }
        })
    })
}

/// One account after the other: an audit is in no hurry.
fn audit_turn(parts: &Parts) -> Turn {
    let audits: Vec<(Audit, AccountMeter)> = parts
        .accounts
        .iter()
        .map(|account| {
            let provider = Arc::clone(&account.provider);
            let audit = audit(
                &account.settings,
                provider,
                &parts.store,
                &parts.clock,
                account.gate.clone(),
                false,
            );
            (audit, account.meter.clone())
        })
        .collect();
    let audits = Arc::new(audits);
    let committed = Arc::clone(&parts.committed);
    Arc::new(move || {
        let (audits, committed) = (Arc::clone(&audits), Arc::clone(&committed));
        Box::pin(async move {
            for (audit, meter) in audits.iter() {
                match audit.run_once().await {
                    Ok(report) => {
                        meter.said("audit.discrepancy", report.said);
                        let (found, new) = (report.discrepancies.len(), report.said);
                        tracing::info!(account = %audit.account, checked = report.checked, found, new, "audit done");
                    }
                    Err(error) => tracing::warn!(%error, "the audit came to no end"),
                }
                committed.notify_one();
            }
        })
    })
}
