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
    /// The page that was cut short before it had as many items: that is what a page holds.
    is_limit: bool,
    /// Full pages since then.
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
        let limit = self.short_page.filter(|page| page.is_limit);
        let shown = limit.map_or(u64::MAX, |page| page.items.max(1));
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
        if let Some(page) = &mut self.short_page {
            page.full_pages += 1;
            page.is_limit &= page.full_pages < TRY_LONGER_AFTER;
        }
    }

    /// A page of `items` ended before the end as known. Another one that ended there, and was longer or
    /// shorter, shows that it is the end; one of the same length, that this is what a page holds.
    pub(super) fn learn_short(&mut self, offset: u64, items: u64) {
        let page = ShortPage {
            offset,
            items,
            has_followers: false,
            is_limit: self.short_page.is_some_and(|before| before.items == items),
            full_pages: 0,
        };
        let ended_there = |other: ShortPage| other.end() == page.end() && other.items != items;
        if self.short_page.is_some_and(ended_there) {
            self.shrunk(page.end());
        } else {
            self.short_page = Some(page);
        }
    }
}
