//! Positions of orders in the store's list, as far as they are known for one account.
//!
//! The list is ascending by creation time, only grows, and has no index: a page is requested by its
//! offset. Kept are the length, the floor (all orders before it are final, so no page needs to
//! begin earlier) and a limited sample of creation times. The position of an order is estimated
//! from its creation time by interpolation; where that is too vague, by bisection: `probe` names
//! the single item to read next.
//!
//! The list can be wrong in three ways, and none may do more harm than an extra request:
//! - Orders made at nearly the same time swap places, and one may be inserted a little before the
//!   end. So `MARGIN` places are read beyond what is wanted, and the floor stays this far before
//!   the end of the list and of each page.
//! - The list shifts, repeats or ends early. Each reading corrects what was learned before.
//! - A page arrives late. It is learned like any other, and the next one corrects it.

use super::end::PageEnds;
use crate::domain::time::UnixMillis;

/// Maximum distance of an order from the position that its creation time implies.
pub const MARGIN: u64 = 16;

/// Maximum number of samples.
pub(super) const MOST_SAMPLES: usize = 512;
/// Approximate number of samples after thinning.
const THINNED_SAMPLES: u64 = 256;
/// Samples on either side of a new one that survive thinning: they bracket a bisection.
const PROTECTED: usize = 4;
/// Higher positions are rejected: no list offset can have them.
pub(super) const LAST_POSITION: u64 = i64::MAX.unsigned_abs();

/// What is known about one store's list. Positions count from 0, the oldest order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Number of orders, as last shown.
    pub(super) total: u64,
    /// All orders before this position are final.
    pub(super) floor: u64,
    /// Ascending in position, not descending in time; all before `total`.
    pub(super) samples: Vec<Sample>,
    /// The page that showed `total` was full, so more orders may follow. Like the next field, not
    /// part of the text: the next page shows it again.
    pub(super) goes_on: bool,
    /// Empty pages in a row.
    pub(super) empty_pages: u32,
    /// What pages have shown about the end.
    pub(super) ends: PageEnds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) position: u64,
    pub(super) created_at: UnixMillis,
}

/// The content of a page that was read completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageSummary {
    /// Position of its first item.
    pub offset: u64,
    /// Number of items requested.
    pub asked: u32,
    /// Items on the page. Fewer than requested means the end of the list, or the provider's
    /// maximum.
    pub items: u64,
    /// Number of items from the first one on that are final without a gap.
    pub leading_final: u64,
    /// Creation time of its first item, where reported.
    pub first_created: Option<UnixMillis>,
    /// Creation time of its last item, where reported.
    pub last_created: Option<UnixMillis>,
}

impl Positions {
    /// Number of orders in the list, as last shown.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// All orders before this position are final.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether an unknown number of orders may follow after the known length.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Maximum number of items to request where `asked` are wanted, by the learned capacity of
    /// pages.
    pub fn page_limit(&self, asked: u32) -> u32 {
        self.ends.page_limit(asked)
    }

    /// Whether a page that was just learned ended before both its requested length and the end of
    /// the list; it then proves nothing about what follows.
    pub fn was_cut_short(&self, page: &PageSummary) -> bool {
        page.items < page.asked.into() && page.offset.saturating_add(page.items) < self.total
    }

    /// Records the provider's count. A count below what pages have shown proves nothing, unless a
    /// page ended exactly there.
    pub fn learn_count(&mut self, count: u64) {
        if count >= self.total {
            self.learn_total(count);
            self.goes_on = false;
        } else if self.ends.may_end_at(count) {
            self.shrink(count);
        }
    }

    /// Records that the list has at least `total` orders.
    pub fn learn_total(&mut self, total: u64) {
        let total = total.min(LAST_POSITION);
        if total > self.total {
            self.total = total;
            self.goes_on = false;
        }
    }

