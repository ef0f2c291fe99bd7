//! What pages show about the end of the list.
//!
//! A page with fewer items than requested does not prove that the list ends there: a provider may
//! put fewer on a page. The list ends where the provider's count says so, where a page that starts
//! there is empty, or where two pages of different lengths end at the same place.

/// After this many full pages of the learned length, a longer page is tried again.
const TRY_LONGER_AFTER: u32 = 256;

/// What pages have shown about the end of the list and the capacity of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageEnds {
    /// A page with fewer items than requested, although the list continues.
    short_page: Option<ShortPage>,
    /// The learned capacity of a page, where it is below the requested length.
    capacity: Option<Capacity>,
}

/// A page that ended before the known end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShortPage {
    offset: u64,
    items: u64,
    /// Orders were seen after it, so it was not the end.
    has_followers: bool,
}

/// The number of items that pages hold, whatever length is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capacity {
    items: u64,
    /// Pages since then that were as full as requested.
    full_pages: u32,
}

impl ShortPage {
    fn end(self) -> u64 {
        self.offset + self.items
    }
}

impl PageEnds {
    /// The length of page to request where `asked` items are wanted: limited to the length that two
    /// short pages in a row had.
    pub(super) fn page_limit(&self, asked: u32) -> u32 {
        let shown = self.capacity.map_or(u64::MAX, |holds| holds.items.max(1));
        u32::try_from(shown).map_or(asked, |shown| asked.min(shown))
    }

    /// Whether the list may end with `count` orders, judging by the pages seen.
    pub(super) fn may_end_at(&self, count: u64) -> bool {
        let ends_there = |page: ShortPage| !page.has_followers && page.end() == count;
        self.short_page.is_some_and(ends_there)
    }

    /// Records that there is an order at `position`.
    pub(super) fn learn_follower(&mut self, position: u64) {
        if let Some(page) = &mut self.short_page {
            page.has_followers |= position >= page.end();
        }
    }

    /// Records a page that was as full as requested.
    pub(super) fn learn_full(&mut self) {
        if let Some(capacity) = &mut self.capacity {
            capacity.full_pages += 1;
        }
        self.capacity = self.capacity.filter(|c| c.full_pages < TRY_LONGER_AFTER);
    }

    /// Records a page of `items` out of `asked` that ended before the known end. If another page of
    /// a different length ended at the same place, or this page is shorter than pages can be, this
    /// is the end of the list, which is returned. A second page of the same length shows that pages
    /// hold this many.
    pub(super) fn learn_short(&mut self, offset: u64, items: u64, asked: u32) -> Option<u64> {
        let page = ShortPage {
            offset,
            items,
            has_followers: false,
        };
        let is_within_capacity = self.capacity.is_some_and(|c| u64::from(asked) <= c.items);
        let before = self.short_page.replace(page)?;
        let is_as_long = before.items == items;
        if before.end() == page.end() && (!is_as_long || is_within_capacity) {
            // The previous short page then proves nothing about the capacity either.
            self.capacity = self.capacity.filter(|c| c.items != before.items);
            return Some(page.end());
        }
        if is_as_long && !is_within_capacity {
            self.capacity = Some(Capacity {
                items,
                full_pages: 0,
            });
        }
        None
    }

    /// Records that the list ends at `total`: a page that ended there was not cut short.
    pub(super) fn shrink(&mut self, total: u64) {
        self.short_page = self.short_page.filter(|page| page.end() < total);
    }
}
