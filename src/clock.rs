//! Time as a parameter: the system's clock, one that another clock corrects, or one that a test controls.

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

/// A clock whose wall time is that of another one, such as a database's, once it has been told. Between two
/// corrections it goes on by the monotonic clock, so a jump of the machine's wall clock changes nothing.
pub struct CorrectedClock {
    beneath: Arc<dyn Clock>,
    /// The time of the last correction, by both clocks.
    told: Mutex<Option<(UnixMillis, Duration)>>,
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
            told: Mutex::new(None),
        })
    }

    /// Follows a clock that showed `shown` between `asked` of the monotonic clock and now. The time changes
    /// only as far as that proves it wrong, so slow answers add no error. Returns by how much it changed,
    /// in milliseconds.
    pub fn correct(&self, asked: Duration, shown: UnixMillis) -> i64 {
        let answered = self.beneath.monotonic();
        let mut told = self.lock();
        let before = self.at(*told, answered);
        let latest = shown.plus(answered.saturating_sub(asked));
        let corrected = before.clamp(shown, latest);
        *told = Some((corrected, answered));
        corrected.0.saturating_sub(before.0)
    }

    fn at(&self, told: Option<(UnixMillis, Duration)>, monotonic: Duration) -> UnixMillis {
        match told {
            Some((wall, then)) => wall.plus(monotonic.saturating_sub(then)),
            None => self.beneath.now(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(UnixMillis, Duration)>> {
        self.told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for CorrectedClock {
    fn now(&self) -> UnixMillis {
        let told = *self.lock();
        self.at(told, self.beneath.monotonic())
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
    fn a_corrected_clock_shows_the_other_clock_and_heeds_no_jump() {
        let (beneath, clock) = clocks();
        assert_eq!(clock.now(), NOW);
        let shown = UnixMillis(NOW.0 - 600_000);
        assert_eq!(clock.correct(Duration::ZERO, shown), -600_000);
        assert_eq!(clock.now(), shown);
        beneath.advance(Duration::from_secs(1));
        beneath.set_wall(UnixMillis(0));
        assert_eq!(clock.now(), shown.plus(Duration::from_secs(1)));
    }

    #[test]
    fn a_slow_answer_corrects_only_what_it_proves_wrong() {
        let (beneath, clock) = clocks();
        beneath.advance(Duration::from_secs(9));
        // Shown at any moment of the nine seconds.
        assert_eq!(clock.correct(Duration::ZERO, UnixMillis(NOW.0 + 4000)), 0);
        assert_eq!(
            clock.correct(Duration::ZERO, UnixMillis(NOW.0 - 1000)),
            -1000
        );
        assert_eq!(
            clock.correct(Duration::ZERO, UnixMillis(NOW.0 + 20_000)),
            12_000
        );
    }
}
