//! When to poll an invoice again.
//!
//! The delay grows with the age of the invoice: `age * age_factor`, limited to the range from the
//! minimum to the maximum interval. So a payment is found after about a tenth of the time the payer
//! took, and an invoice that is never paid costs few requests. Fixed polls follow shortly after the
//! expiry, when the provider has expired its orders and late payments appear.

use std::time::Duration;

use super::invoice::Invoice;
use super::state::Status;
use super::time::UnixMillis;

/// Time is counted in whole milliseconds; a shorter delay would be zero.
const SHORTEST: Duration = Duration::from_millis(1);

/// The rules, from `[polling]` of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Cadence {
    /// Minimum interval.
    pub min_interval: Duration,
    /// Delay as a fraction of the age.
    pub age_factor: f64,
    /// Maximum interval while an order can still change.
    pub max_interval: Duration,
    /// Fraction of the interval, 0 to 0.5, by which a poll is moved at random, earlier or later.
    pub jitter: f64,
    /// Fixed polls, as delays after the expiry, in ascending order.
    pub checks_after_expiry: Vec<Duration>,
}

/// The rule that set the time of the next poll; shown by `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The interval for the invoice's age.
    Age,
    /// A fixed poll this long after the expiry.
    AfterExpiry(Duration),
}

impl Cadence {
    /// The time of the next poll of `row`, computed at `now`; None = never. `roll` in 0..1 selects
    /// the point within the jitter.
    pub fn next_poll(&self, row: &Invoice, now: UnixMillis, roll: f64) -> Option<UnixMillis> {
        self.next_poll_because(row, now, roll).map(|(at, _)| at)
    }

    /// Like `next_poll`, with the rule that set the time.
    pub fn next_poll_because(
        &self,
        row: &Invoice,
        now: UnixMillis,
        roll: f64,
    ) -> Option<(UnixMillis, Because)> {
        let anchor = self.next_anchor(row, now);
        match row.facts.status {
            Status::Paid | Status::Rejected => None,
            // Fixed polls are relative to a stored time; if the clock was set back since, they are
            // too far ahead.
            Status::Expired | Status::Cancelled => {
                let furthest = now.plus(self.horizon(row.facts.status));
                anchor.map(|(at, because)| (at.min(furthest), because))
            }
            Status::Requested | Status::Pending | Status::Review => {
                let by_age = (now.plus(self.interval(row, now, roll)), Because::Age);
                Some(
                    anchor
                        .filter(|anchor| anchor.0 < by_age.0)
                        .unwrap_or(by_age),
                )
            }
        }
    }

    /// The next poll of an open order, computed from the little that is kept in memory for up to a
    /// million of them: when the row was inserted, and when the order expires.
    pub fn next_poll_while_open(
        &self,
        created_at: UnixMillis,
        expiry: UnixMillis,
        now: UnixMillis,
        roll: f64,
    ) -> UnixMillis {
        let by_age = now.plus(self.interval_at(created_at, now, roll));
        let anchor = self.next_anchor_after(expiry, now);
        anchor.map_or(by_age, |(at, _)| at.min(by_age))
    }

    /// The next poll after one that failed because of the order itself: the interval doubles with
    /// each failure in a row, up to the maximum. It is never None, even after the last fixed poll
    /// of an ended order, because a failed poll must be repeated.
    pub fn after_failure(&self, row: &Invoice, now: UnixMillis, roll: f64) -> UnixMillis {
        let doublings = u32::try_from(row.schedule.failures.clamp(0, 31)).unwrap_or(31);
        let backed_off = self
            .min_interval
            .saturating_mul(1 << doublings)
            .min(self.max_interval);
        now.plus(
            self.jittered(backed_off, roll)
                .max(self.interval(row, now, roll)),
        )
    }

    /// The next poll after one that failed because of the account, not the order: the interval for
    /// the invoice's age, without backoff.
    pub fn after_account_failure(&self, row: &Invoice, now: UnixMillis, roll: f64) -> UnixMillis {
        now.plus(self.interval(row, now, roll))
    }

    /// The furthest ahead that a poll of an invoice in this status can be planned. A plan further
    /// ahead means that the clock was set back.
    pub fn horizon(&self, status: Status) -> Duration {
        let last_anchor = self
            .checks_after_expiry
            .iter()
            .max()
            .copied()
            .unwrap_or_default();
        let interval = self.jittered(self.max_interval, 1.0);
        match status {
            Status::Expired | Status::Cancelled => last_anchor.max(interval),
            Status::Requested | Status::Pending | Status::Review => interval,
            Status::Paid | Status::Rejected => Duration::ZERO,
        }
    }

    fn interval(&self, row: &Invoice, now: UnixMillis, roll: f64) -> Duration {
        self.interval_at(row.created_at, now, roll)
    }

    fn interval_at(&self, created_at: UnixMillis, now: UnixMillis, roll: f64) -> Duration {
        let age_s = now.since(created_at).as_secs_f64();
        let wanted = Duration::try_from_secs_f64(age_s * self.age_factor).unwrap_or(Duration::MAX);
        let within = wanted.max(self.min_interval).min(self.max_interval);
        self.jittered(within, roll)
    }

    /// `interval` moved by the jitter; never zero, which would repeat the poll at once. An interval
    /// that overflows `Duration` stays as it is.
    fn jittered(&self, interval: Duration, roll: f64) -> Duration {
        let share = 1.0 + self.jitter * (2.0 * roll.clamp(0.0, 1.0) - 1.0);
        Duration::try_from_secs_f64(interval.as_secs_f64() * share)
            .unwrap_or(interval)
            .max(SHORTEST)
    }

    /// The first fixed poll still ahead. For an order that ended before its expiry (cancelled), the
    /// delays count from the time that we recorded its end.
    fn next_anchor(&self, row: &Invoice, now: UnixMillis) -> Option<(UnixMillis, Because)> {
        let expiry = row.expiry();
        let base = row.facts.ended_at.map_or(expiry, |ended| ended.min(expiry));
        self.next_anchor_after(base, now)
    }

    fn next_anchor_after(
        &self,
        base: UnixMillis,
        now: UnixMillis,
    ) -> Option<(UnixMillis, Because)> {
        self.checks_after_expiry
            .iter()
            .map(|&after| (base.plus(after), Because::AfterExpiry(after)))
            .filter(|anchor| anchor.0 > now)
            .min_by_key(|anchor| anchor.0)
    }
}

impl Default for Cadence {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            min_interval: secs(3),
            age_factor: 0.1,
            max_interval: secs(600),
            jitter: 0.1,
            checks_after_expiry: [1, 30, 120, 600, 3600, 86_400].map(secs).to_vec(),
        }
    }
}
