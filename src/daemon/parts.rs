//! The parts of the daemon: its database, its accounts, their providers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::nats_feed::NatsFeed;
use super::open_files;
use super::{DaemonError, NATS_CONSUMER, STDOUT_CONSUMER, database_options};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, AccountConfig, Config, Environment, StdoutFeed};
use crate::domain::cadence::Cadence;
use crate::jobs::share::WorkShare;
use crate::jobs::{CommitSignal, Heartbeat, StatusLines};
use crate::limit::{Limits, SharedLimiter};
use crate::metrics::{AccountMeter, FeedMeter, FeedState, Metrics};
use crate::provider::Provider;
use crate::provider::http::{HttpOptions, HttpTransport};
use crate::provider::kind::ProviderParts;
use crate::store::{Database, DatabaseLocation, DatabaseOptions, Role, RoleHold, Store};

/// How often a lock that is held is retried, and the delay.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Everything that the daemon's tasks share.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Database>,
    /// What of the work is this daemon's.
    pub(super) share: WorkShare,
    pub(super) accounts: Vec<Account>,
    pub(super) committed: Arc<CommitSignal>,
    pub(super) wake_stdout: Arc<Notify>,
    pub(super) wake_nats: Arc<Notify>,
    /// Sent when the intake notices that another program wrote to the database.
    pub(super) changed: watch::Sender<()>,
    pub(super) status_lines: StatusLines,
    pub(super) heartbeats: BTreeMap<String, Heartbeat>,
    pub(super) metrics: Metrics,
    /// Of each feed that is on.
    pub(super) feeds: Vec<FeedMeter>,
    /// The publisher, where there is one.
    pub(super) nats: Option<NatsFeed>,
    pub(super) roles: Vec<Box<dyn RoleHold>>,
}

/// An enabled account, whose provider has its key.
pub(super) struct Account {
    pub(super) settings: AccountConfig,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) read_key: config::KeyReader,
    pub(super) limiter: SharedLimiter,
    pub(super) meter: AccountMeter,
}

/// The status line: the state of each task, and conditions that impair all of them.
pub(super) fn status(parts: &Parts) -> impl Fn() -> String + Send + use<> {
    let (status_lines, store) = (parts.status_lines.clone(), Arc::clone(&parts.store));
    let feeds = parts.feeds.clone();
    move || {
        let hindered = store.hindrance().map(|what| format!("database: {what}"));
        let stopped = feeds.iter().filter_map(stopped_feed);
        let lines: Vec<String> = hindered
            .into_iter()
            .chain([status_lines.words()])
            .chain(stopped)
            .collect();
        lines.join("; ")
    }
}

/// What keeps a feed from delivering.
fn stopped_feed(feed: &FeedMeter) -> Option<String> {
    let status = feed.status();
    let error = status
        .error
        .filter(|_| status.state == FeedState::Stopped)?;
    Some(format!("feed {}: {error}", feed.consumer()))
}

impl Parts {
    /// The metrics of a feed.
    pub(super) fn meter(&self, consumer: &'static str) -> FeedMeter {
        let known = self.feeds.iter().find(|feed| feed.consumer() == consumer);
        known
            .cloned()
            .unwrap_or_else(|| self.metrics.feed(consumer, Arc::clone(&self.clock)))
    }
}

/// Reads the keys, takes the lock, upgrades the database and opens it.
pub(super) async fn assemble(mut config: Config, env: &Environment) -> Result<Parts, DaemonError> {
    open_files::fit(&mut config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Metrics::new();
    let accounts = accounts(&config, env, &clock, &metrics)?;
    for warning in config::shared_stores(&config, env) {
        tracing::warn!(%warning, "check the configuration");
    }
    let options = database_options(&config);
    let nats = match &config.nats {
        Some(nats) => Some(NatsFeed::new(nats, options.clone(), env)?),
        None => None,
    };
    let place = options.resolved();
    let daemon = hold(
        &place,
        Role::Daemon,
        "another daemon is running on this database",
    )
    .await?;
    let migrated = place.prepare(clock.now()).await?;
    if migrated.put_back {
        tracing::warn!(
            epoch = migrated.epoch,
            "database appears restored from an older copy; starting a new epoch"
        );
    }
    let mut roles = vec![daemon];
    // Of several daemons, one writes the feed, and another one after it.
    let is_alone = matches!(options.location, DatabaseLocation::File(_));
    if is_alone && config.feed.stdout != StdoutFeed::Off {
        let stdout = Role::Consumer(STDOUT_CONSUMER);
        roles.push(
            hold(
                &place,
                stdout,
                "consumer stdout is in use by a `payrecond feed` command; stop it first",
            )
            .await?,
        );
    }
    // By its name, so that a changed link is noticed.
    let store = options.open_migrated().await?;
    let (wake_stdout, wake_nats) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let feeds = feed_meters(&config, &metrics, &clock);
    let whole = Arc::clone(&store) as Arc<dyn Store>;
    let share = match store.leases() {
        Some(_) => WorkShare::shared(whole),
        None => WorkShare::alone(whole),
    };
    Ok(Parts {
        config,
        clock,
        store,
        share,
        accounts,
        committed: Arc::new(CommitSignal::new(vec![
            Arc::clone(&wake_stdout),
            Arc::clone(&wake_nats),
        ])),
        wake_stdout,
        wake_nats,
        changed: watch::Sender::new(()),
        status_lines: StatusLines::default(),
        heartbeats: BTreeMap::new(),
        metrics,
        feeds,
        nats,
        roles,
    })
}

/// The metrics of the feeds that are on.
fn feed_meters(config: &Config, metrics: &Metrics, clock: &Arc<dyn Clock>) -> Vec<FeedMeter> {
    let stdout = (config.feed.stdout != StdoutFeed::Off).then_some(STDOUT_CONSUMER);
    let nats = config.nats.is_some().then_some(NATS_CONSUMER);
    let on = stdout.into_iter().chain(nats);
    on.map(|consumer| metrics.feed(consumer, Arc::clone(clock)))
        .collect()
}

/// Takes a role for the life of the daemon. It retries for a moment: a daemon that is stopping still
/// has it.
async fn hold(
    place: &DatabaseOptions,
    role: Role<'_>,
    held: &str,
) -> Result<Box<dyn RoleHold>, DaemonError> {
    let name = place.location.to_string();
    for _ in 0..LOCK_TRIES {
        if let Some(hold) = place.hold(role).await.map_err(|error| error.at(&name))? {
            return Ok(hold);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(DaemonError::Failed(format!("{name}: {held}")))
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
                limiter: limiter(account, clock.as_ref()),
                meter: metrics.account(&account.name),
            })
        })
        .collect()
}

/// The provider of an account, without its key.
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
    let kind = account.provider;
    let transport = HttpTransport::new(options, kind.key_place, Arc::clone(clock))
        .map_err(|error| DaemonError::Failed(error.to_string()))?;
    Ok((kind.build)(ProviderParts {
        transport: Arc::new(transport),
        clock: Arc::clone(clock),
        base_url: account.base_url.clone(),
        settings: account.settings.clone(),
    }))
}

/// The limiter of an account, unused.
pub fn limiter(account: &AccountConfig, clock: &dyn Clock) -> SharedLimiter {
    SharedLimiter::new(limits(account), clock.monotonic())
}

/// The limits of an account, as configured.
pub fn limits(account: &AccountConfig) -> Limits {
    Limits {
        requests_per_second: account.requests_per_second,
        burst: account.burst,
        max_in_flight: account.max_in_flight,
    }
}

/// The polling cadence, as configured.
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
