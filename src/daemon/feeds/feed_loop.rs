//! The loop of a feed: when it delivers, and what it does after a failure.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::daemon::parts::Parts;
use crate::jobs::LONGEST_NAP;
use crate::jobs::feed::{Feed, FeedError, Sink};
use crate::metrics::FeedMeter;
use crate::retry::Waits;

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
        let next = attempts.record_outcome(&feed, outcome);
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

/// The outcomes of the last attempts to deliver.
struct Attempts {
    interval: Duration,
    waits: Waits,
    /// The last failure that was logged; None after a success.
    logged: Option<String>,
}

impl Attempts {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            waits: Waits::of_sinks(),
            logged: None,
        }
    }

    /// Records the outcome of an attempt, and logs a failure that is new.
    fn record_outcome<S: Sink>(
        &mut self,
        feed: &Feed<S>,
        outcome: Result<u64, FeedError>,
    ) -> NextAttempt {
        let (consumer, meter) = (feed.name(), feed.meter());
        let Err(error) = outcome else {
            if self.logged.take().is_some() {
                tracing::info!(consumer, "feed resumed");
            }
            self.waits.reset();
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
            FeedError::Stopped(error) => {
                if is_new {
                    tracing::error!(consumer, error, "feed stopped; retrying");
                }
                update_meter(meter, |meter| meter.set_stopped(text));
                NextAttempt::After(self.waits.next_wait())
            }
            FeedError::Standby(_) => {
                if is_new {
                    tracing::info!(
                        consumer,
                        "another process delivers to this consumer; standing by"
                    );
                }
                update_meter(meter, FeedMeter::set_standby);
                NextAttempt::After(self.waits.next_wait())
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
}

fn update_meter(meter: Option<&FeedMeter>, update: impl FnOnce(&FeedMeter)) {
    if let Some(meter) = meter {
        update(meter);
    }
}
