//! The daemon's duties, one file each. Each can be turned once by hand; timers only trigger.

pub mod feed;
pub mod intake;
pub mod poll;
pub mod retention;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The sign of life of a duty: beaten at each turn, whether or not there was something to do. A
/// duty that stops beating hangs; a provider that does not answer stops nothing.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Beats at `now` of the monotonic clock.
    pub fn beat(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    /// How long ago the last beat was.
    pub fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}
