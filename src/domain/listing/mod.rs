//! What is known of an account's order list at the provider: where orders stand in it, how long it
//! is, what an item costs, and whether pages can be read at all.

mod end;
mod place;
mod positions;
mod text;

use std::time::Duration;

pub use self::place::Estimate;
pub use self::positions::{MARGIN, PageSummary, Positions};

/// Bytes of an item before any was measured.
const ITEM_BYTES: f64 = 400.0;
/// Weight of a new measurement.
const NEW_MEASURE: f64 = 0.25;
/// The number of orders is taken as known for so long.
const COUNT_HOLDS: Duration = Duration::from_secs(5);
/// Longest pause after a failed page.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// After so many failed pages in a row, the list is of no help for a while.
const FAILS_AFTER: u32 = 2;

/// Whether the number of orders was asked for moments ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// It was not.
    NotRequested,
    /// It was, and there was no answer.
    NotGiven,
    /// It was reported.
    Known,
}

/// What is known of the list. Times are of the monotonic clock.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Where orders stand.
    pub positions: Positions,
    /// When the number of orders was last asked for, and whether it was reported.
    count: Option<(Duration, Count)>,
    item_bytes: f64,
    failed_pages: u32,
    not_before: Duration,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            positions: Positions::default(),
            count: None,
            item_bytes: ITEM_BYTES,
            failed_pages: 0,
            not_before: Duration::ZERO,
        }
    }
}

impl Listing {
    /// A page was read to its end, in so many decoded bytes.
    pub fn learn_page(&mut self, page: &PageSummary, bytes: u64) {
        self.failed_pages = 0;
        self.positions.learn_page(page);
        if page.items > 0 {
            #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
            let measured = bytes as f64 / page.items as f64;
            self.item_bytes += (measured - self.item_bytes) * NEW_MEASURE;
        }
    }

    /// The provider reported how many orders there are.
    pub fn learn_count(&mut self, total: u64, now: Duration) {
        self.failed_pages = 0;
        self.positions.learn_count(total);
        self.count = Some((now, Count::Known));
    }

    /// The number of orders could not be had.
    pub fn fail_count(&mut self, now: Duration) {
        self.count = Some((now, Count::NotGiven));
        self.fail_page(now);
    }

    /// A page could not be read: the next one waits a while, longer each time.
    pub fn fail_page(&mut self, now: Duration) {
        self.failed_pages = self.failed_pages.saturating_add(1);
        let pause = Duration::from_secs(1 << self.failed_pages.min(6));
        self.not_before = now + pause.min(LONGEST_PAUSE);
    }

    /// Whether pages fail again and again.
    pub fn fails(&self) -> bool {
        self.failed_pages >= FAILS_AFTER
    }

    /// Not before this may a page be read.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// What is known of the number of orders, if it was asked for moments ago.
    pub fn count_lately(&self, now: Duration) -> Count {
        let lately = self.count.filter(|(at, _)| now < *at + COUNT_HOLDS);
        lately.map_or(Count::NotRequested, |(_, count)| count)
    }

    /// Bytes of an item, as measured.
    pub fn item_bytes(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive mean of measured sizes"
        )]
        let bytes = self.item_bytes as u64;
        bytes.max(1)
    }
}
