//! The gate of one account: its budget and its breaker. Pure: monotonic time comes in, permits and
//! waits come out.
//!
//! The budget is a token bucket and a number of requests in flight. It adapts to 429: the rate is
//! halved, then grows back by 5 % a second. A server's `Retry-After` holds everything. The breaker
//! stops an account whose key is refused, or of which nothing succeeds any more, but for a probe;
//! the first success closes it.

mod gate;

use std::time::Duration;

pub use self::gate::{Gate, Reservation};
use crate::provider::CouldNotAsk;
use crate::retry::Waits;

/// Failures in a row, with no success between, after which the account pauses.
const TRIPS_AFTER: u32 = 8;
/// Up to so many failures in a row, with others succeeding before, the order is to blame.
const BLAMES_ORDER_UP_TO: u32 = 3;
/// Hold after a 429 that names no wait.
const HOLD_WITHOUT_WORD: Duration = Duration::from_secs(1);
/// The rate never adapts below this, requests a second.
const LEAST_RATE: f64 = 0.1;
/// An unlimited account that grows beyond this is unlimited again, requests a second.
const UNLIMITED_FROM: f64 = 10_000.0;
/// Growth of an adapted rate, per second.
const GROWTH: f64 = 0.05;
/// Requests are counted over such spans, to learn what an unlimited account was doing.
const WINDOW: Duration = Duration::from_secs(1);

/// What the configuration allows an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second; 0 = no limit.
    pub requests_per_second: f64,
    /// Requests that may be made at once after a pause.
    pub burst: u32,
    /// Requests under way at the same time.
    pub max_in_flight: usize,
}

/// What stops an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The provider refuses the key.
    KeyRefused,
    /// Nothing succeeds any more.
    NothingSucceeds,
}

/// Leave to make one request. To be given back by `settle`.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    started: Duration,
    /// Whether this is the one request that a stopped account may make.
    pub probe: bool,
}

#[derive(Debug)]
struct Stop {
    trouble: Trouble,
    /// What the provider said, or why nothing came.
    why: String,
    probes: Waits,
    next_probe: Duration,
    probing: bool,
}

/// The gate. All times are of one monotonic clock.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    tokens: f64,
    refilled_at: Duration,
    /// Lower rate that 429 taught, requests a second.
    adapted_rate: Option<f64>,
    adapted_at: Duration,
    held_until: Duration,
    in_flight: usize,
    /// Requests ever charged.
    begun: u64,
    stop: Option<Stop>,
    failures_in_a_row: u32,
    last_answer: Option<Duration>,
    /// Requests begun within the second that began then, and in the one before.
    window: (Duration, u32),
    window_before: u32,
    /// The next permit is kept for the holder of a `Reservation`.
    reserved: bool,
}

