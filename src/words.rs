//! Times and money as short text for people.

use std::time::Duration;

use crate::domain::invoice::{Invoice, PollPlan};
use crate::domain::money::Money;
use crate::domain::time::UnixMillis;

/// A duration in its largest sensible unit: `12 s`, `3 min`, `5 h`, `2 d`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A measured duration: `350 ms`, `2.7 s`, then as `span`.
pub fn measured(duration: Duration) -> String {
    match duration.as_millis() {
        0..1000 => format!("{} ms", duration.as_millis()),
        1000..10_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => span(duration),
    }
}

/// The distance of `at` from `now`: `in 12 s`, `3 min ago`, `now`.
pub fn relative(at: UnixMillis, now: UnixMillis) -> String {
    let (ahead, behind) = (at.since(now), now.since(at));
    if ahead >= Duration::from_secs(1) {
        format!("in {}", span(ahead))
    } else if behind >= Duration::from_secs(1) {
        format!("{} ago", span(behind))
    } else {
        "now".to_owned()
    }
}

/// The time itself, and its distance from `now`.
pub fn absolute(at: UnixMillis, now: UnixMillis) -> String {
    format!("{at} ({})", relative(at, now))
}

pub fn money(money: &Money) -> String {
    format!("{} {}", money.value, money.currency)
}

/// The expected amount, or nothing.
pub fn amount(invoice: &Invoice) -> String {
    invoice.facts.amount.as_ref().map(money).unwrap_or_default()
}

/// The time of the next poll, for a table cell.
pub fn next_poll(schedule: &PollPlan, now: UnixMillis) -> String {
    match schedule.next_poll_at {
        None => "never".to_owned(),
        Some(UnixMillis(0 | 1)) => "now".to_owned(),
        Some(at) if at <= now => format!("due {}", relative(at, now)),
        Some(at) => relative(at, now),
    }
}

/// `1 event`, `2 events`.
pub fn counted(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_one_unit() {
        let told = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [0, 119, 120, 7199, 7200, 172_799, 172_800].map(told),
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]
        );
        assert_eq!(measured(Duration::from_millis(2749)), "2.7 s");
        assert_eq!(measured(Duration::from_millis(350)), "350 ms");
    }

    #[test]
    fn times_are_shown_relative_to_now() {
        let now = UnixMillis(1_000_000);
        assert_eq!(relative(UnixMillis(1_012_000), now), "in 12 s");
        assert_eq!(relative(UnixMillis(760_000), now), "4 min ago");
        assert_eq!(relative(UnixMillis(999_500), now), "now");
    }
}
