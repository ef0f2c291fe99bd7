//! The rate limit and the circuit breaker of an account under one facade.

use std::time::Duration;

use super::breaker::{CircuitBreaker, StopReason};
use super::rate::{Limits, RateLimiter};
use crate::domain::account::AccountState;
use crate::provider::ProviderError;

/// Leave to make one request. To be given back by `settle`.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    started: Duration,
    is_probe: bool,
}

/// The limits of one account. All times are of one monotonic clock.
#[derive(Debug)]
pub struct Limiter {
    rate: RateLimiter,
    breaker: CircuitBreaker,
    /// The next permit is kept for the holder of a `Reservation`.
    pub(super) reserved: bool,
}

impl Limiter {
    /// Nothing is under way, and the bucket is full.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            rate: RateLimiter::new(limits, now),
            breaker: CircuitBreaker::default(),
            reserved: false,
        }
    }

    /// Nothing is under way, and the bucket is empty: the part of an account's limits that another
    /// process has lent.
    pub fn empty(limits: Limits, now: Duration) -> Self {
        Self {
            rate: RateLimiter::empty(limits, now),
            ..Self::new(limits, now)
        }
    }

    /// Lends `Limits::lent` to another process until then, or takes it back where that is over.
    pub fn lend_until(&mut self, until: Duration, now: Duration) {
        self.rate.lend_until(until, now);
    }

    /// Whether more requests are under way than may be: some began before limits were lent.
    pub fn is_over_limit(&self) -> bool {
        self.rate.is_over_limit()
    }

    /// Nothing begins before `wait` is over: the provider asked another process for that.
    pub fn hold(&mut self, wait: Duration, now: Duration) {
        self.rate.hold(wait, now);
    }

    /// Nothing begins from `until` on, unless that is moved on: the lease of the account may be another
    /// daemon's then.
    pub fn trust_until(&mut self, until: Duration) {
        self.rate.trust_until(until);
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

    /// Leave for one request, or how long to wait before asking again; None = until one that is
    /// under way comes back. A stopped account gets none: see `take_probe`.
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

    /// Leave for the harmless request, if it should be made now.
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

    /// Charges a request that goes along with one under way; the bucket may go into debt.
    pub fn charge(&mut self, now: Duration) {
        self.rate.charge(now);
    }

    /// Charges a further request of one under way once the bucket has room for it, else tells how
    /// long to wait before trying again.
    pub fn charge_in_turn(&mut self, now: Duration) -> Result<(), Duration> {
        self.rate.charge_in_turn(now)
    }

    /// How many requests could begin now, probes aside.
    pub fn room(&mut self, now: Duration) -> usize {
        if self.breaker.stop_reason().is_some() {
            return 0;
        }
        self.rate.room(u8::from(self.reserved), now)
    }

    /// Time until a request may begin, be it a probe; zero = at once, None = not before one comes
    /// back.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        if self.breaker.stop_reason().is_none() {
            return self.rate.wait(u8::from(self.reserved), now);
        }
        self.wait_for_probe(now)
    }

    /// Time until a probe may begin; None = none is wanted, or not before a request comes back.
    pub fn wait_for_probe(&mut self, now: Duration) -> Option<Duration> {
        let probe = self.breaker.wants_probe_in(now)?;
        Some(self.rate.wait(0, now)?.max(probe))
    }

    /// Gives a permit back with what came of it. `Ok` = the provider said something, or its service
    /// was shown to work.
    pub fn settle(&mut self, permit: &Permit, outcome: Result<(), &ProviderError>, now: Duration) {
        self.rate.end();
        match outcome {
            Ok(()) => self.rate.grow(now),
            Err(ProviderError::RateLimited { wait }) => {
                self.rate.slow_down(permit.started, *wait, now);
            }
            Err(ProviderError::Unavailable { wait, .. }) => {
                if let Some(wait) = wait {
                    self.rate.hold(*wait, now);
                }
            }
            Err(
                ProviderError::KeyRefused(_)
                | ProviderError::Unreachable(_)
                | ProviderError::Malformed(_)
                | ProviderError::Refused(_),
            ) => {}
        }
        match outcome {
            _ if permit.is_probe => self.breaker.end_probe(outcome, now),
            Ok(()) => self.breaker.succeed(now),
            Err(error) => self.breaker.fail(error, now),
        }
    }

    /// Gives a permit back after "not found", which a broken service says to everything: it is
    /// neither a success nor a failure.
    pub fn settle_unproven(&mut self) {
        self.rate.end();
    }

    /// Gives a permit back unused.
    pub fn give_back(&mut self, permit: &Permit) {
        self.rate.give_back();
        if permit.is_probe {
            self.breaker.give_probe_back();
        }
    }

    /// Whether a failure now is the order's own fault: others succeed.
    pub fn blames_order(&self, now: Duration) -> bool {
        self.breaker.blames_order(now)
    }

    /// Why the account makes no request but probes, if that is so.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.breaker.stop_reason()
    }

    /// Whether requests go out, and when the next one may, if not at once.
    pub fn state(&self, now: Duration) -> (AccountState, Option<Duration>) {
        match (self.breaker.stop_reason(), self.rate.held_for(now)) {
            (Some(StopReason::KeyRefused), _) => {
                (AccountState::KeyRefused, self.breaker.next_probe_in(now))
            }
            (Some(StopReason::Failing), _) => {
                (AccountState::Paused, self.breaker.next_probe_in(now))
            }
            (None, Some(wait)) => (AccountState::Held, Some(wait)),
            (None, None) => (AccountState::Working, None),
        }
    }

    /// What brought the stop, on one line; empty when there is none.
    pub fn cause(&self) -> &str {
        self.breaker.cause()
    }

    /// Time to the next probe of a stopped account.
    pub fn next_probe_in(&self, now: Duration) -> Option<Duration> {
        self.breaker.next_probe_in(now)
    }

    /// Requests ever charged to the budget.
    pub fn begun(&self) -> u64 {
        self.rate.begun()
    }

    /// Requests that wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.rate.in_flight()
    }

    /// When the provider last answered.
    pub fn last_answer(&self) -> Option<Duration> {
        self.breaker.last_answer()
    }

    /// Another key has been read: the next probe may be made at once.
    pub fn probe_soon(&mut self, now: Duration) {
        self.breaker.probe_soon(now);
    }

    /// Requests a second that hold now; None = no limit.
    pub fn rate(&self) -> Option<f64> {
        self.rate.rate()
    }
}
