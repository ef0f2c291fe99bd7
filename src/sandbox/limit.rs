//! The request limit of the simulated provider: a bucket of one second's worth of requests.

use std::time::Duration;

use super::moment::Moment;

/// Refills by `per_second` up to that many (at least one); each request takes one.
pub(super) struct Bucket {
    per_second: f64,
    level: f64,
    at: Option<Moment>,
}

impl Bucket {
    /// `per_second` is above zero.
    pub fn new(per_second: f64) -> Bucket {
        Bucket {
            per_second,
            level: per_second.max(1.0),
            at: None,
        }
    }

    /// Takes one request, or returns how long until there is room for one.
    pub fn take(&mut self, now: Moment) -> Result<(), Duration> {
        let last = self.at.replace(now).unwrap_or(now);
        let passed =
            Duration::from_nanos(u64::try_from(now.nanos() - last.nanos()).unwrap_or_default());
        self.level =
            (self.level + passed.as_secs_f64() * self.per_second).min(self.per_second.max(1.0));
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        Err(
            Duration::try_from_secs_f64((1.0 - self.level) / self.per_second)
                .unwrap_or(Duration::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_second_of_requests_may_come_at_once() {
        let mut bucket = Bucket::new(3.0);
        let start = Moment::from_nanos(0);
        let passed = (0..10).filter(|_| bucket.take(start).is_ok()).count();
        assert_eq!(passed, 3);
        assert!(bucket.take(start).unwrap_err() <= Duration::from_millis(334));
        assert!(bucket.take(start.plus(Duration::from_millis(400))).is_ok());
        assert!(bucket.take(start.plus(Duration::from_millis(400))).is_err());
    }

    #[test]
    fn slow_limits_still_let_one_through() {
        let mut bucket = Bucket::new(0.1);
        assert!(bucket.take(Moment::from_nanos(0)).is_ok());
        assert!(bucket.take(Moment::from_nanos(9_000_000_000)).is_err());
        assert!(bucket.take(Moment::from_nanos(10_100_000_000)).is_ok());
    }
}
