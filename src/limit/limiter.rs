//! The rate limit and the circuit breaker of an account under one facade.

use std::time::Duration;

use super::breaker::{CircuitBreaker, StopReason};
use super::rate::{Limits, RateLimiter};
use crate::domain::account::AccountState;
use crate::provider::ProviderError;

/// Permission to make one request. Must be returned by `settle`.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    started: Duration,
    is_probe: bool,
}

/// The limits of one account. All times are by one monotonic clock.
#[derive(Debug)]
pub struct Limiter {
    rate: RateLimiter,
    breaker: CircuitBreaker,
    /// The next permit is reserved for the holder of a `Reservation`.
    pub(super) reserved: bool,
}

impl Limiter {
    /// A limiter with nothing in flight and a full bucket.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            rate: RateLimiter::new(limits, now),
            breaker: CircuitBreaker::default(),
            reserved: false,
        }
    }

    /// A limiter with nothing in flight and an empty bucket, for the part of an account's limits
    /// that another process has lent.
    pub fn empty(limits: Limits, now: Duration) -> Self {
        Self {
            rate: RateLimiter::empty(limits, now),
            ..Self::new(limits, now)
        }
    }

    /// Lends `Limits::lent` to another process until `until`, or takes it back if that time is
    /// over.
    pub fn lend_until(&mut self, until: Duration, now: Duration) {
        self.rate.lend_until(until, now);
    }

    /// Whether more requests are in flight than allowed, because some began before limits were
    /// lent.
    pub fn is_over_limit(&self) -> bool {
        self.rate.is_over_limit()
    }

    /// Begins nothing before `wait` is over, as the provider required of another process.
    pub fn hold(&mut self, wait: Duration, now: Duration) {
        self.rate.hold(wait, now);
    }

    /// Nothing begins from `until` on, unless that is moved on: the lease of the account may be another
    /// daemon's then.
    pub fn trust_until(&mut self, until: Duration) {
        self.rate.trust_until(until);
    }

    /// Whether the account's lease, if it has one, is certainly held.
    pub fn is_trusted(&self, now: Duration) -> bool {
        self.rate.is_trusted(now)
    }

    /// Goes on where another daemon left off: with an empty bucket, and a refused key or a wait of the
    /// provider's as that daemon knew them.
    pub fn take_over(
        &mut self,
        limits: Limits,
        refused_key: Option<String>,
        held: Option<Duration>,
        now: Duration,
    ) {
        *self = Self {
            reserved: self.reserved,
            ..Self::empty(limits, now)
        };
        if let Some(cause) = refused_key {
            self.breaker.fail(&ProviderError::KeyRefused(cause), now);
        }
        if let Some(wait) = held {
            self.rate.hold(wait, now);
        }
    }

    /// Takes a permit for one request, or returns how long to wait before trying again; None =
    /// until a request in flight returns. A stopped account gets no permit: see `take_probe`.
    pub fn take(&mut self, now: Duration) -> Result<Permit, Option<Duration>> {
        self.take_leaving(u8::from(self.reserved), now)
    }

    pub(super) fn take_leaving(
        &mut self,
        kept: u8,
        now: Duration,
    ) -> Result<Permit, Option<Duration>> {
        if let Some(wait) = self.breaker.next_probe_in(now) {
            return Err(Some(wait.max(Duration::from_millis(1))));
        }
        self.rate.begin(kept, now)?;
        Ok(Permit {
            started: now,
            is_probe: false,
        })
    }

    /// Takes a permit for the probe, if it should be made now.
    pub fn take_probe(&mut self, now: Duration) -> Option<Permit> {
        if self.breaker.wants_probe_in(now)? > Duration::ZERO {
            return None;
        }
        self.rate.begin(0, now).ok()?;
        self.breaker.begin_probe();
        Some(Permit {
            started: now,
            is_probe: true,
        })
    }

    /// Charges an additional request of one in flight; the bucket may go into debt.
    pub fn charge(&mut self, now: Duration) {
        self.rate.charge(now);
    }

    /// Charges an additional request of one in flight once the bucket has room for it, else returns
    /// how long to wait before trying again.
    pub fn charge_in_turn(&mut self, now: Duration) -> Result<(), Duration> {
        self.rate.charge_in_turn(now)
    }

    /// Number of requests that could begin now, without probes.
    pub fn room(&mut self, now: Duration) -> usize {
        if self.breaker.stop_reason().is_some() {
            return 0;
        }
        self.rate.room(u8::from(self.reserved), now)
    }

    /// Time until a request may begin, including a probe; zero = at once, None = not before a
    /// request returns.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        if self.breaker.stop_reason().is_none() {
            return self.rate.wait(u8::from(self.reserved), now);
        }
        self.wait_for_probe(now)
    }

    /// Time until a probe may begin; None = none is needed, or not before a request returns.
    pub fn wait_for_probe(&mut self, now: Duration) -> Option<Duration> {
        let probe = self.breaker.wants_probe_in(now)?;
        Some(self.rate.wait(0, now)?.max(probe))
    }

    /// Returns a permit with the outcome. `Ok` = the provider answered, or its service is known to
    /// work.
    pub fn settle(&mut self, permit: &Permit, outcome: Result<(), &ProviderError>, now: Duration) {
        self.rate.end();
        match outcome {
            Ok(()) => self.rate.grow(now),
            Err(error) => self.obey(error, permit.started, now),
        }
        match outcome {
            _ if permit.is_probe => self.breaker.end_probe(outcome, now),
            Ok(()) => self.breaker.succeed(now),
            Err(error) => self.breaker.fail(error, now),
        }
    }

    /// Records the failure of an additional request of one in flight, whose own permit is returned
    /// with the outcome of the first request. `started`: when the additional one began.
    pub fn fail_additional(&mut self, error: &ProviderError, started: Duration, now: Duration) {
        self.obey(error, started, now);
        self.breaker.fail(error, now);
    }

    /// Waits as the provider requested with an error.
    fn obey(&mut self, error: &ProviderError, started: Duration, now: Duration) {
        match error {
            ProviderError::RateLimited { wait } => self.rate.slow_down(started, *wait, now),
            ProviderError::Unavailable { wait, .. } => {
                if let Some(wait) = wait {
                    self.rate.hold(*wait, now);
                }
            }
            ProviderError::KeyRefused(_)
            | ProviderError::Unreachable(_)
            | ProviderError::Malformed(_)
            | ProviderError::Refused(_) => {}
        }
    }

    /// Returns a permit after "not found", which a broken service returns for every order: it
    /// counts neither as a success nor as a failure.
    pub fn settle_unproven(&mut self) {
        self.rate.end();
    }

    /// Returns a permit unused.
    pub fn give_back(&mut self, permit: &Permit) {
        self.rate.give_back();
        if permit.is_probe {
            self.breaker.give_probe_back();
        }
    }

    /// Whether a failure now is the order's fault: others succeed.
    pub fn blames_order(&self, now: Duration) -> bool {
        self.breaker.blames_order(now)
    }

    /// Why the account makes only probes, if so.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.breaker.stop_reason()
    }

    /// Whether requests go out, and if not, when the next one may.
    pub fn state(&self, now: Duration) -> (AccountState, Option<Duration>) {
        let held = self.rate.held_for(now);
        // A probe waits for the end of a hold too.
        let probe = self.breaker.next_probe_in(now).max(held);
        match (self.breaker.stop_reason(), held) {
            (Some(StopReason::KeyRefused), _) => (AccountState::KeyRefused, probe),
            (Some(StopReason::Failing), _) => (AccountState::Paused, probe),
            (None, Some(wait)) => (AccountState::Held, Some(wait)),
            (None, None) => (AccountState::Working, None),
        }
    }

    /// The cause of the stop, on one line; empty if there is none.
    pub fn cause(&self) -> &str {
        self.breaker.cause()
    }

    /// Time to the next probe of a stopped account.
    pub fn next_probe_in(&self, now: Duration) -> Option<Duration> {
        self.breaker.next_probe_in(now)
    }

    /// Number of requests ever charged.
    pub fn begun(&self) -> u64 {
        self.rate.begun()
    }

    /// Requests waiting for an answer.
    pub fn in_flight(&self) -> usize {
        self.rate.in_flight()
    }

    /// When the provider last answered.
    pub fn last_answer(&self) -> Option<Duration> {
        self.breaker.last_answer()
    }

    /// Allows the next probe at once, because another key has been read.
    pub fn probe_soon(&mut self, now: Duration) {
        self.breaker.probe_soon(now);
    }

    /// Current limit in requests per second; None = no limit.
    pub fn rate(&self) -> Option<f64> {
        self.rate.rate()
    }
}
