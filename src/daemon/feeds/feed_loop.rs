//! The loop of a feed: when it delivers, and what it does after a failure.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::daemon::parts::Parts;
use crate::domain::time::UnixMillis;
use crate::jobs::LONGEST_NAP;
use crate::jobs::feed::{Feed, FeedError, Sink};
use crate::metrics::FeedMeter;
use crate::retry::Waits;
use crate::store::FeedFailure;

/// The interval of attempts to take a consumer from another process.
const TAKE_EVERY: Duration = Duration::from_secs(1);

/// What wakes a feed.
pub struct FeedWakes {
    /// The clock for its delays.
    pub clock: Arc<dyn Clock>,
    /// Notified after a commit of this process.
    pub committed: Arc<Notify>,
    /// Changes after a commit of any process, once the intake notices it.
    pub changed: watch::Receiver<()>,
    /// The delay between attempts while the database is unavailable.
    pub interval: Duration,
}

impl FeedWakes {
    pub(super) fn from_parts(parts: &Parts, committed: &Arc<Notify>) -> Self {
        Self {
            clock: Arc::clone(&parts.clock),
            committed: Arc::clone(committed),
            changed: parts.changed.subscribe(),
            interval: parts.config.polling.intake_interval,
        }
    }
}

/// Delivers after each commit, until `flush` is cancelled; then it delivers once more. Public, like
/// `intake_loop`, for simulations.
pub async fn feed_loop<S: Sink>(mut feed: Feed<S>, mut wakes: FeedWakes, flush: CancellationToken) {
    let mut attempts = Attempts::new(wakes.interval);
    loop {
        let last = flush.is_cancelled();
        let outcome = feed.run_once(None).await;
        let next = attempts.record_outcome(&feed, outcome, wakes.clock.now());
        attempts.write_failure(&mut feed).await;
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

/// When a feed delivers next.
enum NextAttempt {
    /// After a commit, or after this time.
    WhenWoken(Duration),
    /// After this time, commit or not, since the sink accepts nothing.
    After(Duration),
    Never,
}

/// What the database does not show yet.
enum Unwritten {
    Nothing,
    Failure(FeedFailure),
    Success,
}

/// The outcomes of the last attempts to deliver.
struct Attempts {
    interval: Duration,
    waits: Waits,
    /// The last failure that was logged; None after a success.
    logged: Option<String>,
    /// Whether the last attempt succeeded.
    is_working: bool,
    /// When the sink stopped to accept events.
    stopped_since: Option<UnixMillis>,
    /// What is to be written to the database, where other programs read it.
    unwritten: Unwritten,
}

impl Attempts {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            waits: Waits::of_sinks(),
            logged: None,
            is_working: false,
            stopped_since: None,
            unwritten: Unwritten::Nothing,
        }
    }

    /// Records the outcome of an attempt, and logs a failure that is new.
    fn record_outcome<S: Sink>(
        &mut self,
        feed: &Feed<S>,
        outcome: Result<u64, FeedError>,
        now: UnixMillis,
    ) -> NextAttempt {
        let (consumer, meter) = (feed.name(), feed.meter());
        let Err(error) = outcome else {
            if self.logged.take().is_some() {
                tracing::info!(consumer, "feed resumed");
            }
            self.waits.reset();
            if !self.is_working {
                // Another process may have failed before.
                self.unwritten = Unwritten::Success;
            }
            (self.is_working, self.stopped_since) = (true, None);
            update_meter(meter, FeedMeter::set_working);
            return NextAttempt::WhenWoken(LONGEST_NAP);
        };
        let text = error.to_string();
        let is_new = self.logged.as_ref() != Some(&text);
        self.logged = Some(text.clone());
        match error {
            FeedError::Store(error) => {
                if is_new {
                    tracing::warn!(consumer, %error, "database unavailable; feed retrying");
                }
                update_meter(meter, |meter| meter.set_stopped(text));
                NextAttempt::WhenWoken(self.interval)
            }
            FeedError::Unconfirmed(error) => {
                if is_new {
                    tracing::warn!(
                        consumer,
                        %error,
                        "consumer may be held by another process; feed retrying"
                    );
                }
                update_meter(meter, |meter| meter.set_stopped(text));
                NextAttempt::WhenWoken(self.interval)
            }
            FeedError::Stopped(error) => {
                if is_new {
                    tracing::error!(consumer, error, "feed stopped; retrying");
                    let since = *self.stopped_since.get_or_insert(now);
                    self.unwritten = Unwritten::Failure(FeedFailure { since, error });
                }
                self.is_working = false;
                update_meter(meter, |meter| meter.set_stopped(text));
                NextAttempt::After(self.waits.next_wait())
            }
            FeedError::Standby(_) => {
                if is_new {
                    tracing::info!(consumer, "consumer is held by another process; waiting");
                }
                (self.is_working, self.stopped_since) = (false, None);
                // The other process writes.
                self.unwritten = Unwritten::Nothing;
                update_meter(meter, FeedMeter::set_standby);
                NextAttempt::After(TAKE_EVERY)
            }
            FeedError::ReaderGone | FeedError::Output(_) => {
                tracing::warn!(
                    %error,
                    "stdout closed by its reader; the feed resumes at the next start"
                );
                update_meter(meter, |meter| meter.set_ended(text));
                NextAttempt::Never
            }
        }
    }

    /// Writes what is to be written; what cannot be is written after the next attempt.
    async fn write_failure<S: Sink>(&mut self, feed: &mut Feed<S>) {
        let failure = match &self.unwritten {
            Unwritten::Nothing => return,
            Unwritten::Failure(failure) => Some(failure),
            Unwritten::Success => None,
        };
        if feed.record_failure(failure).await.is_ok() {
            self.unwritten = Unwritten::Nothing;
        }
    }
}

fn update_meter(meter: Option<&FeedMeter>, update: impl FnOnce(&FeedMeter)) {
    if let Some(meter) = meter {
        update(meter);
    }
}
