//! A configuration: it is taken, and then every value lies within its range, or refused in words.

use std::ops::RangeBounds;
use std::time::Duration;

use payrecond::config::{Config, Environment};

use super::is_one_harmless_line;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const H: Duration = Duration::from_hours(1);

/// # Panics
/// When a law does not hold.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text, &Environment::default()) {
        Ok(config) => holds(&config),
        Err(error) => {
            assert!(!error.problems().is_empty());
            for problem in error.problems() {
                let lines = problem.lines();
                assert!(
                    lines.clone().count() > 0 && lines.clone().all(is_one_harmless_line),
                    "{problem:?}"
                );
            }
        }
    }
}

fn holds(config: &Config) {
    let polling = &config.polling;
    within(polling.intake_interval, 50 * MS..=60 * S);
    within(polling.min_interval, 100 * MS..=H);
    within(polling.max_interval, polling.min_interval..=240 * H);
    within(polling.age_factor, 0.0..=10.0);
    within(polling.jitter, 0.0..=0.5);
    assert!(polling.checks_after_expiry.is_sorted_by(|a, b| a < b));
    within(config.http.connect_timeout, 100 * MS..=300 * S);
    within(config.http.request_timeout, 100 * MS..=300 * S);
    within(config.http.max_response_bytes, 64 << 10..=1 << 30);
    for kept in [config.retention.outbox, config.retention.invoices] {
        assert!(kept.is_none_or(|kept| kept >= H), "{kept:?}");
    }
    assert!(!config.accounts.is_empty());
    for account in &config.accounts {
        within(account.name.len(), 1..=32);
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        assert!(account.name.bytes().all(allowed), "{}", account.name);
        within(account.requests_per_second, 0.0..=10_000.0);
        within(account.burst, 1..=10_000);
        within(account.max_in_flight, 1..=10_000);
        assert!(matches!(account.base_url.scheme(), "https" | "http"));
    }
}

fn within<T: Copy + PartialOrd + std::fmt::Debug>(
    value: T,
    range: impl RangeBounds<T> + std::fmt::Debug,
) {
    assert!(range.contains(&value), "{value:?} is not within {range:?}");
}
