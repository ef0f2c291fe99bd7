//! A sweep reads a stretch of the list page by page, from its end down, the newest orders first.

use crate::domain::listing::{MARGIN, PageSummary, Positions};

/// How the end of the list was known when the sweep was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SweepEnd {
    /// The provider had just counted no more orders than up to the end of the sweep.
    Counted,
    /// No page had shown more orders; a page after the end is read first.
    Believed,
    /// A page after the end was empty.
    Shown,
    /// Pages were full up to the end, so the list continues.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sweep {
    pub(super) from: u64,
    /// End of the part that is left.
    pub(super) to: u64,
    /// Original end.
    pub(super) end: u64,
    /// Entries that must be in the sweep if they exist.
    pub(super) members: Vec<u32>,
    pub(super) end_is: SweepEnd,
    /// The list has no order from here on, as far as is known.
    empty_from: u64,
}

impl Sweep {
    /// A sweep of which nothing is read yet; the list is assumed to have `total` orders.
    pub(super) fn new(
        from: u64,
        end: u64,
        members: Vec<u32>,
        end_is: SweepEnd,
        total: u64,
    ) -> Self {
        let empty_from = match end_is {
            SweepEnd::Counted => total,
            SweepEnd::Believed | SweepEnd::Shown | SweepEnd::Open => u64::MAX,
        };
        Self {
            empty_from,
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
        if self.reads_past_end(positions) {
            return (self.end, page_limit);
        }
        if self.to < positions.total() {
            let offset = self.to.saturating_sub(limit).max(self.from);
            let count = u32::try_from(self.to - offset).unwrap_or(page_limit);
            return (offset, count);
        }
        // New orders may have been added: the page extends some places beyond the assumed end, or
        // by a whole page where the list is known to continue. The larger part of a small page must
        // still lie before the end, or the next page would be the same.
        let beyond = if positions.goes_on() {
            limit - twice(page_limit)
        } else {
            MARGIN.min(limit / 4)
        };
        let offset = (self.to + beyond).saturating_sub(limit).max(self.from);
        (offset, page_limit)
    }

    /// Whether only pages indicate that the list ends where the sweep does. An end that is not
    /// reached yet does not matter.
    fn reads_past_end(&self, positions: &Positions) -> bool {
        let is_first = self.to == self.end;
        is_first && self.end_is == SweepEnd::Believed && self.end >= positions.total()
    }

    /// Records a page. Returns whether it was the last one.
    pub(super) fn advance(&mut self, page: &PageSummary, page_limit: u32) -> bool {
        let offset = page.offset;
        if page.items == 0 {
            self.empty_from = self.empty_from.min(offset);
            if self.to == self.end && self.end_is == SweepEnd::Believed {
                self.end_is = SweepEnd::Shown;
                return false;
            }
        }
        if offset > self.from {
            self.to = offset + twice(page_limit).min(offset - self.from);
            return false;
        }
        true
    }

    /// Whether the page shows that the sweep must be planned again: it held fewer orders than
    /// expected, or the first page showed that the list continues after the end.
    pub(super) fn falls_short(&self, page: &PageSummary) -> bool {
        if page.offset >= self.end {
            return page.items > 0 && self.end_is == SweepEnd::Believed;
        }
        page.items > 0 && page.offset + page.items < self.to.min(self.empty_from)
    }

    /// Whether an order that none of its pages showed is not in the list.
    pub(super) fn was_all(&self) -> bool {
        self.from == 0 && matches!(self.end_is, SweepEnd::Counted | SweepEnd::Shown)
    }
}

/// Items that two pages share: near-simultaneous orders may swap places between them.
fn twice(page_limit: u32) -> u64 {
    MARGIN.min(u64::from(page_limit) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the whole list of `orders`, assumed to have `known` orders. The provider puts at most
    /// `cap` on a page and reports the count if `counts`. Returns the number of pages. Orders that
    /// no page showed are reported as missing, so all of them must have been shown.
    fn read(known: u64, orders: u64, page_limit: u32, cap: u64, counts: bool) -> usize {
        let mut positions = Positions::default();
        positions.learn_total(known);
        let mut shown = vec![false; usize::try_from(orders).unwrap()];
        let mut sweep = whole(&mut positions, orders, counts);
        for pages in 1..=2000 {
            let limit = positions.page_limit(page_limit);
            let (offset, count) = sweep.page(&positions, limit);
            let items = orders.saturating_sub(offset).min(count.into()).min(cap);
            let from = usize::try_from(offset.min(orders)).unwrap();
            shown[from..][..usize::try_from(items).unwrap()].fill(true);
            let page = PageSummary {
                offset,
                asked: count,
                items,
                ..PageSummary::default()
            };
            positions.learn_page(&page);
            if sweep.falls_short(&page) {
                sweep = whole(&mut positions, orders, counts);
            } else if sweep.advance(&page, positions.page_limit(page_limit)) {
                assert!(sweep.was_all());
                assert!(shown.iter().all(|&is_shown| is_shown));
                return pages;
            }
        }
        panic!("{known} known, {orders} orders, {page_limit} a page, at most {cap}: no end");
    }

    fn whole(positions: &mut Positions, orders: u64, counts: bool) -> Sweep {
        if counts {
            positions.learn_count(orders);
        }
        let end = positions.total().max(1);
        let end_is = if counts {
            SweepEnd::Counted
        } else {
            SweepEnd::Believed
        };
        Sweep::new(0, end, Vec::new(), end_is, positions.total())
    }

    #[test]
    fn pages_cover_a_sweep_and_end_with_any_page_length() {
        for page_limit in [1, 2, 3, 4, 7, 8, 20, 64, 10_000] {
            for known in [0, 1, 7, 8, 9, 40, 99, 100] {
                for orders in [0, 1, 8, 39, 40, 41, 100, 250] {
                    for cap in [1, 2, 7, 20, 100, 10_000] {
                        read(known, orders, page_limit, cap, true);
                        read(known, orders, page_limit, cap, false);
                    }
                }
            }
        }
    }

    #[test]
    fn an_end_without_a_count_costs_one_more_page() {
        assert_eq!(read(100, 100, 64, 64, true), 3);
        assert_eq!(read(100, 100, 64, 64, false), 4);
        assert_eq!(read(1_000_000, 1_000_000, 10_000, 10_000, true), 101);
    }

    #[test]
    fn a_short_page_is_not_part_of_the_sweep() {
        let mut positions = Positions::default();
        positions.learn_count(250);
        let sweep = Sweep::new(0, 250, Vec::new(), SweepEnd::Counted, 250);
        let (offset, asked) = sweep.page(&positions, 10_000);
        let page = PageSummary {
            offset,
            asked,
            items: 100,
            ..PageSummary::default()
        };
        positions.learn_page(&page);
        assert_eq!(positions.total(), 250);
        assert_eq!(positions.page_limit(10_000), 10_000, "once is no rule");
        positions.learn_page(&page);
        assert_eq!(positions.page_limit(10_000), 100);
        assert!(sweep.falls_short(&page));
    }
}
