//! A sweep: a stretch of the list that is read page by page, from its end down, the newest orders
//! first.

use crate::domain::listing::{MARGIN, Positions};

/// What was known of the list's end when a sweep was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The provider had just counted no more orders than lie up to the end of the sweep.
    Counted,
    /// No page had shown that there are more than that.
    Believed,
    /// Pages were full up to there: the list goes on.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sweep {
    pub(super) from: u64,
    /// What is left ends here.
    pub(super) to: u64,
    /// Where it ended at first.
    pub(super) end: u64,
    /// Entries that must be in it, if anywhere.
    pub(super) members: Vec<u32>,
    pub(super) end_is: End,
}

impl Sweep {
    /// Nothing of it is read yet.
    pub(super) fn new(from: u64, end: u64, members: Vec<u32>, end_is: End) -> Self {
        Self {
            from,
            to: end,
            end,
            members,
            end_is,
        }
    }

    /// Offset and count of the next page.
    pub(super) fn page(&self, positions: &Positions, page_limit: u32) -> (u64, u32) {
        let limit = u64::from(page_limit);
        if self.to < positions.total() {
            let offset = self.to.saturating_sub(limit).max(self.from);
            let count = u32::try_from(self.to - offset).unwrap_or(page_limit);
            return (offset, count);
        }
        // Only a page that is not full shows that the list ends there: some places more than there
        // should be orders, or a page of its own where they are known to go on. Of a small page the
        // greater part still lies before, or the next would be the same.
        let beyond = if positions.goes_on() {
            limit - twice(page_limit)
        } else {
            MARGIN.min(limit / 4)
        };
        let offset = (self.to + beyond).saturating_sub(limit).max(self.from);
        (offset, page_limit)
    }

    /// The page from `offset` on was read. Whether it was the last one.
    pub(super) fn advance(&mut self, offset: u64, page_limit: u32) -> bool {
        if offset > self.from {
            self.to = offset + twice(page_limit).min(offset - self.from);
            return false;
        }
        true
    }

    /// Whether its first page, just read, has shown that the list goes on behind it: then how far is
    /// asked for first, for all of it would have to be read again.
    pub(super) fn falls_short(&self, positions: &Positions) -> bool {
        let reached_end = self.end + MARGIN >= positions.total();
        let is_first = self.to == self.end;
        is_first && reached_end && self.end_is == End::Believed && positions.goes_on()
    }

    /// Whether an order that none of its pages showed is not in the list.
    pub(super) fn was_all(&self, positions: &Positions) -> bool {
        let end = positions.total().saturating_sub(MARGIN);
        let end_was_seen = !positions.goes_on() && self.end >= end;
        self.from == 0 && (self.end_is == End::Counted || end_was_seen)
    }
}

/// Items that two pages share: near-simultaneous orders may swap places between them.
fn twice(page_limit: u32) -> u64 {
    MARGIN.min(u64::from(page_limit) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::listing::PageSummary;

    /// Reads the whole list, which has `orders`, while it is thought to have `known`. Returns the
    /// number of pages, and whether what none of them showed can be said to be missing.
    fn read(known: u64, orders: u64, page_limit: u32) -> (usize, bool) {
        let mut positions = Positions::default();
        positions.learn_total(known);
        let mut sweep = Sweep::new(0, known, Vec::new(), End::Believed);
        let mut shown = vec![false; usize::try_from(orders).unwrap()];
        for pages in 1..=1000 {
            let (offset, count) = sweep.page(&positions, page_limit);
            let items = orders.saturating_sub(offset).min(count.into());
            let from = usize::try_from(offset.min(orders)).unwrap();
            shown[from..][..usize::try_from(items).unwrap()].fill(true);
            positions.learn_page(&PageSummary {
                offset,
                asked: count,
                items,
                ..PageSummary::default()
            });
            if sweep.advance(offset, page_limit) {
                let known = usize::try_from(known.min(orders)).unwrap();
                assert!(shown[..known].iter().all(|&is_shown| is_shown));
                return (pages, sweep.was_all(&positions));
            }
        }
        panic!("{orders} orders, {page_limit} a page: no end");
    }

    #[test]
    fn the_pages_cover_it_and_come_to_an_end_whatever_they_hold() {
        for page_limit in [1, 2, 3, 4, 7, 8, 20, 64, 10_000] {
            for known in [0, 1, 7, 8, 9, 40, 99, 100] {
                for orders in [0, 1, 8, 39, 40, 41, 100, 250] {
                    read(known, orders, page_limit);
                }
            }
        }
    }

    #[test]
    fn a_first_page_that_is_full_shows_that_it_falls_short() {
        let mut positions = Positions::default();
        positions.learn_total(100);
        let mut sweep = Sweep::new(0, 100, Vec::new(), End::Believed);
        assert!(!sweep.falls_short(&positions));
        let (offset, asked) = sweep.page(&positions, 64);
        let full = PageSummary {
            offset,
            asked,
            items: asked.into(),
            ..PageSummary::default()
        };
        positions.learn_page(&full);
        assert!(sweep.falls_short(&positions));
        for end_is in [End::Counted, End::Open] {
            // The count has just been asked for: it would be asked for again and again.
            sweep.end_is = end_is;
            assert!(!sweep.falls_short(&positions));
        }
    }

    #[test]
    fn what_is_missing_is_said_only_when_the_end_was_seen() {
        assert_eq!(read(100, 100, 64), (3, true));
        assert_eq!(read(100, 110, 64), (3, true), "orders came since");
        assert_eq!(read(100, 250, 64), (3, false), "more than a page shows");
        assert_eq!(read(1_000_000, 1_000_000, 10_000), (101, true));
    }
}
