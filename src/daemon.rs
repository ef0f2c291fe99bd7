//! The composition root: the only place that names concrete providers and feeds.

mod cluster;
mod feeds;
mod nats_feed;
mod open_files;
mod parts;
mod publish;
mod replaced;
mod serve;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::cluster::FreeAccounts;
pub use self::cluster::{SharedPolling, SharedPollingParts};
pub use self::feeds::{FeedWakes, feed_loop};
pub use self::nats_feed::connector;
use self::parts::{Parts, assemble, status};
pub use self::parts::{cadence, limiter, limits, provider};
pub use self::publish::publish;
pub use self::tasks::{audit, clock_loop, intake_loop};
use self::tasks::{intake, lender, poll_setups, schedule};
use crate::config::{Config, ConfigError, Environment, StdoutFeed};
use crate::jobs::poll::{FINISH_WITHIN, PollCounts, Poller};
use crate::lifecycle;
use crate::store::{DatabaseLocation, DatabaseOptions, StoreError, process_name};

/// The consumer of the daemon's own feed on stdout.
pub const STDOUT_CONSUMER: &str = "stdout";
/// The consumer of the publisher.
pub const NATS_CONSUMER: &str = "nats";
/// How long all tasks together may take to stop: a little more than a poller alone. A task that waits
/// for a locked database is abandoned, as by a kill.
const END_WITHIN: Duration = FINISH_WITHIN.saturating_add(Duration::from_millis(250));
/// How long the feeds may take after that to flush.
const FLUSH_WITHIN: Duration = Duration::from_millis(1500);

/// How long closing the database may take.
const CLOSE_WITHIN: Duration = Duration::from_millis(250);

/// Why the daemon cannot start, or had to stop.
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

/// The options by which the daemon and the commands open the database.
pub fn database_options(config: &Config) -> DatabaseOptions {
    let stdout = (config.feed.stdout == StdoutFeed::Off).then_some(STDOUT_CONSUMER);
    let nats = config.nats.is_none().then_some(NATS_CONSUMER);
    DatabaseOptions {
        location: match &config.database.server {
            Some(server) => DatabaseLocation::Server(server.clone()),
            None => DatabaseLocation::File(config.database.path.clone()),
        },
        subject_prefix: config.feed.subject_prefix.clone(),
        off_consumers: stdout.into_iter().chain(nats).collect(),
        process: daemon_name(config),
    }
}

/// The configured name of this daemon, else one that no other process has.
fn daemon_name(config: &Config) -> String {
    match config.cluster.name.as_str() {
        "" => process_name(),
        name => name.to_owned(),
    }
}

/// Runs the daemon until a signal stops it: polls, and delivers the feed to `output`.
pub async fn run<W>(config: Config, env: &Environment, output: W) -> Result<(), DaemonError>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    lifecycle::watch_signals(stop.clone(), Arc::clone(&reload)).map_err(|error| {
        DaemonError::Failed(format!("signal handlers could not be installed: {error}"))
    })?;
    run_until(config, env, output, stop, reload).await
}

