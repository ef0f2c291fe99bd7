//! When to poll again.
//!
//! The delay grows with the age of the invoice: `age * age_factor`, between the least and the
//! greatest interval. So a payment is found after about a tenth of the time it took, and a bill
//! nobody pays costs few requests. Fixed polls follow just after the expiry, where a provider's
//! own sweep and late payments show.

use std::time::Duration;

use super::invoice::Invoice;
use super::state::Status;
use super::time::UnixMillis;

/// Time is counted in whole milliseconds: what is shorter would be no time at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// The rules, from `[polling]` of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Cadence {
    /// Never sooner than this.
    pub min_interval: Duration,
    /// Delay per age.
    pub age_factor: f64,
    /// Never later than this, while an order can still change.
    pub max_interval: Duration,
    /// Share of the interval by which it is moved, either way: 0 to 0.5.
    pub jitter: f64,
    /// Polls after the expiry, as distances from it, rising.
    pub checks_after_expiry: Vec<Duration>,
}

/// Why the next poll is when it is; `why` tells it to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The interval that its age gives.
    Age,
    /// A fixed poll this long after the expiry.
    AfterExpiry(Duration),
}

impl Cadence {
    /// The next poll at `row`, decided at `now`; None = never again. `roll` in 0..1 places it
    /// within the jitter.
    pub fn next_poll(&self, row: &Invoice, now: UnixMillis, roll: f64) -> Option<UnixMillis> {
        self.next_poll_because(row, now, roll).map(|(at, _)| at)
    }

    /// As `next_poll`, with the rule that gave it.
    pub fn next_poll_because(
        &self,
        row: &Invoice,
        now: UnixMillis,
        roll: f64,
    ) -> Option<(UnixMillis, Because)> {
        let anchor = self.next_anchor(row, now);
        match row.facts.status {
            Status::Paid | Status::Rejected => None,
            // Anchors hang on a stored time: where the clock went back since, they lie too far off.
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

    /// The next poll at an order that waits for money, from the little that is kept of a million of
    /// them: when its row was inserted, and when it ends.
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

    /// The poll after one that failed and was the order's own fault: the interval
    /// doubles with each in a row, up to the greatest. There is always one, also after the last
    /// fixed poll at an ended order: a failed poll is made up for, it does not count as made.
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

    /// The poll after one that the account's own trouble prevented: nobody's fault, so only the
    /// interval of its age. What has an end of polls keeps it.
    pub fn after_account_failure(&self, row: &Invoice, now: UnixMillis, roll: f64) -> UnixMillis {
        now.plus(self.interval(row, now, roll))
    }

    /// The furthest that any plan for a row of this status may lie ahead; one further off comes
    /// from a clock that went back.
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

    /// `interval` moved by its jitter; never zero, or a poll would follow itself at once. What no
    /// `Duration` can hold stays unmoved.
    fn jittered(&self, interval: Duration, roll: f64) -> Duration {
        let share = 1.0 + self.jitter * (2.0 * roll.clamp(0.0, 1.0) - 1.0);
        Duration::try_from_secs_f64(interval.as_secs_f64() * share)
            .unwrap_or(interval)
            .max(SHORTEST)
    }

    /// The first fixed poll that is still ahead. An order that ended before its time (cancelled)
    /// counts from when we said so.
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
