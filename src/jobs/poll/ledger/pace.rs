//! When the ledger of an account is read, and what a reading costs.

use std::time::Duration;

use crate::retry::Waits;

/// Shortest delay between two readings beyond what is due.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// The interval of readings while no invoice is due: refunds are noticed within a minute. Also how old
/// the moment through which everything was shown may be; while it is older, the next reading follows as
/// soon as the limits allow.
pub(super) const READ_EVERY: Duration = Duration::from_secs(30);
/// Approximate length of a transaction in an answer.
const TRANSACTION_BYTES: u64 = 400;

/// Which invoices wait for a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LedgerDemand {
    /// None is due: the ledger is read for paid and ended invoices, and for money of no invoice.
    Beyond,
    /// None is due, in a single pass: nothing is read.
    Nothing,
    /// Some are due.
    Due,
    /// A program asked for a poll of one.
    Nudged,
}

/// When the ledger is read. All times are by the monotonic clock.
pub(super) struct LedgerPace {
    /// When the last complete reading ended.
    read_at: Duration,
    /// When the next one follows if that one left open what happened in the last `READ_EVERY`, since the
    /// end of the ledger was not proved.
    behind_again_at: Option<Duration>,
    /// When the last reading began, and what it has cost.
    began_at: Option<Duration>,
    cost: LedgerCost,
    /// When the ledger is read beyond what is due; None = not at all.
    watch_at: Option<Duration>,
    /// After a failure: not again before.
    not_before: Duration,
    delays: Waits,
}

impl LedgerPace {
    pub(super) fn new() -> Self {
        Self {
            read_at: Duration::ZERO,
            behind_again_at: None,
            began_at: None,
            cost: LedgerCost::default(),
            watch_at: None,
            not_before: Duration::ZERO,
            delays: Waits::of_probes(),
        }
    }

    /// When the last reading began.
    pub(super) fn began_at(&self) -> Option<Duration> {
        self.began_at
    }

    /// When the ledger is read whether an invoice waits for money or not.
    pub(super) fn read_again_at(&self) -> Duration {
        let next = self.read_at + READ_EVERY;
        self.behind_again_at.map_or(next, |at| at.min(next))
    }

    /// When a reading begins. A nudge is answered at once; what is due waits until `min_interval` after
    /// the last reading began.
    pub(super) fn next_reading_at(
        &self,
        demand: LedgerDemand,
        min_interval: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let at = match demand {
            LedgerDemand::Nudged => Some(now),
            LedgerDemand::Due => Some(self.began_at.map_or(now, |at| at + min_interval)),
            LedgerDemand::Beyond => Some(self.read_again_at()),
            LedgerDemand::Nothing => None,
        };
        at.into_iter().chain(self.watch_at).min()
    }

    /// When a request that is wanted at `at` may be made.
    pub(super) fn after_failures(&self, at: Duration) -> Duration {
        at.max(self.not_before)
    }

    pub(super) fn begin_reading(&mut self, now: Duration) {
        self.began_at = Some(now);
        self.cost = LedgerCost::default();
    }

    pub(super) fn count_request(&mut self) {
        self.cost.requests += 1;
    }

    /// Records a page that came back.
    pub(super) fn note_page(&mut self, transactions: usize) {
        self.delays.reset();
        self.cost.bytes += TRANSACTION_BYTES * transactions as u64;
    }

    pub(super) fn note_failure(&mut self, now: Duration) {
        self.not_before = now + self.delays.next_wait();
    }

    /// Records the end of a complete reading. `is_behind`: the end of the ledger was not proved.
    pub(super) fn end_reading(&mut self, is_behind: bool, rate: Option<f64>, now: Duration) {
        self.read_at = now;
        let pause = self.cost.pause(rate, u64::MAX);
        let again_at = self.began_at.unwrap_or(now) + pause;
        self.behind_again_at = is_behind.then_some(again_at);
    }

    /// Reads nothing beyond what is due before `until`.
    pub(super) fn rest_until(&mut self, until: Duration) {
        self.watch_at = Some(until);
    }

    /// Plans the next reading beyond what is due by what the last one cost.
    pub(super) fn plan_watch(&mut self, rate: Option<f64>, bytes_per_second: u64, now: Duration) {
        let pause = self.cost.pause(rate, bytes_per_second);
        self.watch_at = Some(self.began_at.unwrap_or(now) + pause);
    }
}

/// What a reading has cost so far.
#[derive(Clone, Copy, Debug, Default)]
struct LedgerCost {
    requests: u32,
    bytes: u64,
}

impl LedgerCost {
    /// From the beginning of this reading to the next, so that readings take half of the rate.
    fn pause(self, rate: Option<f64>, bytes_per_second: u64) -> Duration {
        let by_rate = rate.map_or(0.0, |rate| 2.0 * f64::from(self.requests) / rate.max(0.01));
        let millis = self.bytes.saturating_mul(1000) / bytes_per_second.max(1);
        Duration::from_secs_f64(by_rate)
            .max(Duration::from_millis(millis))
            .max(SHORTEST_WATCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_proves_no_end_is_followed_by_the_next_one_within_the_limits() {
        let mut pace = LedgerPace::new();
        let now = Duration::from_hours(1);
        let next = |pace: &LedgerPace| {
            let demand = LedgerDemand::Beyond;
            pace.next_reading_at(demand, Duration::ZERO, now).unwrap()
        };
        let rate = Some(1.0);
        pace.begin_reading(now);
        pace.end_reading(false, rate, now);
        assert_eq!(next(&pace), now + READ_EVERY);
        pace.count_request();
        pace.end_reading(true, rate, now);
        assert_eq!(next(&pace), now + Duration::from_secs(2));
        pace.end_reading(false, rate, now);
        assert_eq!(pace.read_again_at(), now + READ_EVERY);
    }

    #[test]
    fn readings_beyond_what_is_due_take_half_of_the_rate_and_the_bytes_that_are_allowed() {
        let cost = |requests, bytes| LedgerCost { requests, bytes };
        assert_eq!(cost(1, 0).pause(Some(1.0), 1000), Duration::from_secs(2));
        assert_eq!(cost(3, 0).pause(Some(1.0), 1000), Duration::from_secs(6));
        assert_eq!(cost(1, 9000).pause(Some(1.0), 1000), Duration::from_secs(9));
        assert_eq!(cost(1, 0).pause(Some(100.0), 1000), SHORTEST_WATCH);
        assert_eq!(cost(1, 0).pause(None, 1000), SHORTEST_WATCH);
    }
}
