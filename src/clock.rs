//! Time as a parameter: the system's clock, or one that a test controls.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::time::UnixMillis;

/// Two clocks of different kinds: the wall clock may jump, the monotonic one never does.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Wall clock: for what is stored and compared with a provider's times.
    fn now(&self) -> UnixMillis;

    /// Time since some fixed point: for intervals, rate limits and delays.
    fn monotonic(&self) -> Duration;

    /// Returns after `duration` of monotonic time.
    async fn sleep(&self, duration: Duration);

    /// Sets the wall clock by another one, if this clock follows one: that clock showed `now` at some
    /// moment within the last `took`.
    fn follow(&self, now: UnixMillis, took: Duration) {
        let _ = (now, took);
    }
}

/// The machine's clock.
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero here.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn new() -> Self {
        Self {
            started: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> UnixMillis {
        UnixMillis(jiff::Timestamp::now().as_millisecond())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Differences up to this are left alone, so that times do not jump back and forth.
const FOLLOWS_WITHIN_MS: i64 = 250;

/// A clock whose wall time can follow the clock of a database, which counts for all daemons on it.
pub struct FollowingClock {
    own: Arc<dyn Clock>,
    /// What is added to its own wall clock.
    correction_ms: AtomicI64,
}

impl FollowingClock {
    /// `own` as it is, until it follows another one.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        Self {
            own,
            correction_ms: AtomicI64::new(0),
        }
    }
}

#[async_trait]
impl Clock for FollowingClock {
    fn now(&self) -> UnixMillis {
        let correction = self.correction_ms.load(Ordering::Relaxed);
        UnixMillis(self.own.now().0.saturating_add(correction))
    }

    fn monotonic(&self) -> Duration {
        self.own.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.own.sleep(duration).await;
    }

    fn follow(&self, now: UnixMillis, took: Duration) {
        let (shown, latest) = (self.now(), now.plus(took));
        let is_near = shown.0 >= now.0.saturating_sub(FOLLOWS_WITHIN_MS)
            && shown.0 <= latest.0.saturating_add(FOLLOWS_WITHIN_MS);
        if is_near {
            return;
        }
        let correction = now.plus(took / 2).0.saturating_sub(self.own.now().0);
        self.correction_ms.store(correction, Ordering::Relaxed);
        tracing::warn!(
            correction_ms = correction,
            "clock differs from the database's; following that one"
        );
    }
}

/// A clock that stands still until a test moves it. `sleep` moves it by the requested duration.
pub struct ManualClock {
    hands: Mutex<(UnixMillis, Duration)>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: UnixMillis) -> Self {
        Self {
            hands: Mutex::new((now, Duration::ZERO)),
        }
    }

    /// Advances both clocks.
    pub fn advance(&self, duration: Duration) {
        let mut hands = self.lock();
        hands.0 = hands.0.plus(duration);
        hands.1 += duration;
    }

    /// Sets only the wall clock, forward or back.
    pub fn set_wall(&self, now: UnixMillis) {
        self.lock().0 = now;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (UnixMillis, Duration)> {
        self.hands
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_follows_another_one_that_differs_by_more_than_the_answer_took() {
        let own = Arc::new(ManualClock::at(UnixMillis(1_000_000)));
        let clock = FollowingClock::new(Arc::clone(&own) as Arc<dyn Clock>);
        let took = Duration::from_millis(600);
        clock.follow(UnixMillis(999_500), took);
        assert_eq!(clock.now(), UnixMillis(1_000_000), "within the answer");
        clock.follow(UnixMillis(1_090_000), took);
        assert_eq!(clock.now(), UnixMillis(1_090_300));
        own.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), UnixMillis(1_091_300));
        own.set_wall(UnixMillis(2_000_000));
        clock.follow(UnixMillis(1_092_000), Duration::ZERO);
        assert_eq!(clock.now(), UnixMillis(1_092_000), "its own clock was set");
    }
}