    /// Records the creation time of the order at `position`. Samples that contradict it are
    /// removed.
    pub fn learn_item(&mut self, position: u64, created_at: UnixMillis) {
        if position >= LAST_POSITION {
            return;
        }
        self.learn_total(position + 1);
        let place = self.samples.partition_point(|s| s.position < position);
        let (before, after) = self.samples.split_at(place);
        let from = before.partition_point(|s| s.created_at <= created_at);
        let to =
            place + after.partition_point(|s| s.position == position || s.created_at < created_at);
        let sample = Sample {
            position,
            created_at,
        };
        self.samples.splice(from..to, [sample]);
        if self.samples.len() > MOST_SAMPLES {
            self.thin(from);
        }
    }

    /// Records a page: the times of its first and last item, the end of the list if it shows it,
    /// and the floor if the page begins at or before it (a page that should move the floor
    /// therefore begins there).
    pub fn learn_page(&mut self, page: &PageSummary) {
        let offset = page.offset.min(LAST_POSITION);
        let items = page.items.min(LAST_POSITION - offset);
        let end = offset + items;
        if items == 0 {
            if page.asked > 0 {
                self.learn_empty(offset, page.asked);
            }
            return;
        }
        let reaches_end = end >= self.total;
        let is_short = items < page.asked.into();
        if let Some(first) = page.first_created {
            self.learn_item(offset, first);
        }
        if let (Some(last), true) = (page.last_created, items > 1) {
            self.learn_item(end - 1, last);
        }
        self.learn_total(end);
        self.ends.learn_follower(end - 1);
        self.empty_pages = 0;
        if !is_short {
            self.ends.learn_full();
        }
        if is_short && reaches_end {
            self.goes_on = false;
        } else if is_short {
            if let Some(total) = self.ends.learn_short(offset, items, page.asked) {
                self.shrink(total);
            }
        } else if reaches_end && items > MARGIN {
            self.goes_on = true;
        }
        if offset <= self.floor {
            self.move_floor(offset, items, page.leading_final.min(items));
        }
    }

    /// Moves the floor back to an order that is not final after all, else forward, except for the
    /// last places of the page: between two pages, orders may have moved from one to the other.
    fn move_floor(&mut self, offset: u64, items: u64, leading_final: u64) {
        let first_open = offset + leading_final;
        if leading_final < items && first_open < self.floor {
            self.floor = first_open;
        } else {
            let settled = items - MARGIN.min(items / 2);
            self.floor = self.floor.max(offset + leading_final.min(settled));
        }
        self.hold_floor();
    }

    /// Records that the list ends at `total`, whatever was known before. Everything beyond is
    /// removed.
    pub fn shrink(&mut self, total: u64) {
        self.total = total.min(LAST_POSITION);
        self.goes_on = false;
        self.ends.shrink(self.total);
        let kept = self.samples.partition_point(|s| s.position < self.total);
        self.samples.truncate(kept);
        self.hold_floor();
    }

    /// Records that the list ends at `offset` or before. With each empty page in a row the assumed
    /// end moves back in doubling steps, so a wrong length costs few requests.
    fn learn_empty(&mut self, offset: u64, asked: u32) {
        self.shrink(offset.min(self.total));
        let shown = self.samples.last().map_or(0, |s| s.position + 1);
        let step = match self.empty_pages {
            0 => 0,
            empty => u64::from(asked).saturating_mul(1 << (empty - 1).min(62)),
        };
        self.empty_pages = self.empty_pages.saturating_add(1);
        self.shrink(self.total.saturating_sub(step).max(shown));
    }

    fn hold_floor(&mut self) {
        self.floor = self.floor.min(self.total.saturating_sub(MARGIN));
    }

    /// Keeps about half of the samples, evenly distributed over the list.
    fn thin(&mut self, newest: usize) {
        let last = self.samples.len() - 1;
        let spacing = self.total / THINNED_SAMPLES;
        let mut next = 0;
        let mut index = 0;
        self.samples.retain(|sample| {
            let is_protected = index == last || index.abs_diff(newest) <= PROTECTED;
            let keeps = is_protected || sample.position >= next;
            if keeps {
                next = sample.position.saturating_add(spacing);
            }
            index += 1;
            keeps
        });
    }
}
