//! Growing retry delays: between probes of an account whose requests fail, between attempts to use a
//! database that fails. The only file that uses the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// A series of retry delays, each longer than the one before up to a maximum, without end.
#[derive(Debug)]
pub struct Waits {
    backoff: ExponentialBackoff,
    greatest: Duration,
}

impl Waits {
    /// Delays that start with `first` and grow by `factor` up to `greatest`.
    pub fn new(first: Duration, factor: f64, greatest: Duration) -> Self {
        let backoff = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            // No jitter here: simulations need the same delays each time.
            randomization_factor: 0.0,
            multiplier: factor,
            max_interval: greatest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { backoff, greatest }
    }

    /// Delays between probes of an account: 2 seconds to 5 minutes. The end of an outage is noticed
    /// within half the time it lasted.
    pub fn of_probes() -> Self {
        Self::new(Duration::from_secs(2), 1.5, Duration::from_mins(5))
    }

    /// Delays between attempts to use the database: 100 ms to 5 seconds.
    pub fn of_database() -> Self {
        Self::new(Duration::from_millis(100), 2.0, Duration::from_secs(5))
    }

    /// Delays between attempts to deliver to a sink that takes nothing: 200 ms to 5 seconds.
    pub fn of_sinks() -> Self {
        Self::new(Duration::from_millis(200), 2.0, Duration::from_secs(5))
    }

    /// The next delay.
    pub fn next_wait(&mut self) -> Duration {
        self.backoff.next_backoff().unwrap_or(self.greatest)
    }

    /// Starts again with the first delay.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_maximum_and_never_end() {
        let mut waits = Waits::new(Duration::from_secs(2), 1.5, Duration::from_secs(10));
        let seconds: Vec<f64> = (0..7).map(|_| waits.next_wait().as_secs_f64()).collect();
        assert_eq!(seconds, [2.0, 3.0, 4.5, 6.75, 10.0, 10.0, 10.0]);
        waits.reset();
        assert_eq!(waits.next_wait(), Duration::from_secs(2));
    }
}