impl Throttle {
    /// A gate that stands open, its bucket full.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            limits,
            tokens: f64::from(limits.burst),
            refilled_at: now,
            adapted_rate: None,
            adapted_at: now,
            held_until: Duration::ZERO,
            in_flight: 0,
            begun: 0,
            stop: None,
            failures_in_a_row: 0,
            last_answer: None,
            window: (now, 0),
            window_before: 0,
            reserved: false,
        }
    }

    /// Leave for one request, or how long to wait before asking again; None = until one that is
    /// under way comes back.
    pub fn take(&mut self, now: Duration) -> Result<Permit, Option<Duration>> {
        self.take_leaving(self.kept(), now)
    }

    /// As `take`, for the holder of a reservation. No probe is taken.
    fn take_reserved(&mut self, now: Duration) -> Result<Permit, Option<Duration>> {
        match self.next_probe_in(now) {
            Some(wait) => Err(Some(wait)),
            None => self.take_leaving(0, now),
        }
    }

    /// Permits that are kept for others. A stopped account keeps none: it must be probed.
    fn kept(&self) -> u8 {
        u8::from(self.reserved && self.stop.is_none())
    }

    fn take_leaving(&mut self, kept: u8, now: Duration) -> Result<Permit, Option<Duration>> {
        self.refill(now);
        if self.in_flight + usize::from(kept) >= self.limits.max_in_flight {
            return Err(None);
        }
        if now < self.held_until {
            return Err(Some(self.held_until.saturating_sub(now)));
        }
        if let Some(wait) = self.wait_for_token(kept) {
            return Err(Some(wait));
        }
        let mut probe = false;
        if let Some(stop) = &mut self.stop {
            if stop.probing {
                return Err(None);
            }
            if now < stop.next_probe {
                return Err(Some(stop.next_probe.saturating_sub(now)));
            }
            stop.probing = true;
            probe = true;
        }
        self.charge(now);
        self.in_flight += 1;
        Ok(Permit {
            started: now,
            probe,
        })
    }

    /// Charges a request that goes along with one under way; the bucket may go into debt.
    pub fn charge(&mut self, now: Duration) {
        self.begun = self.begun.saturating_add(1);
        if self.rate().is_some() {
            self.tokens -= 1.0;
        }
        let since = now.saturating_sub(self.window.0);
        if since >= WINDOW {
            let is_next = since < 2 * WINDOW;
            self.window_before = if is_next { self.window.1 } else { 0 };
            self.window = (now, 0);
        }
        self.window.1 = self.window.1.saturating_add(1);
    }

    /// How many requests could begin now.
    pub fn room(&mut self, now: Duration) -> usize {
        self.refill(now);
        let kept = self.kept();
        let busy = self.in_flight + usize::from(kept);
        let slots = self.limits.max_in_flight.saturating_sub(busy);
        if slots == 0 || now < self.held_until {
            return 0;
        }
        if let Some(stop) = &self.stop {
            return usize::from(!stop.probing && now >= stop.next_probe);
        }
        if self.rate().is_none() {
            return slots;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bucket holds 0 to 10,000 tokens"
        )]
        let tokens = (self.tokens - f64::from(kept)).max(0.0) as usize;
        slots.min(tokens)
    }

    /// Time until a request may begin; zero = at once, None = not before one comes back.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        self.refill(now);
        let kept = self.kept();
        if self.in_flight + usize::from(kept) >= self.limits.max_in_flight {
            return None;
        }
        let held = self.held_until.saturating_sub(now);
        let token = self.wait_for_token(kept).unwrap_or_default();
        let probe = match &self.stop {
            Some(stop) if stop.probing => return None,
            Some(stop) => stop.next_probe.saturating_sub(now),
            None => Duration::ZERO,
        };
        Some(held.max(token).max(probe))
    }

    /// Gives a permit back with what came of it. `Ok` = the provider said something, or its service
    /// was shown to work.
    pub fn settle(&mut self, permit: &Permit, outcome: Result<(), &CouldNotAsk>, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Err(error) = outcome else {
            self.last_answer = Some(now);
            self.failures_in_a_row = 0;
            self.grow(now);
            self.stop = None;
            return;
        };
        match error {
            CouldNotAsk::RateLimited { wait } => {
                self.slow_down(permit, now);
                self.hold(wait.unwrap_or(HOLD_WITHOUT_WORD), now);
                self.after_failed_probe(permit, now);
            }
            CouldNotAsk::KeyRefused(_) => self.trip(permit, Trouble::KeyRefused, error, now),
            CouldNotAsk::Unavailable { wait, .. } => {
                if let Some(wait) = wait {
                    self.hold(*wait, now);
                }
                self.count_failure(permit, error, now);
            }
            CouldNotAsk::Unreachable(_) | CouldNotAsk::Malformed(_) | CouldNotAsk::Refused(_) => {
                self.count_failure(permit, error, now);
            }
        }
    }

    /// Gives a permit back after "not found", which a broken service says to everything: it is
    /// neither a success nor a failure.
    pub fn settle_unproven(&mut self, permit: &Permit, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.after_failed_probe(permit, now);
    }

    /// Gives a permit back unused.
    pub fn give_back(&mut self, permit: &Permit) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.rate().is_some() {
            self.tokens += 1.0;
        }
        if let Some(stop) = self.stop.as_mut().filter(|_| permit.probe) {
            stop.probing = false;
        }
    }

    /// Whether a failure now is the order's own fault: others succeed.
    pub fn blames_order(&self) -> bool {
        self.stop.is_none() && self.failures_in_a_row <= BLAMES_ORDER_UP_TO
    }

    /// What stops the account, if it is stopped.
    pub fn trouble(&self) -> Option<Trouble> {
        self.stop.as_ref().map(|stop| stop.trouble)
    }

    /// What brought the trouble, on one line; empty when there is none.
    pub fn cause(&self) -> &str {
        self.stop.as_ref().map_or("", |stop| &stop.why)
    }

    /// How much longer a server's word holds the account; None = it does not.
    pub fn held_for(&self, now: Duration) -> Option<Duration> {
        (now < self.held_until).then(|| self.held_until.saturating_sub(now))
    }

    /// Time to the next probe of a stopped account.
    pub fn next_probe_in(&self, now: Duration) -> Option<Duration> {
        let stop = self.stop.as_ref()?;
        Some(stop.next_probe.saturating_sub(now))
    }

    /// Requests ever charged to the budget.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Requests that wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When the provider last said something.
    pub fn last_answer(&self) -> Option<Duration> {
        self.last_answer
    }

    /// Another key has been read: the next probe may be made at once.
    pub fn try_again(&mut self, now: Duration) {
        if let Some(stop) = &mut self.stop {
            stop.next_probe = now;
            stop.probes.reset();
        }
    }

    /// Requests a second that hold now; None = no limit.
    pub fn rate(&self) -> Option<f64> {
        let configured = Some(self.limits.requests_per_second).filter(|rate| *rate > 0.0);
        match (self.adapted_rate, configured) {
            (Some(adapted), Some(configured)) => Some(adapted.min(configured)),
            (adapted, configured) => adapted.or(configured),
        }
    }

    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.refilled_at = now.max(self.refilled_at);
        if let Some(rate) = self.rate() {
            // Holding leaves at most one burst, however long it took.
            self.tokens = (self.tokens + rate * elapsed).min(f64::from(self.limits.burst));
        }
    }

    fn wait_for_token(&self, kept: u8) -> Option<Duration> {
        let rate = self.rate()?;
        let missing = 1.0 + f64::from(kept) - self.tokens;
        // A thousandth of a token is rounding, and a wait of nothing would spin.
        (missing > 0.001).then(|| {
            Duration::try_from_secs_f64(missing / rate)
                .unwrap_or(Duration::from_mins(1))
                .max(Duration::from_millis(1))
        })
    }

    fn slow_down(&mut self, permit: &Permit, now: Duration) {
        // Requests sent before the last cut tell nothing new.
        if self.adapted_rate.is_some() && permit.started < self.adapted_at {
            return;
        }
        let seconds = now.saturating_sub(self.window.0).as_secs_f64().max(0.1);
        // One that has just begun says little.
        let observed = f64::from(self.window.1.max(self.window_before)) / seconds.max(1.0);
        let base = self.rate().unwrap_or(observed.max(LEAST_RATE));
        self.adapted_rate = Some((base / 2.0).max(LEAST_RATE));
        self.adapted_at = now;
        self.tokens = self.tokens.min(1.0);
    }

    fn grow(&mut self, now: Duration) {
        let Some(rate) = self.adapted_rate else {
            return;
        };
        let elapsed = now.saturating_sub(self.adapted_at).as_secs_f64().min(10.0);
        if elapsed < 0.1 {
            return;
        }
        let grown = rate * (1.0 + GROWTH * elapsed) + GROWTH * elapsed;
        let limit = self.limits.requests_per_second;
        let enough = if limit > 0.0 {
            grown >= limit
        } else {
            grown >= UNLIMITED_FROM
        };
        self.adapted_rate = (!enough).then_some(grown);
        self.adapted_at = now;
    }

    fn hold(&mut self, wait: Duration, now: Duration) {
        self.held_until = self.held_until.max(now.saturating_add(wait));
    }

    fn count_failure(&mut self, permit: &Permit, error: &CouldNotAsk, now: Duration) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if self.stop.is_some() {
            self.after_failed_probe(permit, now);
        } else if self.failures_in_a_row >= TRIPS_AFTER {
            self.trip(permit, Trouble::NothingSucceeds, error, now);
        }
    }

    fn trip(&mut self, permit: &Permit, trouble: Trouble, error: &CouldNotAsk, now: Duration) {
        if self.trouble() == Some(trouble) {
            self.after_failed_probe(permit, now);
            return;
        }
        let mut probes = Waits::of_probes();
        let next_probe = now.saturating_add(probes.next_wait());
        self.stop = Some(Stop {
            trouble,
            why: error.to_string(),
            probes,
            next_probe,
            probing: false,
        });
    }

    fn after_failed_probe(&mut self, permit: &Permit, now: Duration) {
        if let Some(stop) = self.stop.as_mut().filter(|_| permit.probe) {
            stop.probing = false;
            stop.next_probe = now.saturating_add(stop.probes.next_wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);

    fn seconds(seconds: f64) -> Duration {
        START + Duration::from_secs_f64(seconds)
    }

    fn throttle(rate: f64, burst: u32, max_in_flight: usize) -> Throttle {
        Throttle::new(
            Limits {
                requests_per_second: rate,
                burst,
                max_in_flight,
            },
            START,
        )
    }

    fn unreachable() -> CouldNotAsk {
        CouldNotAsk::Unreachable("connection refused".into())
    }

    #[test]
    fn the_budget_is_kept_over_any_span() {
        let mut gate = throttle(5.0, 10, 100);
        let mut made = 0;
        for step in 0..10_000 {
            let now = seconds(f64::from(step) / 1000.0);
            while let Ok(permit) = gate.take(now) {
                made += 1;
                gate.settle(&permit, Ok(()), now);
            }
        }
        assert!(
            (59..=60).contains(&made),
            "10 at once and 5 a second for 10 s, not {made}"
        );
    }

    #[test]
    fn no_more_are_under_way_than_allowed() {
        let mut gate = throttle(0.0, 1, 3);
        let permits: Vec<Permit> = (0..3).map(|_| gate.take(START).unwrap()).collect();
        assert_eq!(gate.take(START).unwrap_err(), None);
        gate.settle(&permits[0], Ok(()), START);
        assert!(gate.take(START).is_ok());
    }

    #[test]
    fn a_refused_key_leaves_only_probes_until_the_first_success() {
        let mut gate = throttle(0.0, 1, 3);
        let permit = gate.take(START).unwrap();
        let refused = CouldNotAsk::KeyRefused("HTTP 401".into());
        gate.settle(&permit, Err(&refused), START);
        assert_eq!(gate.trouble(), Some(Trouble::KeyRefused));
        assert_eq!(
            gate.take(seconds(1.0)).unwrap_err(),
            Some(Duration::from_secs(1))
        );
        let probe = gate.take(seconds(2.0)).unwrap();
        assert!(probe.probe);
        assert_eq!(
            gate.take(seconds(2.0)).unwrap_err(),
            None,
            "one probe at a time"
        );
        gate.settle(&probe, Err(&refused), seconds(2.0));
        let mut now = seconds(2.0);
        for _ in 0..30 {
            now += gate.wait(now).unwrap();
            let probe = gate.take(now).unwrap();
            gate.settle(&probe, Err(&refused), now);
        }
        assert_eq!(gate.wait(now), Some(Duration::from_mins(5)));
        now += Duration::from_mins(5);
        let probe = gate.take(now).unwrap();
        gate.settle(&probe, Ok(()), now);
        assert_eq!(gate.trouble(), None);
        assert!(!gate.take(now).unwrap().probe);
    }

    #[test]
    fn failures_among_successes_stop_nothing() {
        let mut gate = throttle(0.0, 1, 10);
        for _ in 0..100 {
            let (good, bad) = (gate.take(START).unwrap(), gate.take(START).unwrap());
            gate.settle(&bad, Err(&unreachable()), START);
            assert!(gate.blames_order());
            gate.settle(&good, Ok(()), START);
        }
    }

    #[test]
    fn when_nothing_succeeds_the_account_pauses() {
        let mut gate = throttle(0.0, 1, 10);
        for _ in 0..8 {
            assert_eq!(gate.trouble(), None);
            let permit = gate.take(START).unwrap();
            gate.settle(&permit, Err(&unreachable()), START);
        }
        assert_eq!(gate.trouble(), Some(Trouble::NothingSucceeds));
        assert_eq!(gate.cause(), "unreachable: connection refused");
        assert!(!gate.blames_order());
    }

    #[test]
    fn a_servers_wait_holds_everything_and_halves_the_rate_once() {
        let mut gate = throttle(8.0, 10, 10);
        let permits: Vec<Permit> = (0..4).map(|_| gate.take(START).unwrap()).collect();
        let limited = CouldNotAsk::RateLimited {
            wait: Some(Duration::from_secs(3)),
        };
        for permit in &permits {
            gate.settle(permit, Err(&limited), seconds(0.1));
        }
        assert_eq!(gate.rate(), Some(4.0));
        assert_eq!(gate.wait(seconds(0.1)), Some(Duration::from_secs(3)));
        let permit = gate.take(seconds(3.2)).unwrap();
        gate.settle(&permit, Ok(()), seconds(4.2));
        assert!(gate.rate().unwrap() > 4.0, "grows again with success");
    }

    #[test]
    fn an_unlimited_account_learns_a_limit() {
        let mut gate = throttle(0.0, 10, 1000);
        for step in 0..100 {
            let now = seconds(f64::from(step) / 100.0);
            let permit = gate.take(now).unwrap();
            gate.settle(&permit, Ok(()), now);
        }
        let permit = gate.take(seconds(0.999)).unwrap();
        gate.settle(
            &permit,
            Err(&CouldNotAsk::RateLimited { wait: None }),
            seconds(0.999),
        );
        let rate = gate.rate().unwrap();
        assert!((45.0..=55.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_limit_met_at_the_beginning_of_a_second_is_measured_by_the_one_before() {
        let mut gate = throttle(0.0, 10, 1000);
        for step in 0..=100 {
            let now = seconds(f64::from(step) / 100.0);
            let permit = gate.take(now).unwrap();
            gate.settle(&permit, Ok(()), now);
        }
        let permit = gate.take(seconds(1.001)).unwrap();
        let limited = CouldNotAsk::RateLimited { wait: None };
        gate.settle(&permit, Err(&limited), seconds(1.002));
        let rate = gate.rate().unwrap();
        assert!((45.0..=55.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_reserved_permit_is_left_by_others_and_comes_within_the_budget() {
        let limits = Limits {
            requests_per_second: 5.0,
            burst: 2,
            max_in_flight: 2,
        };
        let gate = Gate::new(limits, START);
        let busy = gate.lock().take(START).unwrap();
        let reservation = gate.reserve();
        assert_eq!(gate.lock().take(START).unwrap_err(), None, "the last slot");
        assert_eq!(gate.lock().room(START), 0);
        let kept = reservation.take(START).unwrap();
        drop(reservation);
        gate.lock().settle(&busy, Ok(()), START);
        assert!(gate.lock().take(START).is_err(), "the burst is used up");
        gate.lock().settle(&kept, Ok(()), START);
        let second = gate.reserve();
        assert!(
            gate.lock().take(seconds(0.2)).is_err(),
            "the next token is kept"
        );
        drop(second);
        assert!(gate.lock().take(seconds(0.2)).is_ok());
    }

    #[test]
    fn a_stopped_account_is_probed_in_spite_of_a_reservation_and_only_so() {
        let limits = Limits {
            requests_per_second: 0.0,
            burst: 1,
            max_in_flight: 1,
        };
        let gate = Gate::new(limits, START);
        let permit = gate.lock().take(START).unwrap();
        let refused = CouldNotAsk::KeyRefused("HTTP 401".into());
        gate.lock().settle(&permit, Err(&refused), START);
        let reservation = gate.reserve();
        let later = seconds(10.0);
        assert!(reservation.take(later).is_err(), "probes are the poller's");
        assert!(gate.lock().take(later).unwrap().probe);
    }
}
