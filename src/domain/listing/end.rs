//! What pages say about the end of the list.
//!
//! A page with fewer items than were asked for is no proof that the list ends there: a provider may put
//! fewer on a page than it is asked for. The list ends where the provider's count says, where a page that
//! begins there is empty, or where two pages of different lengths end at the same place.

/// After so many full pages of the length that pages were seen to hold, longer ones are tried again.
const TRY_LONGER_AFTER: u32 = 256;

/// What pages have shown about where the list ends and how much a page holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageEnds {
    /// A page that had fewer items than were asked for, though the list goes on.
    short_page: Option<ShortPage>,
    /// What pages were seen to hold, where it is less than they are asked for.
    capacity: Option<Capacity>,
}

/// A page that was cut short before the end of the list as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShortPage {
    offset: u64,
    items: u64,
    /// Orders were seen behind it: it was no end.
    has_followers: bool,
}

/// As many items as pages hold, whatever they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capacity {
    items: u64,
    /// Pages that were as full as they were asked to be, since this was seen.
    full_pages: u32,
}

impl ShortPage {
    fn end(self) -> u64 {
        self.offset + self.items
    }
}

impl PageEnds {
    /// Most items to ask for where `asked` are wanted: as many as two pages in a row, cut short, were
    /// seen to hold.
    pub(super) fn page_limit(&self, asked: u32) -> u32 {
        let shown = self.capacity.map_or(u64::MAX, |holds| holds.items.max(1));
        u32::try_from(shown).map_or(asked, |shown| asked.min(shown))
    }

    /// Whether the list may end with `count` orders, for all that pages have shown.
    pub(super) fn may_end_at(&self, count: u64) -> bool {
        let ends_there = |page: ShortPage| !page.has_followers && page.end() == count;
        self.short_page.is_some_and(ends_there)
    }

    /// There is an order at `position`.
    pub(super) fn learn_follower(&mut self, position: u64) {
        if let Some(page) = &mut self.short_page {
            page.has_followers |= position >= page.end();
        }
    }

    /// A page was as full as it was asked to be.
    pub(super) fn learn_full(&mut self) {
        if let Some(capacity) = &mut self.capacity {
            capacity.full_pages += 1;
        }
        self.capacity = self.capacity.filter(|c| c.full_pages < TRY_LONGER_AFTER);
    }

    /// A page of `items`, `asked` for more, ended before the end as known. Another one that ended there,
    /// and was longer or shorter, or shorter than pages can be, shows that it is the end, which is
    /// returned; else one of the same length shows that this is what a page holds.
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
            // That the one before was short says nothing of what pages hold either.
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

    /// The list ends at `total`: a page that ended there was not cut short.
    pub(super) fn shrink(&mut self, total: u64) {
        self.short_page = self.short_page.filter(|page| page.end() < total);
    }
}
