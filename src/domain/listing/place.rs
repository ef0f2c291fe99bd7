//! From a creation time to a place in the list.

use super::positions::{MARGIN, Positions, Sample};
use crate::domain::time::UnixMillis;

/// Where an order of a given creation time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// About here.
    At {
        /// From 0.
        position: u64,
        /// It is at most this many places away.
        within: u64,
    },
    /// At the end: newer than all that is known. `tail` covers it.
    Tail,
    /// Nothing is known of the list.
    Unknown,
}

impl Positions {
    /// Where an order created at `created_at` stands.
    pub fn place_of(&self, created_at: UnixMillis) -> Estimate {
        if self.total == 0 {
            return Estimate::Unknown;
        }
        let bracket = self.bracket(created_at);
        let Bracket { low, high, .. } = bracket;
        if bracket.is_after_all() && high - low <= MARGIN {
            return Estimate::Tail;
        }
        let position = bracket.likely(created_at);
        Estimate::At {
            position,
            within: (position - low).max(high - position) + MARGIN,
        }
    }

    /// The next single item to read, so that one page of `page_limit` items will hold the order
    /// created at `created_at`; None = one page does already, by `page_around`. Whatever the
    /// answers are, after each that `learn_page` took a time or an end from, fewer places are left.
    /// An answer that told neither teaches nothing: do not ask again.
    pub fn probe(&self, created_at: UnixMillis, page_limit: u32) -> Option<u64> {
        let bracket = self.bracket(created_at);
        let limit = u64::from(page_limit.max(1));
        let Some((first, last)) = bracket.same else {
            let narrow = limit - (2 * MARGIN).min(limit / 2);
            return (bracket.width() > narrow).then(|| bracket.middle());
        };
        // The order is one of those of the same moment. Usually few: see that no more stand half a
        // page away. If some do, a page around the middle is the best guess there is.
        let half = (limit / 2).max(1);
        if bracket.width() <= limit || last - first >= half {
            None
        } else if first - bracket.low > half {
            Some(first - half)
        } else {
            (bracket.high - last > half).then_some(last + half)
        }
    }

    /// Offset and count of the page that holds the order created at `created_at`, with a margin;
    /// None while more probes are needed.
    pub fn page_around(&self, created_at: UnixMillis, page_limit: u32) -> Option<(u64, u32)> {
        if page_limit == 0 || self.probe(created_at, page_limit).is_some() {
            return None;
        }
        let bracket = self.bracket(created_at);
        let limit = u64::from(page_limit);
        let middle = bracket.middle();
        let offset = middle
            .saturating_sub(limit / 2)
            .max(bracket.low.saturating_sub(MARGIN));
        let end = (middle + limit.div_ceil(2)).min(bracket.high + MARGIN);
        let count = u32::try_from(end.saturating_sub(offset)).unwrap_or(page_limit);
        Some((offset, count.min(page_limit)))
    }

    /// Offset and count of the page that watches the newest orders: from the floor on if that is
    /// not more than a page, else the last page, a margin beyond the end. It asks for a whole page,
    /// since what does not exist costs nothing and new orders show. After a full page that reached
    /// the end as known it goes on there: more may follow.
    pub fn tail(&self, page_limit: u32) -> (u64, u32) {
        let page_limit = self.page_limit(page_limit);
        let limit = u64::from(page_limit);
        let margin = MARGIN.min(limit / 2);
        let offset = if self.goes_on {
            self.total.saturating_sub(margin)
        } else {
            (self.total + margin).saturating_sub(limit)
        };
        (offset.max(self.floor), page_limit)
    }

    fn bracket(&self, created_at: UnixMillis) -> Bracket {
        let older = self.samples.partition_point(|s| s.created_at < created_at);
        let (before, rest) = self.samples.split_at(older);
        let (same, after) = rest.split_at(rest.partition_point(|s| s.created_at == created_at));
        let (below, above) = (before.last().copied(), after.first().copied());
        Bracket {
            low: below.map_or(0, |s| s.position + 1),
            high: above.map_or(self.total, |s| s.position),
            below,
            above,
            same: same
                .first()
                .map(|s| s.position)
                .zip(same.last().map(|s| s.position)),
        }
    }
}

/// The places that samples leave for a creation time.
struct Bracket {
    /// From this place on.
    low: u64,
    /// Up to and without this one.
    high: u64,
    /// The samples just outside, where there are any.
    below: Option<Sample>,
    above: Option<Sample>,
    /// First and last sample of exactly this time.
    same: Option<(u64, u64)>,
}

impl Bracket {
    fn width(&self) -> u64 {
        self.high - self.low
    }

    fn is_after_all(&self) -> bool {
        self.below.is_some() && self.above.is_none() && self.same.is_none()
    }

    fn middle(&self) -> u64 {
        let (from, to) = self.same.unwrap_or((self.low, self.high));
        from + (to - from) / 2
    }

    /// By interpolation between the samples outside, else the middle.
    fn likely(&self, created_at: UnixMillis) -> u64 {
        let (Some(below), Some(above), None) = (self.below, self.above, self.same) else {
            return self.middle();
        };
        let places = u128::from(above.position - below.position);
        let elapsed = u128::from(created_at.0.abs_diff(below.created_at.0));
        // Not 0: one lies before, the other after.
        let span = u128::from(above.created_at.0.abs_diff(below.created_at.0)).max(1);
        let ahead = u64::try_from(places * elapsed / span).unwrap_or(0);
        (below.position + ahead).clamp(self.low, self.high)
    }
}
