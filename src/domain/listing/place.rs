//! Estimates a position in the list from a creation time.

use super::positions::{MARGIN, Positions, Sample};
use crate::domain::time::UnixMillis;

/// The estimated position of an order with a given creation time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// Close to `position`.
    At {
        /// Counted from 0.
        position: u64,
        /// Maximum distance from `position`.
        within: u64,
    },
    /// At the end: newer than every known order. `tail` covers it.
    Tail,
    /// Nothing is known about the list.
    Unknown,
}

impl Positions {
    /// The estimated position of an order created at `created_at`.
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

    /// The next single item to read, so that eventually one page of `page_limit` items holds the
    /// order created at `created_at`; None = one page already does, see `page_around`. Each answer
    /// from which `learn_page` took a time or an end reduces the number of possible places. An
    /// answer with neither changes nothing and must not be requested again.
    pub fn probe(&self, created_at: UnixMillis, page_limit: u32) -> Option<u64> {
        let bracket = self.bracket(created_at);
        let limit = u64::from(page_limit.max(1));
        let Some((first, last)) = bracket.same else {
            let narrow = limit - (2 * MARGIN).min(limit / 2);
            return (bracket.width() > narrow).then(|| bracket.middle());
        };
        // Several orders may have this creation time, usually few. Check that no more of them are
        // half a page away; if some are, a page around the middle is the best estimate.
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

    /// Offset and count of the page that watches the newest orders: from the floor on if that fits
    /// one page, else the last page, extended by a margin beyond the end. A whole page is
    /// requested, since missing items cost nothing and new orders appear. After a full page that
    /// reached the known end it continues there, because more may follow.
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

/// The possible places of a creation time, limited by samples.
struct Bracket {
    /// The first possible place.
    low: u64,
    /// The end of the possible places, exclusive.
    high: u64,
    /// The samples on either side, where there are any.
    below: Option<Sample>,
    above: Option<Sample>,
    /// The first and last sample with exactly this time.
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

    /// By interpolation between the samples on either side, else the middle.
    fn likely(&self, created_at: UnixMillis) -> u64 {
        let (Some(below), Some(above), None) = (self.below, self.above, self.same) else {
            return self.middle();
        };
        let places = u128::from(above.position - below.position);
        let elapsed = u128::from(created_at.0.abs_diff(below.created_at.0));
        // Not 0: one is before, the other after.
        let span = u128::from(above.created_at.0.abs_diff(below.created_at.0)).max(1);
        let ahead = u64::try_from(places * elapsed / span).unwrap_or(0);
        (below.position + ahead).clamp(self.low, self.high)
    }
}
