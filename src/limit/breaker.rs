//! The circuit breaker of one account decides whether requests go out at all.
//!
//! A refused key opens it at once. After several failures in a row, the harmless request, the
//! *probe*, is made first. If it succeeds, the failures are the fault of the requested orders, and
//! all others go on. If it fails too, the breaker opens, and only further probes go out. The first
//! success closes the breaker; after a refused key, the first successful probe.

use std::time::Duration;

use crate::provider::ProviderError;
use crate::retry::Waits;

/// A probe is made after this many failures in a row without a success.
const DOUBTS_AFTER: u32 = 8;
/// Up to this many failures in a row, after other successes, count as the order's fault.
const BLAMES_ORDER_UP_TO: u32 = 3;
/// How long a successful probe proves that the service works.
const PROOF_HOLDS: Duration = Duration::from_secs(10);

/// Why an account is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The provider refuses the key.
    KeyRefused,
    /// Every request fails, including the probe.
    Failing,
}

#[derive(Debug)]
struct Stop {
    reason: StopReason,
    /// The provider's error, or why there was no answer.
    cause: String,
    delays: Waits,
    next_probe: Duration,
}

/// The breaker. All times are by one monotonic clock.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    stop: Option<Stop>,
    failures_in_a_row: u32,
    is_probing: bool,
    /// When a probe last succeeded.
    proved_at: Option<Duration>,
    last_answer: Option<Duration>,
}

impl CircuitBreaker {
    /// Why only probes go out, if so.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.stop.as_ref().map(|stop| stop.reason)
    }

    /// The cause of the stop, on one line; empty if there is none.
    pub(super) fn cause(&self) -> &str {
        self.stop.as_ref().map_or("", |stop| &stop.cause)
    }

    /// Time to the next probe of a stopped account.
    pub(super) fn next_probe_in(&self, now: Duration) -> Option<Duration> {
        let stop = self.stop.as_ref()?;
        Some(stop.next_probe.saturating_sub(now))
    }

    /// Time until a probe should be made; None = none is needed, or one is in flight.
    pub(super) fn wants_probe_in(&self, now: Duration) -> Option<Duration> {
        if self.is_probing {
            return None;
        }
        let doubts = self.failures_in_a_row >= DOUBTS_AFTER && !self.is_proved(now);
        self.next_probe_in(now).or(doubts.then_some(Duration::ZERO))
    }

    /// Whether a failure now is the order's fault: others succeed, or a probe just did.
    pub(super) fn blames_order(&self, now: Duration) -> bool {
        let are_few = self.failures_in_a_row <= BLAMES_ORDER_UP_TO;
        self.stop.is_none() && (are_few || self.is_proved(now))
    }

    /// When the provider last answered.
    pub(super) fn last_answer(&self) -> Option<Duration> {
        self.last_answer
    }

    /// Records an answer. A late answer to a request with a key that was refused since proves
    /// nothing about the key.
    pub(super) fn succeed(&mut self, now: Duration) {
        self.last_answer = Some(now);
        self.failures_in_a_row = 0;
        if self.stop_reason() == Some(StopReason::Failing) {
            self.stop = None;
        }
    }

    /// Records a failed request that was not a probe.
    pub(super) fn fail(&mut self, error: &ProviderError, now: Duration) {
        match error {
            ProviderError::RateLimited { .. } => {}
            // Shortly after an accepted probe, only the order is out of reach.
            ProviderError::KeyRefused(_) if !self.is_proved(now) => {
                // Of many requests in flight, only the first failure stops the account; the delays
                // are those of probes.
                if self.stop_reason() != Some(StopReason::KeyRefused) {
                    self.open(StopReason::KeyRefused, error, now);
                }
            }
            ProviderError::KeyRefused(_)
            | ProviderError::Unavailable { .. }
            | ProviderError::Unreachable(_)
            | ProviderError::Malformed(_)
            | ProviderError::Refused(_) => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            }
        }
    }

    /// Records the start of a probe.
    pub(super) fn begin_probe(&mut self) {
        self.is_probing = true;
    }

    /// Cancels a probe that was not made.
    pub(super) fn give_probe_back(&mut self) {
        self.is_probing = false;
    }

    /// Records the outcome of a probe.
    pub(super) fn end_probe(&mut self, outcome: Result<(), &ProviderError>, now: Duration) {
        self.is_probing = false;
        let Err(error) = outcome else {
            self.proved_at = Some(now);
            self.stop = None;
            self.succeed(now);
            return;
        };
        match error {
            ProviderError::KeyRefused(_) => self.open(StopReason::KeyRefused, error, now),
            // The rate limit's hold is all that follows from it.
            ProviderError::RateLimited { .. } if self.stop.is_none() => self.failures_in_a_row = 0,
            ProviderError::RateLimited { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Unreachable(_)
            | ProviderError::Malformed(_)
            | ProviderError::Refused(_) => self.open(StopReason::Failing, error, now),
        }
    }

    /// Allows the next probe at once, because another key has been read.
    pub(super) fn probe_soon(&mut self, now: Duration) {
        if let Some(stop) = &mut self.stop {
            stop.next_probe = now;
            stop.delays.reset();
        }
    }

    fn is_proved(&self, now: Duration) -> bool {
        self.proved_at
            .is_some_and(|at| now.saturating_sub(at) < PROOF_HOLDS)
    }

    /// Opens the breaker, or extends the delay if it is open. A refused key stays the reason until
    /// a probe succeeds.
    fn open(&mut self, reason: StopReason, error: &ProviderError, now: Duration) {
        self.proved_at = None;
        if let Some(stop) = &mut self.stop
            && (stop.reason == reason || stop.reason == StopReason::KeyRefused)
        {
            stop.next_probe = now.saturating_add(stop.delays.next_wait());
            return;
        }
        let mut delays = Waits::of_probes();
        let next_probe = now.saturating_add(delays.next_wait());
        self.stop = Some(Stop {
            reason,
            cause: error.to_string(),
            delays,
            next_probe,
        });
    }
}
