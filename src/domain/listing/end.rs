//! What a page says about its end.
//!
//! A page with fewer items than were asked for is no proof that the list ends there: a provider may put
//! fewer on a page than it is asked for. The list ends where the provider's count says, where a page that
//! begins there is empty, or where two pages of different lengths end at the same place.

use super::positions::{PageSummary, Positions};

/// A page that was cut short before the end of the list as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShortPage {
    offset: u64,
    items: u64,
    /// Orders were seen behind it: it was no end.
    has_followers: bool,
}

/// As many items as pages hold, whatever they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    items: u64,
    /// Pages that were as full as they were asked to be, since this was seen.
    full_pages: u32,
}

/// After so many full pages of the length that pages were seen to hold, longer ones are tried again.
const TRY_LONGER_AFTER: u32 = 256;

impl ShortPage {
    pub(super) fn end(self) -> u64 {
        self.offset + self.items
    }

    /// Whether the list may end with it, for all that pages have shown.
    pub(super) fn may_be_last(self) -> bool {
        !self.has_followers
    }
}

impl Positions {
    /// Most items to ask for where `asked` are wanted: as many as two pages in a row, cut short, were
    /// seen to hold.
    pub fn page_limit(&self, asked: u32) -> u32 {
        let shown = self.capacity.map_or(u64::MAX, |holds| holds.items.max(1));
        u32::try_from(shown).map_or(asked, |shown| asked.min(shown))
    }

    /// Whether a page that was just learned ended before what it was asked for and before the end of
    /// the list: it is no word about what stands behind it.
    pub fn was_cut_short(&self, page: &PageSummary) -> bool {
        page.items < page.asked.into() && page.offset.saturating_add(page.items) < self.total
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
    /// and was longer or shorter, or shorter than pages can be, shows that it is the end; else one of the
    /// same length shows that this is what a page holds.
    pub(super) fn learn_short(&mut self, offset: u64, items: u64, asked: u32) {
        let page = ShortPage {
            offset,
            items,
            has_followers: false,
        };
        let is_within_capacity = self.capacity.is_some_and(|c| u64::from(asked) <= c.items);
        let before = self.short_page.replace(page);
        let Some(before) = before else { return };
        let is_as_long = before.items == items;
        if before.end() == page.end() && (!is_as_long || is_within_capacity) {
            // That the one before was short says nothing of what pages hold either.
            self.capacity = self.capacity.filter(|c| c.items != before.items);
            self.shrunk(page.end());
        } else if is_as_long && !is_within_capacity {
            self.capacity = Some(Capacity {
                items,
                full_pages: 0,
            });
        }
    }
}
