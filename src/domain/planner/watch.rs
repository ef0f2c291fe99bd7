//! The watch reads the page of the orders that are still open more often than the cadence of each
//! order requires, as long as that is cheap.

use std::time::Duration;

use super::outlook::REQUEST_BYTES;
use crate::domain::listing::{MARGIN, PageSummary, Positions};

/// How much longer than the period an entry may wait for the page.
const SLACK: Duration = Duration::from_millis(1500);
/// The watch replaces single polls if its period is at most this many minimum intervals.
const REPLACES_POLLS: u32 = 5;
/// Time until the next check while no invoice waits for money.
const IDLE_DELAY: Duration = Duration::from_secs(3);

/// The schedule of watch pages. All times are by the monotonic clock.
#[derive(Debug)]
pub(super) struct Watch {
    /// Decoded bytes per second that it may read; 0 = off.
    bytes_per_second: u64,
    min_interval: Duration,
    max_interval: Duration,
    next: Duration,
    period: Duration,
    /// All orders before this position are final, as the last page showed.
    open_from: u64,
    /// What the last page showed, and when.
    shown: Option<(u64, u64, Duration)>,
}

impl Watch {
    pub(super) fn new(
        bytes_per_second: u64,
        (min_interval, max_interval): (Duration, Duration),
        now: Duration,
    ) -> Self {
        Self {
            bytes_per_second,
            min_interval,
            max_interval,
            next: now + min_interval,
            period: min_interval,
            open_from: 0,
            shown: None,
        }
    }

    /// When the next page should be read; None = never.
    pub(super) fn next(&self) -> Option<Duration> {
        (self.bytes_per_second > 0).then_some(self.next)
    }

    /// Postpones the watch: no invoice waits for money at present.
    pub(super) fn rest(&mut self, now: Duration) {
        self.next = now + self.min_interval.max(IDLE_DELAY);
        self.shown = None;
    }

    /// Offset and count of the next page; None while it would cost more than it is worth.
    pub(super) fn page(
        &mut self,
        positions: &Positions,
        page_limit: u32,
        item_bytes: u64,
        now: Duration,
    ) -> Option<(u64, u32)> {
        let (tail, count) = positions.tail(page_limit);
        let offset = tail.max(self.open_from.saturating_sub(MARGIN));
        let items = positions.total().saturating_sub(offset);
        let bytes = items.saturating_mul(item_bytes);
        if self.period_of(bytes) > self.max_interval {
            self.next = now + self.max_interval;
            self.shown = None;
            return None;
        }
        Some((offset, count))
    }

    /// Records the start of a page: the next one follows after the period, however this one ends.
    pub(super) fn begun(&mut self, now: Duration) {
        self.next = now + self.period;
    }

    /// Records a watch page that was read completely.
    pub(super) fn learn(&mut self, page: &PageSummary, bytes: u64, now: Duration) {
        let begun = self.next.saturating_sub(self.period);
        self.period = self.period_of(bytes);
        self.next = begun + self.period;
        let end = page.offset + page.items;
        self.open_from = (page.offset + page.leading_final).min(end.saturating_sub(MARGIN));
        self.shown = Some((page.offset, end, now));
    }

    /// The time until which an order at `position` need not be polled, because a page will show it;
    /// None if no page shows it soon enough.
    pub(super) fn shows_by(&self, position: u64, now: Duration) -> Option<Duration> {
        let (from, to, at) = self.shown?;
        let is_frequent = self.period <= self.min_interval * REPLACES_POLLS;
        let in_time = now <= at + self.period * 2 + SLACK;
        let is_shown = (from..to).contains(&position);
        (is_frequent && in_time && is_shown).then(|| self.next.max(now) + SLACK)
    }

    fn period_of(&self, bytes: u64) -> Duration {
        let millis = bytes.saturating_add(REQUEST_BYTES / 4).saturating_mul(1000)
            / self.bytes_per_second.max(1);
        Duration::from_millis(millis).max(self.min_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch(bytes_per_second: u64) -> Watch {
        let bounds = (3 * SECOND, 600 * SECOND);
        Watch::new(bytes_per_second, bounds, Duration::ZERO)
    }

    fn page(offset: u64, items: u64, leading_final: u64) -> PageSummary {
        PageSummary {
            offset,
            asked: 10_000,
            items,
            leading_final,
            ..PageSummary::default()
        }
    }

    #[test]
    fn a_thousand_orders_are_watched_at_the_minimum_interval() {
        let mut watch = watch(131_072);
        watch.begun(3 * SECOND);
        watch.learn(&page(0, 1000, 0), 390_000, 3 * SECOND);
        assert_eq!(watch.next(), Some(6 * SECOND));
        let by = watch.shows_by(999, 4 * SECOND).unwrap();
        assert!(by > 6 * SECOND && by < 8 * SECOND);
        assert_eq!(watch.shows_by(1000, 4 * SECOND), None, "not on the page");
        assert_eq!(watch.shows_by(5, 20 * SECOND), None, "the watch is late");
    }

    #[test]
    fn large_pages_are_rare_and_replace_no_polls() {
        let mut watch = watch(131_072);
        watch.begun(SECOND);
        watch.learn(&page(0, 10_000, 0), 4_000_000, SECOND);
        assert!(watch.next() > Some(31 * SECOND));
        assert_eq!(watch.shows_by(5, 2 * SECOND), None);
    }

    #[test]
    fn the_watch_follows_open_orders_and_can_be_turned_off() {
        let mut watch = watch(131_072);
        let mut positions = Positions::default();
        positions.learn_total(50_000);
        let first = watch.page(&positions, 10_000, 400, SECOND);
        assert_eq!(first, Some((40_016, 10_000)));
        watch.learn(&page(40_016, 9984, 9000), 4_000_000, SECOND);
        let next = watch.page(&positions, 10_000, 400, SECOND);
        assert_eq!(next, Some((49_000, 10_000)));
        assert_eq!(Watch::new(0, (SECOND, SECOND), SECOND).next(), None);
    }

    #[test]
    fn a_page_that_costs_too_much_is_not_read() {
        let mut watch = watch(1000);
        let mut positions = Positions::default();
        positions.learn_total(9000);
        assert_eq!(watch.page(&positions, 10_000, 400, SECOND), None);
        assert_eq!(watch.next(), Some(601 * SECOND));
    }
}
