//! The rate limit of one account: a token bucket and a limit of requests in flight.
//!
//! It adapts to 429: the rate is halved, then grows back by 5 % per second. A server's
//! `Retry-After` holds all requests.

use std::time::Duration;

/// Hold after a 429 without `Retry-After`.
const DEFAULT_HOLD: Duration = Duration::from_secs(1);
/// Minimum adapted rate, in requests per second.
const LEAST_RATE: f64 = 0.1;
/// An account without a configured limit has none again above this rate, in requests per second.
const UNLIMITED_FROM: f64 = 10_000.0;
/// Growth of an adapted rate, per second.
const GROWTH: f64 = 0.05;
/// Window over which requests are counted, to measure the rate of an account without a limit.
const WINDOW: Duration = Duration::from_secs(1);

/// The configured limits of an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests per second; 0 = no limit.
    pub requests_per_second: f64,
    /// Requests that may be made at once after a pause.
    pub burst: u32,
    /// Requests in flight at the same time.
    pub max_in_flight: usize,
}

impl Limits {
    /// Whether a part can be lent and something is left.
    pub fn can_lend(&self) -> bool {
        let has_tokens = self.requests_per_second <= 0.0 || self.burst > 1;
        has_tokens && self.max_in_flight > 1
    }

    /// The part that is lent: half of the rate, for one request at a time.
    #[must_use]
    pub fn lent(&self) -> Self {
        Self {
            requests_per_second: self.requests_per_second / 2.0,
            burst: 1,
            max_in_flight: 1,
        }
    }

    /// The part that is left meanwhile. Both together never exceed the whole.
    fn left(&self) -> Self {
        Self {
            requests_per_second: self.requests_per_second / 2.0,
            burst: self.burst.saturating_sub(1).max(1),
            max_in_flight: self.max_in_flight.saturating_sub(1).max(1),
        }
    }
}

/// Without trust a request is tried again after this.
const TRUST_TRIED_AFTER: Duration = Duration::from_millis(250);

/// The rate limit. All times are by one monotonic clock.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// The configured limits.
    configured: Limits,
    /// The current limits.
    limits: Limits,
    /// A part is lent until this time.
    lent_until: Option<Duration>,
    tokens: f64,
    refilled_at: Duration,
    /// Lower rate learned from 429, in requests per second.
    adapted_rate: Option<f64>,
    adapted_at: Duration,
    held_until: Duration,
    /// Nothing begins from then on, unless it is moved on: another process may have the account.
    trusted_until: Option<Duration>,
    in_flight: usize,
    /// Number of requests ever charged.
    begun: u64,
    window: Window,
}

/// Requests begun within the current window, which began at `began`, and within the previous one.
#[derive(Debug)]
struct Window {
    began: Duration,
    requests: u32,
    requests_before: u32,
}

impl RateLimiter {
    /// With a full bucket.
    pub(super) fn new(limits: Limits, now: Duration) -> Self {
        Self {
            configured: limits,
            limits,
            lent_until: None,
            tokens: f64::from(limits.burst),
            refilled_at: now,
            adapted_rate: None,
            adapted_at: now,
            held_until: Duration::ZERO,
            trusted_until: None,
            in_flight: 0,
            begun: 0,
            window: Window {
                began: now,
                requests: 0,
                requests_before: 0,
            },
        }
    }

    /// With an empty bucket.
    pub(super) fn empty(limits: Limits, now: Duration) -> Self {
        Self {
            tokens: 0.0,
            ..Self::new(limits, now)
        }
    }

    /// Lends a part of the limits to another process until `until`.
    pub(super) fn lend_until(&mut self, until: Duration, now: Duration) {
        self.refill(now);
        if until > now {
            self.lent_until = Some(until);
            self.limits = self.configured.left();
            self.tokens = self.tokens.min(f64::from(self.limits.burst));
        } else {
            self.lent_until = None;
            self.limits = self.configured;
        }
    }

