//! What is known of an account's order list at the provider: positions of orders, its length, the
//! size of an item, and whether pages can be read at all.

mod end;
mod place;
mod positions;
mod text;

use std::time::Duration;

pub use self::place::Estimate;
pub use self::positions::{MARGIN, PageSummary, Positions};

/// Assumed size of an item, in bytes, before any was measured.
const ITEM_BYTES: f64 = 400.0;
/// Weight of a new measurement.
const NEW_MEASURE: f64 = 0.25;
/// How long the number of orders counts as known.
const COUNT_HOLDS: Duration = Duration::from_secs(5);
/// Longest pause after a failed page.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// After this many failed pages in a row, the list is not used for a while.
const FAILS_AFTER: u32 = 2;

/// The result of a recent request for the number of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// No recent request.
    NotRequested,
    /// The request got no answer.
    NotGiven,
    /// The number was reported.
    Known,
}

/// What is known of the list. Times are by the monotonic clock.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Positions of orders.
    pub positions: Positions,
    /// When the number of orders was last requested, and the result.
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
    /// Records a page that was read completely, in `bytes` decoded bytes.
    pub fn learn_page(&mut self, page: &PageSummary, bytes: u64) {
        self.failed_pages = 0;
        self.positions.learn_page(page);
        if page.items > 0 {
            #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
            let measured = bytes as f64 / page.items as f64;
            self.item_bytes += (measured - self.item_bytes) * NEW_MEASURE;
        }
    }

    /// Records the number of orders that the provider reported.
    pub fn learn_count(&mut self, total: u64, now: Duration) {
        self.failed_pages = 0;
        self.positions.learn_count(total);
        self.count = Some((now, Count::Known));
    }

    /// Records that the request for the number of orders failed.
    pub fn fail_count(&mut self, now: Duration) {
        self.count = Some((now, Count::NotGiven));
        self.fail_page(now);
    }

    /// Records a failed page: the next one waits, longer each time.
    pub fn fail_page(&mut self, now: Duration) {
        self.failed_pages = self.failed_pages.saturating_add(1);
        let pause = Duration::from_secs(1 << self.failed_pages.min(6));
        self.not_before = now + pause.min(LONGEST_PAUSE);
    }

    /// Whether pages fail repeatedly.
    pub fn fails(&self) -> bool {
        self.failed_pages >= FAILS_AFTER
    }

    /// The earliest time for the next page.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// The result of a recent request for the number of orders.
    pub fn count_lately(&self, now: Duration) -> Count {
        let lately = self.count.filter(|(at, _)| now < *at + COUNT_HOLDS);
        lately.map_or(Count::NotRequested, |(_, count)| count)
    }

    /// Measured size of an item, in bytes.
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
