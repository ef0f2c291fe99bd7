//! Where an order stands in the store's list, as far as one account knows.
//!
//! The list is ascending by creation time, only grows, and has no index: a page is asked for by its
//! offset. Kept are its length, the floor (all orders before it are final, no page need begin
//! earlier) and a bounded sample of creation times. An order's place follows from its creation time
//! by interpolation, and where that is too vague by bisection: `probe` names the one item to read
//! next.
//!
//! Three things can be wrong with the list, and none may do more than cost a request:
//! - Orders made at nearly the same time swap places, and one may slip in a little before the end.
//!   So `MARGIN` places are read beyond what is wanted, and the floor stays as far before the
//!   end of the list and of each page.
//! - It shifts, repeats or ends early. What is read now repairs what was read before.
//! - A page is answered late. An older answer is learned like any other; the next one corrects it.

use super::end::PageEnds;
use crate::domain::time::UnixMillis;

/// Places by which an order may stand away from where its creation time puts it, either way.
pub const MARGIN: u64 = 16;

/// Most samples kept.
pub(super) const MOST_SAMPLES: usize = 512;
/// Samples left by thinning, about.
const THINNED_SAMPLES: u64 = 256;
/// Samples on either side of a new one that outlive thinning: they bracket what is bisected.
const PROTECTED: usize = 4;
/// Positions above this are not believed: no list's offset can name them.
pub(super) const LAST_POSITION: u64 = i64::MAX.unsigned_abs();

/// What is known about one store's list. Positions count from 0, the oldest order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Number of orders, as last shown.
    pub(super) total: u64,
    /// Number of first orders that are all final.
    pub(super) floor: u64,
    /// Rising in position, not falling in time; all before `total`.
    pub(super) samples: Vec<Sample>,
    /// The page that showed `total` was full: more orders may follow. Like the next, not kept in
    /// the text: the next page tells.
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

/// What a page that was read to its end has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageSummary {
    /// Number of first orders left out.
    pub offset: u64,
    /// Items asked for.
    pub asked: u32,
    /// Items it had. Fewer than asked for: the end of the list, or as many as the provider puts on a page.
    pub items: u64,
    /// How many items from its first on are final without a gap.
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

    /// Number of first orders that are all final.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether orders may follow behind the length that is known, nobody knows how many.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Most items to ask for where `asked` are wanted: as many as pages were seen to hold.
    pub fn page_limit(&self, asked: u32) -> u32 {
        self.ends.page_limit(asked)
    }

    /// Whether a page that was just learned ended before what it was asked for and before the end of
    /// the list: it is no word about what stands behind it.
    pub fn was_cut_short(&self, page: &PageSummary) -> bool {
        page.items < page.asked.into() && page.offset.saturating_add(page.items) < self.total
    }

    /// Takes in what the provider counts. Fewer than pages have shown prove nothing, unless a page
    /// ended just there.
    pub fn learn_count(&mut self, count: u64) {
        if count >= self.total {
            self.learn_total(count);
            self.goes_on = false;
        } else if self.ends.may_end_at(count) {
            self.shrink(count);
        }
    }

    /// Takes in that the list holds at least `total` orders.
    pub fn learn_total(&mut self, total: u64) {
        let total = total.min(LAST_POSITION);
        if total > self.total {
            self.total = total;
            self.goes_on = false;
        }
    }

    /// Takes in the creation time of the order at `position`. Samples that contradict it go.
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

    /// Takes in a page: the times of its ends, the end of the list where it shows it, and the floor
    /// where it begins at or before it (so a page read to move the floor begins there).
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

    /// Back to an order that is not final after all, else ahead, but for the last places of the
    /// page: between two pages, orders may have moved from the one to the other.
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

    /// Takes in that the list ends at `total`, whatever was known: what lies beyond is forgotten.
    pub fn shrink(&mut self, total: u64) {
        self.total = total.min(LAST_POSITION);
        self.goes_on = false;
        self.ends.shrink(self.total);
        let kept = self.samples.partition_point(|s| s.position < self.total);
        self.samples.truncate(kept);
        self.hold_floor();
    }

    /// The list ends at `offset` or before, nobody knows where. With each empty page in a row the
    /// end is taken to be further back, in doubling steps: a wrong length costs few requests.
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

    /// Leaves about half of the samples, evenly over the list.
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
