//! A reading of the whole order list, page by page from the oldest order, and when it is complete.
//!
//! A short page does not end it, because a provider may put fewer orders on a page than requested.
//! It is complete when it has reached the number of orders that the provider counted before it
//! began, or when a page after the last one shows nothing new.

/// Items read again at the start of a page, since near-simultaneous orders may swap places.
const OVERLAP: u64 = 8;

/// The progress of a reading. Positions count from 0, the oldest order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReading {
    /// Number of orders counted by the provider; None if the count is not available.
    counted: Option<u64>,
    next: u64,
    end: u64,
    /// The last page showed nothing new; the next one begins after it.
    is_past_end: bool,
    is_complete: bool,
}

impl ListReading {
    /// A reading that has shown nothing yet.
    pub fn new(counted: Option<u64>) -> Self {
        Self {
            counted,
            next: 0,
            end: 0,
            is_past_end: false,
            is_complete: false,
        }
    }

    /// Where the next page begins; None = the reading is complete.
    pub fn next(&self) -> Option<u64> {
        (!self.is_complete).then_some(self.next)
    }

    /// Orders seen so far.
    pub fn orders(&self) -> u64 {
        self.end
    }

    /// Records a page from `next` on with `items` items; `shows_new` is whether one of them was not
    /// on the previous page.
    pub fn learn(&mut self, items: u64, shows_new: bool) {
        if items == 0 || !shows_new && self.is_past_end {
            self.is_complete = true;
            return;
        }
        self.end = self.end.max(self.next + items);
        self.is_complete = self.counted.is_some_and(|counted| self.end >= counted);
        self.is_past_end = !shows_new;
        self.next = if shows_new {
            self.next + items - OVERLAP.min(items - 1)
        } else {
            self.end
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a list of `orders` from a provider that puts at most `cap` on a page. Returns the
    /// number of pages.
    fn read(orders: u64, cap: u64, counted: Option<u64>) -> usize {
        let mut reading = ListReading::new(counted);
        let mut last = 0..0;
        let mut shown = 0;
        let mut pages = 0;
        while let Some(offset) = reading.next() {
            assert!(offset <= shown, "nothing is left out");
            let page = offset.min(orders)..(offset + cap).min(orders).max(offset.min(orders));
            let shows_new = page.clone().any(|order| !last.contains(&order));
            reading.learn(page.end - page.start, shows_new);
            shown = shown.max(page.end);
            last = page;
            pages += 1;
            assert!(pages < 1000, "no end");
        }
        assert_eq!((shown, reading.orders()), (orders, orders));
        pages
    }

    #[test]
    fn a_reading_is_complete_with_any_page_length() {
        for orders in [0, 1, 8, 9, 100, 250] {
            for cap in [1, 2, 7, 8, 9, 100, 10_000] {
                for counted in [None, Some(orders), Some(orders + 5), Some(0)] {
                    // A count below the real number ends it early, in line with the time of the
                    // count.
                    if counted.is_none_or(|counted| counted >= orders) {
                        read(orders, cap, counted);
                    }
                }
            }
        }
    }

    #[test]
    fn a_count_saves_the_page_after_the_end() {
        assert_eq!(read(250, 10_000, Some(250)), 1);
        assert_eq!(read(250, 100, Some(250)), 3);
        assert_eq!(read(250, 10_000, None), 3);
    }

    #[test]
    fn repeated_pages_end_a_reading() {
        let mut reading = ListReading::new(None);
        reading.learn(5, true);
        reading.learn(5, false);
        reading.learn(5, false);
        assert_eq!(reading.next(), None);
    }
}
