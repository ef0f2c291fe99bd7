//! The feeds: where the outbox is delivered to, each with its consumer, its pace and its failures. None
//! delays polling or another one.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::nats_feed::{consumer_position, take_role};
use super::parts::Parts;
use super::{DaemonError, NATS_CONSUMER, STDOUT_CONSUMER, database_options};
use crate::clock::Clock;
use crate::config::StdoutFeed;
use crate::feed::Format;
use crate::jobs::LONGEST_NAP;
use crate::jobs::feed::{Delivery, Feed, FeedError, FeedRole, Frames, Sink, StreamSink};
use crate::metrics::FeedMeter;
use crate::retry::Waits;
use crate::store::{Database, DatabaseOptions, Store, StoreError};

/// How often a consumer is tried that another process has.
const HELD_TRIED_EVERY: Duration = Duration::from_secs(1);

/// The daemon's feeds.
pub(super) struct Feeds<W> {
    stdout: Option<Feed<Frames<W>>>,
    nats: Option<Feed<StreamSink>>,
}

/// What the feed on stdout is made of.
struct StdoutParts {
    store: Arc<dyn Database>,
    options: DatabaseOptions,
    format: Format,
    meter: FeedMeter,
}

/// The feeds at their last positions; one that is off keeps its position.
pub(super) async fn open<W>(parts: &Parts, output: W) -> Result<Feeds<W>, DaemonError>
where
    W: AsyncWrite + Unpin + Send,
{
    let stdout = match StdoutParts::of(parts) {
        None => None,
        // Of several daemons one has it at a time.
        Some(stdout) if parts.store.leases().is_some() => {
            let take = take_role(stdout.options.clone(), STDOUT_CONSUMER);
            let role = FeedRole::in_turn(STDOUT_CONSUMER, take);
            Some(stdout.feed(output).await?.under(role))
        }
        Some(stdout) => Some(stdout.feed(output).await?),
    };
    let nats = match &parts.nats {
        Some(nats) => {
            let meter = parts.meter(NATS_CONSUMER);
            Some(nats.feed(Arc::clone(&parts.store), meter).await?)
        }
        None => None,
    };
    Ok(Feeds { stdout, nats })
}

impl StdoutParts {
    /// None when the feed is off.
    fn of(parts: &Parts) -> Option<Self> {
        let format = match parts.config.feed.stdout {
            StdoutFeed::Nats => Format::Nats,
            StdoutFeed::Hpub => Format::Hpub,
            StdoutFeed::Jsonl => Format::Jsonl,
            StdoutFeed::Off => return None,
        };
        Some(Self {
            store: Arc::clone(&parts.store),
            options: database_options(&parts.config),
            format,
            meter: parts.meter(STDOUT_CONSUMER),
        })
    }

