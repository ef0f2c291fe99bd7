//! Durations as people write them here: a whole number and one unit.

use std::ops::RangeInclusive;
use std::time::Duration;

const UNITS: [&str; 5] = ["ms", "s", "m", "h", "d"];

/// A duration such as `250ms`, `3s`, `10m`, `24h` or `10d`; `None` for any other text. Other units of
/// humantime are refused: its `M` is a month, too easily typed for `m`.
pub fn parse(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if unit.len() == text.len() || !UNITS.contains(&unit) {
        return None;
    }
    humantime::parse_duration(text).ok()
}

/// The duration in the form that [`parse`] reads, in the largest exact unit; parts below a millisecond
/// are left out.
pub fn format(duration: Duration) -> String {
    let ms = duration.as_millis();
    let (unit_ms, unit) = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ]
    .into_iter()
    .find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms))
    .unwrap_or((1, "ms"));
    format!("{}{unit}", ms / unit_ms)
}

pub(super) fn expected(range: &RangeInclusive<Duration>) -> String {
    let from = format(*range.start());
    let to = format(*range.end());
    format!("a duration such as \"3s\", from \"{from}\" to \"{to}\" (units: ms, s, m, h, d)")
}