/// Runs the daemon until the token `stop` is cancelled.
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
    let feeds = feeds::open(&parts, output).await?;
    // Before any request: limits borrowed by another process must not be used.
    lender(&parts).run_once().await?;
    let mut pollers = start_polling(&mut parts, &stop, &reload);
    let mut tasks = tasks::begin(&mut parts, &stop);
    serve::start(server, &parts, &mut tasks, &stop).await?;
    let deliveries = feeds.start(&parts, &flush);
    let schedule = schedule(&parts, &stop).await?;
    let manager = tokio::spawn(lifecycle::notify_manager(
        Arc::clone(&parts.clock),
        parts.heartbeats.clone(),
        status(&parts),
    ));
    lifecycle::ready(parts.status_lines.words()).await;
    tracing::info!(
        database = parts.store.name(),
        accounts = parts.accounts.len(),
        "polling"
    );

    let end = tokio::select! {
        // Checked first, because a poller that ends for the same reason may be ready at the same
        // moment.
        biased;
        () = stop.cancelled() => DaemonEnd::Requested,
        error = replaced::until_replaced(&parts) => DaemonEnd::Replaced(error),
        // A poller that was stopped may have ended before this branch is checked.
        Some(_) = pollers.join_next() => if stop.is_cancelled() { DaemonEnd::Requested } else { DaemonEnd::Defect },
    };
    stop.cancel();
    lifecycle::stopping(end.status()).await;
    if let DaemonEnd::Replaced(error) = &end {
        tracing::error!(%error, "database replaced while running; exiting so that the next start opens the new one");
        pollers.abort_all();
    }
    let all_end = async {
        schedule.stop().await;
        while pollers.join_next().await.is_some() {}
        while tasks.join_next().await.is_some() {}
    };
    if tokio::time::timeout(END_WITHIN, all_end).await.is_err() {
        tracing::warn!("not every task stopped in time; its work is repeated after the next start");
        pollers.abort_all();
        tasks.abort_all();
    }
    flush.cancel();
    // A reader that does not read is not waited for: unread events are not acknowledged.
    let _ = tokio::time::timeout(FLUSH_WITHIN, deliveries.join_all()).await;
    manager.abort();
    // Closing waits for writes that wait for a lock. The next start completes unfinished work.
    let _ = tokio::time::timeout(CLOSE_WITHIN, parts.store.close()).await;
    tracing::info!("stopped");
    end.outcome()
}

/// A poller for each account, or one task that runs those whose leases this daemon holds.
fn start_polling(parts: &mut Parts, stop: &CancellationToken, reload: &Arc<Notify>) -> JoinSet<()> {
    let mut pollers = JoinSet::new();
    let setups = poll_setups(parts);
    if let Some(leases) = parts.store.leases() {
        let heartbeat = tasks::heartbeat_of(parts, "leases");
        let shared = SharedPollingParts::of(parts, leases, setups, heartbeat);
        let shared = SharedPolling::new(shared);
        pollers.spawn(shared.run(stop.clone(), Arc::clone(reload)));
    } else {
        for setup in setups {
            pollers.spawn(Poller::new(setup).run(stop.clone(), Arc::clone(reload)));
        }
    }
    pollers
}

/// Why the daemon stops.
enum DaemonEnd {
    /// A signal, or the token.
    Requested,
    /// Its database is no longer the one it opened.
    Replaced(StoreError),
    /// A poller ended, which is a bug.
    Defect,
}

impl DaemonEnd {
    /// The status line for the service manager.
    fn status(&self) -> String {
        match self {
            Self::Requested => "stopping: finishing requests in flight".to_owned(),
            Self::Replaced(error) => error.to_string(),
            Self::Defect => "a poller ended unexpectedly".to_owned(),
        }
    }

    fn outcome(self) -> Result<(), DaemonError> {
        match self {
            Self::Requested => Ok(()),
            Self::Replaced(error) => Err(error.into()),
            Self::Defect => Err(DaemonError::Failed(
                "a poller ended unexpectedly; please report this as a bug".into(),
            )),
        }
    }
}

/// Polls everything that is due now, then writes the rest of the feed. Returns the counts of all
/// pollers.
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
    let setups = poll_setups(&mut parts);
    let (mut free, setups) = FreeAccounts::take(&parts, setups).await?;
    let mut pollers = JoinSet::new();
    for setup in setups {
        pollers.spawn(Poller::new(setup).run_once());
    }
    let pass = tokio::select! {
        pass = one_pass(&parts, pollers, output) => pass,
        () = free.keep() => Err(DaemonError::Failed("leases were lost to another daemon".into())),
        error = replaced::until_replaced(&parts) => {
            parts.store.close().await;
            Err(error.into())
        }
    };
    free.release().await;
    pass
}

async fn one_pass<W>(
    parts: &Parts,
    mut pollers: JoinSet<PollCounts>,
    output: W,
) -> Result<PollCounts, DaemonError>
where
    W: AsyncWrite + Unpin + Send,
{
    let mut total = PollCounts::default();
    while let Some(counts) = pollers.join_next().await {
        let counts = counts.map_err(|error| DaemonError::Failed(error.to_string()))?;
        total.answered += counts.answered;
        total.failed_requests += counts.failed_requests;
        total.left += counts.left;
    }
    feeds::open(parts, output).await?.drain(parts).await?;
    Ok(total)
}
