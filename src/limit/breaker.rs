//! The circuit breaker of one account: whether requests go out at all.
//!
//! A refused key opens it at once. Failures in a row only bring doubt: the harmless request is made,
//! the *probe*. When that succeeds the failures belong to the orders asked about, and nobody else
//! waits; when it fails as well the breaker opens, and the account waits but for further probes.
//! The first success closes it; after a refused key, the first probe that succeeds.

use std::time::Duration;

use crate::provider::ProviderError;
use crate::retry::Waits;

/// Failures in a row, with no success between, that bring doubt.
const DOUBTS_AFTER: u32 = 8;
/// Up to so many failures in a row, with others succeeding before, the order is to blame.
const BLAMES_ORDER_UP_TO: u32 = 3;
/// A probe that succeeded shows for so long that the service works.
const PROOF_HOLDS: Duration = Duration::from_secs(10);

/// What stops an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The provider refuses the key.
    KeyRefused,
    /// Every request fails, the harmless one too.
    Failing,
}

#[derive(Debug)]
struct Stop {
    reason: StopReason,
    /// What the provider said, or why nothing came.
    cause: String,
    delays: Waits,
    next_probe: Duration,
}

/// The breaker. All times are of one monotonic clock.
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
    /// Why no requests but probes go out, if that is so.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.stop.as_ref().map(|stop| stop.reason)
    }

    /// What brought the stop, on one line; empty when there is none.
    pub(super) fn cause(&self) -> &str {
        self.stop.as_ref().map_or("", |stop| &stop.cause)
    }

    /// Time to the next probe of a stopped account.
    pub(super) fn next_probe_in(&self, now: Duration) -> Option<Duration> {
        let stop = self.stop.as_ref()?;
        Some(stop.next_probe.saturating_sub(now))
    }

    /// Time until a probe should be made; None = none is wanted, or one is under way.
    pub(super) fn wants_probe_in(&self, now: Duration) -> Option<Duration> {
        if self.is_probing {
            return None;
        }
        let doubts = self.failures_in_a_row >= DOUBTS_AFTER && !self.is_proved(now);
        self.next_probe_in(now).or(doubts.then_some(Duration::ZERO))
    }

    /// Whether a failure now is the order's own fault: others succeed, or a probe just did.
    pub(super) fn blames_order(&self, now: Duration) -> bool {
        let are_few = self.failures_in_a_row <= BLAMES_ORDER_UP_TO;
        self.stop.is_none() && (are_few || self.is_proved(now))
    }

    /// When the provider last answered.
    pub(super) fn last_answer(&self) -> Option<Duration> {
        self.last_answer
    }

    /// The provider answered. A late answer to what was asked with a key that is refused by now tells
    /// nothing of the key.
    pub(super) fn succeed(&mut self, now: Duration) {
        self.last_answer = Some(now);
        self.failures_in_a_row = 0;
        if self.stop_reason() == Some(StopReason::Failing) {
            self.stop = None;
        }
    }

    /// A request failed that was no probe.
    pub(super) fn fail(&mut self, error: &ProviderError, now: Duration) {
        match error {
            ProviderError::RateLimited { .. } => {}
            // Just after a probe that was accepted, it is the order that is out of reach.
            ProviderError::KeyRefused(_) if !self.is_proved(now) => {
                // Of many under way only the first stops it: the delays are those of probes.
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

    /// A probe begins.
    pub(super) fn begin_probe(&mut self) {
        self.is_probing = true;
    }

    /// A probe was not made after all.
    pub(super) fn give_probe_back(&mut self) {
        self.is_probing = false;
    }

    /// A probe came back.
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
            // The hold that it brings is all that is known.
            ProviderError::RateLimited { .. } if self.stop.is_none() => self.failures_in_a_row = 0,
            ProviderError::RateLimited { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Unreachable(_)
            | ProviderError::Malformed(_)
            | ProviderError::Refused(_) => self.open(StopReason::Failing, error, now),
        }
    }

    /// Another key has been read: the next probe may be made at once.
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

    /// Opens, or waits longer where it is open. A refused key remains one until a probe succeeds.
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