    /// Begins one request and leaves `kept` tokens for others; else returns how long to wait before
    /// trying again, None = until a request in flight returns.
    pub(super) fn begin(&mut self, kept: u8, now: Duration) -> Result<(), Option<Duration>> {
        match self.wait(kept, now) {
            Some(Duration::ZERO) => {
                self.charge(now);
                self.in_flight += 1;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    pub(super) fn is_over_limit(&self) -> bool {
        self.in_flight > self.limits.max_in_flight
    }

    /// Ends one request.
    pub(super) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Cancels a request that was not made.
    pub(super) fn give_back(&mut self) {
        self.end();
        if self.rate().is_some() {
            self.tokens += 1.0;
        }
    }

    /// Charges an additional request of one in flight; the bucket may go into debt.
    pub(super) fn charge(&mut self, now: Duration) {
        self.begun = self.begun.saturating_add(1);
        if self.rate().is_some() {
            self.tokens -= 1.0;
        }
        self.window.count(now);
    }

    /// Like `charge`, but without debt; else returns how long to wait before trying again.
    pub(super) fn charge_in_turn(&mut self, now: Duration) -> Result<(), Duration> {
        self.refill(now);
        let held = self.barred_for(now);
        let wait = held.max(self.wait_for_token(0).unwrap_or_default());
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.charge(now);
        Ok(())
    }

    /// Nothing begins from `until` on.
    pub(super) fn trust_until(&mut self, until: Duration) {
        self.trusted_until = Some(until);
    }

    /// Whether requests may begin, as far as that depends on the end of trust.
    pub(super) fn is_trusted(&self, now: Duration) -> bool {
        self.trusted_until.is_none_or(|until| now < until)
    }

    /// How long the provider's word, or the end of trust, bars every request.
    fn barred_for(&self, now: Duration) -> Duration {
        let held = self.held_until.saturating_sub(now);
        if self.is_trusted(now) {
            held
        } else {
            held.max(TRUST_TRIED_AFTER)
        }
    }

    /// Time until a request may begin that leaves `kept` tokens for others; zero = at once, None =
    /// not before a request returns.
    pub(super) fn wait(&mut self, kept: u8, now: Duration) -> Option<Duration> {
        self.refill(now);
        if self.in_flight + usize::from(kept) >= self.limits.max_in_flight {
            return None;
        }
        let held = self.barred_for(now);
        Some(held.max(self.wait_for_token(kept).unwrap_or_default()))
    }

    /// Number of requests that could begin now and leave `kept` tokens for others.
    pub(super) fn room(&mut self, kept: u8, now: Duration) -> usize {
        self.refill(now);
        let busy = self.in_flight + usize::from(kept);
        let slots = self.limits.max_in_flight.saturating_sub(busy);
        if slots == 0 || !self.barred_for(now).is_zero() {
            return 0;
        }
        if self.rate().is_none() {
            return slots;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bucket holds 0 to 10,000 tokens"
        )]
        let tokens = (self.tokens - f64::from(kept) + 0.001).max(0.0) as usize;
        slots.min(tokens)
    }

    /// Current limit in requests per second; None = no limit.
    pub(super) fn rate(&self) -> Option<f64> {
        let configured = Some(self.limits.requests_per_second).filter(|rate| *rate > 0.0);
        match (self.adapted_rate, configured) {
            (Some(adapted), Some(configured)) => Some(adapted.min(configured)),
            (adapted, configured) => adapted.or(configured),
        }
    }

    /// Remaining time of a hold by the server; None = no hold.
    pub(super) fn held_for(&self, now: Duration) -> Option<Duration> {
        (now < self.held_until).then(|| self.held_until.saturating_sub(now))
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Records a 429, which asks for `wait`, to a request that began at `started`.
    pub(super) fn slow_down(&mut self, started: Duration, wait: Option<Duration>, now: Duration) {
        self.hold(wait.unwrap_or(DEFAULT_HOLD), now);
        // Requests sent before the last reduction prove nothing new.
        if self.adapted_rate.is_some() && started < self.adapted_at {
            return;
        }
        let base = self.rate().unwrap_or(self.window.rate(now).max(LEAST_RATE));
        self.adapted_rate = Some((base / 2.0).max(LEAST_RATE));
        self.adapted_at = now;
        self.tokens = self.tokens.min(1.0);
    }

    /// Begins nothing before `wait` is over.
    pub(super) fn hold(&mut self, wait: Duration, now: Duration) {
        self.held_until = self.held_until.max(now.saturating_add(wait));
    }

    /// Lets an adapted rate grow back after a success.
    pub(super) fn grow(&mut self, now: Duration) {
        let Some(rate) = self.adapted_rate else {
            return;
        };
        let elapsed = now.saturating_sub(self.adapted_at).as_secs_f64().min(10.0);
        if elapsed < 0.1 {
            return;
        }
        let grown = rate * (1.0 + GROWTH * elapsed) + GROWTH * elapsed;
        let limit = self.configured.requests_per_second;
        let enough = if limit > 0.0 {
            grown >= limit
        } else {
            grown >= UNLIMITED_FROM
        };
        self.adapted_rate = (!enough).then_some(grown);
        self.adapted_at = now;
    }

    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.refilled_at = now.max(self.refilled_at);
        if let Some(rate) = self.rate() {
            // Holding leaves at most one burst, however long it lasted.
            self.tokens = (self.tokens + rate * elapsed).min(f64::from(self.limits.burst));
        }
        if self.lent_until.is_some_and(|until| until <= now) {
            self.lent_until = None;
            self.limits = self.configured;
        }
    }

    fn wait_for_token(&self, kept: u8) -> Option<Duration> {
        let rate = self.rate()?;
        let missing = 1.0 + f64::from(kept) - self.tokens;
        // A thousandth of a token is a rounding error, and a zero delay would spin.
        (missing > 0.001).then(|| {
            Duration::try_from_secs_f64(missing / rate)
                .unwrap_or(Duration::from_mins(1))
                .max(Duration::from_millis(1))
        })
    }
}

impl Window {
    fn count(&mut self, now: Duration) {
        let since = now.saturating_sub(self.began);
        if since >= WINDOW {
            let is_next = since < 2 * WINDOW;
            self.requests_before = if is_next { self.requests } else { 0 };
            (self.began, self.requests) = (now, 0);
        }
        self.requests = self.requests.saturating_add(1);
    }

    /// Measured requests per second. A window that has just begun is not representative.
    fn rate(&self, now: Duration) -> f64 {
        let seconds = now.saturating_sub(self.began).as_secs_f64();
        f64::from(self.requests.max(self.requests_before)) / seconds.max(1.0)
    }
}