    async fn feed<W>(&self, output: W) -> Result<Feed<Frames<W>>, StoreError>
    where
        W: AsyncWrite + Unpin + Send,
    {
        let place = consumer_position(self.store.as_ref(), STDOUT_CONSUMER).await?;
        let delivery = Delivery {
            format: self.format,
            consumer: Some(STDOUT_CONSUMER.to_owned()),
            pattern: None,
        };
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let feed = Feed::new(store, delivery, place, output);
        Ok(feed.metered(self.meter.clone()))
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static> Feeds<W> {
    /// Starts a task for each feed. They end when `flush` is cancelled, after a last delivery.
    pub(super) fn start(self, parts: &Parts, flush: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let wakes = FeedWakes::of(parts, &parts.wake_stdout);
        if let Some(feed) = self.stdout {
            tasks.spawn(feed_loop(feed, wakes, flush.clone()));
        }
        if let Some(feed) = self.nats {
            let wakes = FeedWakes::of(parts, &parts.wake_nats);
            tasks.spawn(feed_loop(feed, wakes, flush.clone()));
        }
        tasks
    }
}

impl<W: AsyncWrite + Unpin + Send> Feeds<W> {
    /// Delivers all that is there.
    pub(super) async fn drain(self) -> Result<(), DaemonError> {
        if let Some(mut feed) = self.stdout {
            ended(feed.run_once(None).await)?;
        }
        if let Some(mut feed) = self.nats {
            ended(feed.run_once(None).await)?;
        }
        Ok(())
    }
}

/// Whether one delivery of all that is there succeeded. A reader that closes its end is a normal end, and
/// what another process delivers is delivered.
pub(super) fn ended(outcome: Result<u64, FeedError>) -> Result<(), DaemonError> {
    match outcome {
        Ok(_) | Err(FeedError::ReaderGone | FeedError::Standby(_)) => Ok(()),
        Err(FeedError::Store(error)) => Err(error.into()),
        Err(error @ (FeedError::Output(_) | FeedError::Stopped(_))) => {
            Err(DaemonError::Failed(error.to_string()))
        }
    }
}

/// The events that wake a feed.
pub struct FeedWakes {
    /// The clock it sleeps by.
    pub clock: Arc<dyn Clock>,
    /// A commit of this process.
    pub committed: Arc<Notify>,
    /// A commit of any process, noticed by the intake.
    pub changed: watch::Receiver<()>,
    /// The time between retries while the database cannot be read.
    pub interval: Duration,
}

impl FeedWakes {
    fn of(parts: &Parts, committed: &Arc<Notify>) -> Self {
        Self {
            clock: Arc::clone(&parts.clock),
            committed: Arc::clone(committed),
            changed: parts.changed.subscribe(),
            interval: parts.config.polling.intake_interval,
        }
    }
}

/// Delivers after each commit: of this process at once, of other processes when the intake notices.
/// Public, like `intake_loop`, for simulations.
pub async fn feed_loop<S: Sink>(mut feed: Feed<S>, mut wakes: FeedWakes, flush: CancellationToken) {
    let mut attempts = Attempts::new(wakes.interval);
    loop {
        let last = flush.is_cancelled();
        let outcome = feed.run_once(None).await;
        let next = attempts.after(&feed, outcome);
        let (nap, is_woken) = match next {
            NextAttempt::Never => return,
            _ if last => return,
            NextAttempt::WhenWoken(nap) => (nap, true),
            NextAttempt::After(nap) => (nap, false),
        };
        tokio::select! {
            biased;
            () = wakes.committed.notified(), if is_woken => {}
            Ok(()) = wakes.changed.changed(), if is_woken => {}
            () = wakes.clock.sleep(nap) => {}
            () = flush.cancelled() => {}
        }
    }
}

/// When a feed is turned again.
enum NextAttempt {
    /// After a commit, or this time.
    WhenWoken(Duration),
    /// After this time, whatever is committed: the sink takes nothing.
    After(Duration),
    Never,
}

/// What came of the last attempts to deliver.
struct Attempts {
    interval: Duration,
    waits: Waits,
    /// The failure that was logged, until a success.
    told: Option<String>,
}

impl Attempts {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            waits: Waits::of_sinks(),
            told: None,
        }
    }

    /// Records the outcome of an attempt, and logs what is new in it.
    fn after<S: Sink>(&mut self, feed: &Feed<S>, outcome: Result<u64, FeedError>) -> NextAttempt {
        let (consumer, meter) = (feed.name(), feed.meter());
        let Err(error) = outcome else {
            if self.told.take().is_some() {
                tracing::info!(consumer, "feed resumed");
            }
            self.waits.reset();
            report(meter, FeedMeter::working);
            return NextAttempt::WhenWoken(LONGEST_NAP);
        };
        let text = error.to_string();
        let is_new = self.told.as_ref() != Some(&text);
        self.told = Some(text.clone());
        match error {
            FeedError::Store(error) => {
                if is_new {
                    tracing::warn!(consumer, %error, "database unavailable; feed retrying");
                }
                report(meter, |meter| meter.stopped(text));
                NextAttempt::WhenWoken(self.interval)
            }
            FeedError::Stopped(error) => {
                if is_new {
                    tracing::error!(consumer, error, "feed stopped; retrying");
                }
                report(meter, |meter| meter.stopped(text));
                NextAttempt::After(self.waits.next_wait())
            }
            FeedError::Standby(_) => {
                if is_new {
                    tracing::info!(
                        consumer,
                        "another process delivers to this consumer; standing by"
                    );
                }
                report(meter, FeedMeter::standby);
                NextAttempt::After(HELD_TRIED_EVERY)
            }
            FeedError::ReaderGone | FeedError::Output(_) => {
                tracing::warn!(
                    %error,
                    "stdout closed by its reader; the feed resumes at the next start"
                );
                report(meter, |meter| meter.ended(text));
                NextAttempt::Never
            }
        }
    }
}

fn report(meter: Option<&FeedMeter>, tell: impl FnOnce(&FeedMeter)) {
    if let Some(meter) = meter {
        tell(meter);
    }
}
