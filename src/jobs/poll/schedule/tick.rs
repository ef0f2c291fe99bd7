//! Compact times for the schedule.

use std::time::Duration;

/// Hundredths of a second of the monotonic clock: enough for 490 days of running.
pub(in crate::jobs::poll) type Tick = u32;

/// The tick that contains a time of the monotonic clock.
pub(in crate::jobs::poll) fn tick(at: Duration) -> Tick {
    u32::try_from(at.as_millis() / 10).unwrap_or(u32::MAX)
}

/// The start of a tick.
pub(in crate::jobs::poll) fn tick_begin(tick: Tick) -> Duration {
    Duration::from_millis(u64::from(tick) * 10)
}
