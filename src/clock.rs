//! Time as a parameter: the system's clock, or one that a test controls.

use std::sync::Mutex;
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
