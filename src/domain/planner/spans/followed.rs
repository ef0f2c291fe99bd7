//! Searches the list for orders known only by their external id: one reading for all of them.
//!
//! The first search for an order reaches a few hours back from the insert of its row. Later ones go
//! on where the last one ended, since the order may still be created; if it stays unfound, one more
//! reads a month. No search shows that there is no such order: the list may reach further back than
//! is read, and grow later.

use std::time::Duration;

use crate::domain::time::UnixMillis;

/// An order is first searched for from this long before its row was inserted.
const FIRST_REACH: Duration = Duration::from_hours(2);
/// The furthest search.
const LONGEST_REACH: Duration = Duration::from_hours(31 * 24);
/// A row is searched for that far back only once it is this old.
const UNFOUND_FOR: Duration = Duration::from_mins(5);
/// Minimum time between two such searches.
const LONGEST_EVERY: Duration = Duration::from_hours(1);
/// Accuracy of the times of rows and of the two clocks.
const TOLERANCE: Duration = Duration::from_secs(2);
/// A new search begins this long before the beginning of the last one.
const OVERLAP: Duration = Duration::from_mins(1);

/// A complete reading, by the provider's clock. It covers the rows that were inserted before it.
#[derive(Clone, Copy, Debug)]
struct Search {
    from: UnixMillis,
    began: UnixMillis,
}

/// The searches of one account.
#[derive(Debug, Default)]
pub(super) struct FollowedSearch {
    /// When the rows that are searched for were inserted.
    wanted: Vec<UnixMillis>,
    /// Searches that reached back far enough for rows inserted before them.
    made: Vec<Search>,
    /// When the last one began.
    last_began: Option<UnixMillis>,
    longest_began: Option<UnixMillis>,
}

impl FollowedSearch {
    /// Sets when the rows were inserted whose orders are searched for.
    pub(super) fn want(&mut self, inserted: Vec<UnixMillis>) {
        self.wanted = inserted;
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Where the search that begins at `now` starts in the list; None = nothing is wanted.
    pub(super) fn take(&mut self, now: UnixMillis) -> Option<UnixMillis> {
        let wanted = std::mem::take(&mut self.wanted);
        // The clock may have been set back.
        let last = self.last_began.filter(|began| *began <= now);
        let needed = wanted.into_iter().map(|at| self.needed_from(at, last, now));
        let from = needed.min()?;
        if last.is_none_or(|began| from > began) {
            // The next one leaves a gap, so those before it cover no row any longer.
            self.made.clear();
        }
        Some(from)
    }

    fn needed_from(
        &self,
        inserted: UnixMillis,
        last: Option<UnixMillis>,
        now: UnixMillis,
    ) -> UnixMillis {
        let from = inserted.minus(self.reach(inserted, now));
        let surely_after = inserted.plus(TOLERANCE);
        let covers = |one: &Search| one.began >= surely_after && one.from <= from;
        match last.filter(|_| self.made.iter().any(covers)) {
            Some(began) => began.minus(OVERLAP),
            None => from,
        }
    }

    fn reach(&self, inserted: UnixMillis, now: UnixMillis) -> Duration {
        let is_new = now.since(inserted) < UNFOUND_FOR;
        let rests = |began: UnixMillis| began <= now && now.since(began) < LONGEST_EVERY;
        if is_new || self.longest_began.is_some_and(rests) {
            FIRST_REACH
        } else {
            LONGEST_REACH
        }
    }

    /// Records a complete search.
    pub(super) fn learn(&mut self, from: UnixMillis, began: UnixMillis) {
        self.last_began = Some(began);
        let reach = began.since(from);
        if reach < FIRST_REACH {
            return;
        }
        if reach >= LONGEST_REACH {
            self.longest_began = Some(began);
        }
        // A longer search that began later covers all that an earlier one did. Rows that are older
        // than the time between two of the longest have had one of these.
        self.made.retain(|one| {
            let is_recent = began.since(one.began) < LONGEST_EVERY * 2;
            one.from < from && (is_recent || one.began.since(one.from) >= LONGEST_REACH)
        });
        self.made.push(Search { from, began });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn search(searches: &mut FollowedSearch, rows: &[UnixMillis], now: UnixMillis) -> UnixMillis {
        searches.want(rows.to_vec());
        let from = searches.take(now).unwrap();
        assert!(!searches.is_wanted());
        searches.learn(from, now);
        from
    }

    #[test]
    fn a_search_continues_where_the_last_one_began() {
        let mut searches = FollowedSearch::default();
        let at = |seconds| NOW.plus(Duration::from_secs(seconds));
        for second in [1, 4] {
            // The first may have begun before the row was there.
            let from = search(&mut searches, &[NOW], at(second));
            assert_eq!(from, NOW.minus(FIRST_REACH));
        }
        for second in [7, 10, 13] {
            let from = search(&mut searches, &[NOW], at(second));
            assert_eq!(from, at(second - 3).minus(OVERLAP));
        }
        assert_eq!(searches.made.len(), 1, "short ones are not remembered");
    }

    /// Its order may have been read before the row was there.
    #[test]
    fn a_row_inserted_after_a_search_is_searched_for_from_its_own_time() {
        let mut searches = FollowedSearch::default();
        let later = NOW.plus(Duration::from_mins(3));
        search(&mut searches, &[NOW], NOW.plus(TOLERANCE));
        let begun = later.plus(TOLERANCE);
        let from = search(&mut searches, &[NOW, later], begun);
        assert_eq!(from, later.minus(FIRST_REACH));
        let last = later.plus(Duration::from_secs(5));
        assert_eq!(
            search(&mut searches, &[NOW, later], last),
            begun.minus(OVERLAP)
        );
    }

    #[test]
    fn what_stays_unfound_is_searched_for_once_a_month_back() {
        let mut searches = FollowedSearch::default();
        search(&mut searches, &[NOW], NOW);
        let old = NOW.plus(UNFOUND_FOR);
        assert_eq!(search(&mut searches, &[NOW], old), NOW.minus(LONGEST_REACH));
        let next = old.plus(Duration::from_mins(1));
        assert_eq!(search(&mut searches, &[NOW], next), old.minus(OVERLAP));
        // Others wait for the next long one.
        let other = next.plus(UNFOUND_FOR);
        assert_eq!(
            search(&mut searches, &[next], other),
            next.minus(FIRST_REACH)
        );
        let hour = old.plus(LONGEST_EVERY);
        assert_eq!(
            search(&mut searches, &[NOW, next], hour),
            next.minus(LONGEST_REACH)
        );
        let after = hour.plus(LONGEST_EVERY * 3);
        assert_eq!(
            search(&mut searches, &[NOW, next], after),
            hour.minus(OVERLAP)
        );
    }

    #[test]
    fn after_a_gap_and_a_clock_set_back_a_search_begins_anew() {
        let mut searches = FollowedSearch::default();
        search(&mut searches, &[NOW], NOW);
        let later = NOW.plus(Duration::from_hours(9));
        assert_eq!(
            search(&mut searches, &[later], later),
            later.minus(FIRST_REACH)
        );
        let before = later.minus(Duration::from_hours(1));
        assert_eq!(
            search(&mut searches, &[before], before),
            before.minus(FIRST_REACH)
        );
    }
}
