//! Points in time: unix milliseconds, UTC, as every `*_at` column holds them.

use std::fmt;
use std::time::Duration;

/// Unix milliseconds, UTC. Arithmetic saturates: no duration and no clock can overflow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Parses an RFC 3339 time. Providers write fractions of 0 to 9 digits; digits below a
    /// millisecond are cut.
    pub fn parse(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self(time.as_millisecond()))
    }

    /// Parses a date and a time of day without a zone, for providers that mean UTC: `2026-01-01
    /// 12:00:00.000000`. A time with a zone is parsed as such.
    pub fn parse_without_zone(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let time: jiff::civil::DateTime = text.trim().parse().ok()?;
            let time = jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?;
            Some(Self(time.as_millisecond()))
        })
    }

    /// The day in UTC: year, month and day of the month.
    pub fn utc_date(self) -> (i16, i8, i8) {
        let date = jiff::tz::TimeZone::UTC.to_datetime(timestamp(self)).date();
        (date.year(), date.month(), date.day())
    }

    /// Time since `earlier`; zero if the clock was set back in between.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The point `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The point `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// RFC 3339 with three digits of fraction: `2026-11-21T20:44:00.123Z`. A time outside the years of
/// the format is shown as the nearest valid one.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", timestamp(*self))
    }
}

/// The same time, or the nearest one that the calendar can represent.
fn timestamp(at: UnixMillis) -> jiff::Timestamp {
    let limits = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
    let millis = at.0.clamp(*limits.start(), *limits.end());
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Whole milliseconds of a duration, at most `i64::MAX`.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_fraction_is_parsed() {
        for (text, millis) in [
            ("2019-08-24T14:15:22Z", 1_566_656_122_000),
            ("2024-04-21T15:03:10.5Z", 1_713_711_790_500),
            ("2024-04-21T15:04:24.092Z", 1_713_711_864_092),
            ("2024-05-01T07:53:56.000991Z", 1_714_550_036_000),
            ("2026-04-15T10:00:00.123456789Z", 1_776_247_200_123),
        ] {
            assert_eq!(UnixMillis::parse(text), Some(UnixMillis(millis)), "{text}");
        }
        for text in ["", "yesterday", "2024-05-01", "1714550036000"] {
            assert_eq!(UnixMillis::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_without_zone_is_read_as_utc() {
        for (text, millis) in [
            ("2024-08-22 11:49:59.756692", 1_724_327_399_756),
            ("2023-01-02 12:00:00", 1_672_660_800_000),
            ("2023-01-02T12:00:00", 1_672_660_800_000),
            ("2023-01-02T12:00:00Z", 1_672_660_800_000),
            ("2023-01-02T15:00:00+03:00", 1_672_660_800_000),
        ] {
            let read = UnixMillis::parse_without_zone(text);
            assert_eq!(read, Some(UnixMillis(millis)), "{text}");
        }
        for text in ["", "None", "1672660800", "2023-13-01 00:00:00"] {
            assert_eq!(UnixMillis::parse_without_zone(text), None, "{text}");
        }
        assert_eq!(UnixMillis(1_672_660_799_999).utc_date(), (2023, 1, 2));
        assert_eq!(UnixMillis(1_672_703_999_999).utc_date(), (2023, 1, 2));
        assert_eq!(UnixMillis(1_672_704_000_000).utc_date(), (2023, 1, 3));
        assert_eq!(UnixMillis(i64::MIN).utc_date().0, -9999);
    }

    #[test]
    fn a_time_is_shown_with_three_digits() {
        assert_eq!(
            UnixMillis(1_713_711_864_000).to_string(),
            "2024-04-21T15:04:24.000Z"
        );
        assert!(!UnixMillis(i64::MAX).to_string().is_empty());
        assert!(!UnixMillis(i64::MIN).to_string().is_empty());
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(
            UnixMillis(i64::MAX).plus(Duration::MAX),
            UnixMillis(i64::MAX)
        );
        assert_eq!(
            UnixMillis(i64::MIN).minus(Duration::MAX),
            UnixMillis(i64::MIN)
        );
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
    }
}
