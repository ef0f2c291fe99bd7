//! Waits that grow: between probes of an account that does not answer, between tries of a database
//! that cannot be used. The only file that knows the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// A row of waits, each longer than the one before up to a greatest, without end.
#[derive(Debug)]
pub struct Waits {
    backoff: ExponentialBackoff,
    greatest: Duration,
}

impl Waits {
    /// Waits that begin with `first` and grow by `factor` up to `greatest`.
    pub fn new(first: Duration, factor: f64, greatest: Duration) -> Self {
        let backoff = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            // Waits are moved by nobody but the caller: simulations need them the same each time.
            randomization_factor: 0.0,
            multiplier: factor,
            max_interval: greatest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { backoff, greatest }
    }

    /// Probes of an account: at first after 2 seconds, at most 5 minutes apart. After an outage it
    /// is noticed within half the time it took.
    pub fn of_probes() -> Self {
        Self::new(Duration::from_secs(2), 1.5, Duration::from_mins(5))
    }

    /// Tries of a database: 100 ms to 5 seconds apart.
    pub fn of_database() -> Self {
        Self::new(Duration::from_millis(100), 2.0, Duration::from_secs(5))
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.backoff.next_backoff().unwrap_or(self.greatest)
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_greatest_and_never_end() {
        let mut waits = Waits::new(Duration::from_secs(2), 1.5, Duration::from_secs(10));
        let seconds: Vec<f64> = (0..7).map(|_| waits.next_wait().as_secs_f64()).collect();
        assert_eq!(seconds, [2.0, 3.0, 4.5, 6.75, 10.0, 10.0, 10.0]);
        waits.reset();
        assert_eq!(waits.next_wait(), Duration::from_secs(2));
    }
}
