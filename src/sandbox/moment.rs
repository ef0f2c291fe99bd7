//! Time in the sandbox, and the providers' formats of times.
//!
//! A Java `Instant` prints 0, 3, 6 or 9 digits of a second, the fewest that lose nothing. A client
//! with a fixed format string must fail here, not in production.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::StdFmtWrite;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};

/// A point in time: nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// The wall clock. The only place where the sandbox reads it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the sandbox plays another machine, whose clock is not the daemon's to hold"
    )]
    pub fn now() -> Moment {
        Moment(i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
    }

    /// `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Moment {
        Moment(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// This moment and `span` more; stops at the end of time (the year 2262).
    #[must_use]
    pub fn plus(self, span: Duration) -> Moment {
        let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Moment(self.0.saturating_add(nanos))
    }

    /// This moment and `span` less.
    #[must_use]
    pub fn minus(self, span: Duration) -> Moment {
        let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Moment(self.0.saturating_sub(nanos))
    }

    /// From `earlier` to this moment; nothing when it lies later.
    pub fn since(self, earlier: Moment) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }

    /// Parses ISO 8601 with a zone.
    pub fn parse(text: &str) -> Option<Moment> {
        let at: Timestamp = text.parse().ok()?;
        Some(Moment(i64::try_from(at.as_nanosecond()).ok()?))
    }

    /// Always with three digits of a second: `2026-02-18T15:12:54.680Z`.
    pub fn to_millis_text(self) -> String {
        let at = Timestamp::from_nanosecond(i128::from(self.truncated(3).0));
        let mut text = String::new();
        let _ = PRINTERS[1]
            .print_timestamp(&at.unwrap_or(Timestamp::UNIX_EPOCH), StdFmtWrite(&mut text));
        text
    }

    /// Cut down to `digits` digits of a second.
    #[must_use]
    pub fn truncated(self, digits: u32) -> Moment {
        let unit = 10_i64.pow(9_u32.saturating_sub(digits));
        Moment(self.0 - self.0.rem_euclid(unit))
    }
}

static PRINTERS: [DateTimePrinter; 4] = [
    DateTimePrinter::new().precision(Some(0)),
    DateTimePrinter::new().precision(Some(3)),
    DateTimePrinter::new().precision(Some(6)),
    DateTimePrinter::new().precision(Some(9)),
];

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = self.0.rem_euclid(1_000_000_000);
        let printer = match fraction {
            0 => &PRINTERS[0],
            n if n % 1_000_000 == 0 => &PRINTERS[1],
            n if n % 1_000 == 0 => &PRINTERS[2],
            _ => &PRINTERS[3],
        };
        // 64 bits of nanoseconds end in 2262, always within the range of `Timestamp`.
        let at = Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(Timestamp::UNIX_EPOCH);
        printer
            .print_timestamp(&at, StdFmtWrite(f))
            .map_err(|_| fmt::Error)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_0_3_6_or_9_digits() {
        let base = 1_713_711_864_000_000_000;
        let text = |fraction: i64| Moment::from_nanos(base + fraction).to_string();
        assert_eq!(text(0), "2024-04-21T15:04:24Z");
        assert_eq!(text(92_000_000), "2024-04-21T15:04:24.092Z");
        assert_eq!(text(100_000_000), "2024-04-21T15:04:24.100Z");
        assert_eq!(text(991_000), "2024-04-21T15:04:24.000991Z");
        assert_eq!(text(1), "2024-04-21T15:04:24.000000001Z");
        let millis = |fraction: i64| Moment::from_nanos(base + fraction).to_millis_text();
        assert_eq!(millis(0), "2024-04-21T15:04:24.000Z");
        assert_eq!(millis(92_999_999), "2024-04-21T15:04:24.092Z");
        assert_eq!(
            Moment::parse("2024-04-21T18:04:24+03:00"),
            Some(Moment::from_nanos(base))
        );
    }

    #[test]
    fn truncation_never_goes_forward() {
        let moment = Moment::from_nanos(1_999_999_999);
        assert_eq!(moment.truncated(0).nanos(), 1_000_000_000);
        assert_eq!(moment.truncated(3).nanos(), 1_999_000_000);
        assert_eq!(moment.truncated(9), moment);
    }
}
