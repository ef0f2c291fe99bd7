//! Time as a parameter: the system's clock, one that another clock corrects, or one that a test controls.

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

/// A clock whose wall time follows another one, such as a database's. Until it is corrected, it is the
/// clock beneath.
pub struct CorrectedClock {
    beneath: Arc<dyn Clock>,
    ahead_ms: AtomicI64,
}

impl CorrectedClock {
    /// Over the machine's clock.
    pub fn of_system() -> Arc<Self> {
        Self::over(Arc::new(SystemClock::new()))
    }

    /// Over another clock.
    pub fn over(beneath: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            beneath,
            ahead_ms: AtomicI64::new(0),
        })
    }

    /// The wall time of the clock beneath.
    pub fn uncorrected(&self) -> UnixMillis {
        self.beneath.now()
    }

    /// Follows a clock that showed `shown` at some moment between two times of the clock beneath. The
    /// correction changes only as far as that proves it wrong, so slow answers add no error. Returns by how
    /// much it changed, in milliseconds.
    pub fn correct(&self, asked: UnixMillis, shown: UnixMillis, answered: UnixMillis) -> i64 {
        let least = shown.0.saturating_sub(answered.0);
        let most = shown.0.saturating_sub(asked.0).max(least);
        let before = self.ahead_ms.load(Ordering::Relaxed);
        let ahead = before.clamp(least, most);
        self.ahead_ms.store(ahead, Ordering::Relaxed);
        ahead.saturating_sub(before)
    }
}

#[async_trait]
impl Clock for CorrectedClock {
    fn now(&self) -> UnixMillis {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        UnixMillis(self.beneath.now().0.saturating_add(ahead))
    }

    fn monotonic(&self) -> Duration {
        self.beneath.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.beneath.sleep(duration).await;
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

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn clocks() -> (Arc<ManualClock>, Arc<CorrectedClock>) {
        let beneath = Arc::new(ManualClock::at(NOW));
        let corrected = CorrectedClock::over(Arc::clone(&beneath) as Arc<dyn Clock>);
        (beneath, corrected)
    }

    #[test]
    fn a_corrected_clock_shows_the_other_clock_and_goes_on_by_itself() {
        let (beneath, clock) = clocks();
        assert_eq!(clock.now(), NOW);
        clock.correct(NOW, UnixMillis(NOW.0 - 600_000), NOW);
        assert_eq!(clock.now(), UnixMillis(NOW.0 - 600_000));
        beneath.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), UnixMillis(NOW.0 - 599_000));
        assert_eq!(clock.uncorrected(), UnixMillis(NOW.0 + 1000));
    }

    #[test]
    fn a_slow_answer_corrects_only_what_it_proves_wrong() {
        let (_, clock) = clocks();
        let answered = UnixMillis(NOW.0 + 9000);
        assert_eq!(clock.correct(NOW, UnixMillis(NOW.0 + 4000), answered), 0);
        assert_eq!(
            clock.correct(NOW, UnixMillis(NOW.0 - 1000), answered),
            -1000
        );
        assert_eq!(
            clock.correct(NOW, UnixMillis(NOW.0 + 20_000), answered),
            12_000
        );
    }
}
