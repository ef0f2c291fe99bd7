//! Where a bot's ledger ends, and through which moment all of it was shown.
//!
//! The service counts entries that are not in Stars and leaves them out, so an empty page is no proof:
//! any number of them may stand before the next payment. The bot's balance is one. It is the sum of all
//! entries, so while it differs from the sum of those shown by the same amount as before, nothing else
//! has moved.
//!
//! When it differs otherwise, or is not told, the pages behind the end are asked for, one in each
//! reading. When `SEARCH_PAGES` in a row are empty, the difference is taken for the new one: it is
//! unknown at the first start, and Stars that Apple or Google claim back may have no entry.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PAGE_LIMIT;
use super::ledger::{StarsMove, UNREADABLE};
use crate::domain::time::UnixMillis;

/// The end of the ledger is proved so often. A proof is one more request.
pub(super) const PROVE_EVERY: Duration = Duration::from_secs(10);
/// Empty pages in a row that prove the end where the balance does not.
pub(super) const SEARCH_PAGES: u64 = 10;

/// What is known of the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LedgerEnd {
    /// Sum of the entries shown, in billionths of a Star.
    sum: i128,
    /// The newest of them.
    last: Option<String>,
    /// The balance less that sum, when the end was last proved.
    rest: Option<i128>,
    /// All that happened before this moment, by the service's clock, was shown.
    proved_at: Option<i64>,
    search: Option<EndSearch>,
}

/// The empty pages that were found behind the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EndSearch {
    /// The balance less the sum, where told.
    rest: Option<i128>,
    /// When the end was empty, before the first of them was asked for.
    began_at: Option<i64>,
    /// The offset of the first of them.
    first: u64,
    pages: u64,
}

impl LedgerEnd {
    /// All that happened before this moment was shown.
    pub(super) fn proved_at(&self) -> Option<UnixMillis> {
        self.proved_at.map(UnixMillis)
    }

    /// Whether the last proof is fresh enough at `now`.
    pub(super) fn is_proved(&self, now: Option<UnixMillis>) -> bool {
        self.proved_at()
            .zip(now)
            .is_some_and(|(proved, now)| proved <= now && now < proved.plus(PROVE_EVERY))
    }

    /// Adds what a page shows. The beginning of a page may repeat the one before. Returns whether
    /// anything on it is new.
    pub(super) fn add(&mut self, moves: &[StarsMove]) -> bool {
        let known = self.place_of_last(moves).map_or(0, |at| at + 1);
        let new = moves.get(known..).unwrap_or_default();
        self.sum += new.iter().map(|one| one.nanos).sum::<i128>();
        if let Some(newest) = new.last() {
            self.last = Some(newest.key.clone());
        }
        !new.is_empty()
    }

    /// The entries of a page are too old to be read. The newest of them is known all the same.
    pub(super) fn pass_over(&mut self, moves: &[StarsMove]) {
        if let Some(newest) = moves.last() {
            self.last = Some(newest.key.clone());
        }
    }

    /// Whether a newest entry is known, and can be recognised when it is shown again: one that could not be
    /// read may be written another way then.
    pub(super) fn has_last(&self) -> bool {
        let last = self.last.as_deref();
        last.is_some_and(|key| !key.starts_with(UNREADABLE))
    }

    /// The place on a page of the newest entry known so far, if the page shows it.
    pub(super) fn place_of_last(&self, moves: &[StarsMove]) -> Option<usize> {
        let is_last = |one: &StarsMove| Some(&one.key) == self.last.as_ref();
        moves.iter().rposition(is_last)
    }

    /// Compares the balance with what was shown, after the page at `count` was empty at `asked_at`.
    /// Returns whether that proves the end; otherwise, a page behind it is to be asked for.
    pub(super) fn compare(
        &mut self,
        balance: Option<i128>,
        count: u64,
        asked_at: Option<UnixMillis>,
    ) -> bool {
        let rest = balance.map(|balance| balance - self.sum);
        let began_at = asked_at.map(|at| at.0);
        if rest.is_some() && rest == self.rest {
            self.prove(began_at);
            return true;
        }
        let same = |one: &&mut EndSearch| rest.is_none() || one.rest.is_none() || one.rest == rest;
        if let Some(search) = self.search.as_mut().filter(same) {
            // A balance that was not told once is no reason to begin anew.
            search.rest = search.rest.or(rest);
        } else {
            self.search = Some(EndSearch {
                rest,
                began_at,
                first: count + PAGE_LIMIT,
                pages: 0,
            });
        }
        false
    }

    /// The offset of the next page behind the end; `count`, where none is searched for.
    pub(super) fn next_offset(&self, count: u64) -> u64 {
        let search = self.search.as_ref();
        search.map_or(count, |one| one.first + one.pages * PAGE_LIMIT)
    }

    /// The page behind the end was empty.
    pub(super) fn note_empty(&mut self) {
        let Some(search) = &mut self.search else {
            return;
        };
        search.pages += 1;
        if search.pages == SEARCH_PAGES {
            self.rest = search.rest;
            let began_at = search.began_at;
            self.prove(began_at);
        }
    }

    /// The page behind the end showed something: it was no end.
    pub(super) fn note_more(&mut self) {
        self.search = None;
    }

    fn prove(&mut self, at: Option<i64>) {
        self.proved_at = at.or(self.proved_at);
        self.search = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_780_000_000_000);

    fn moves(entries: &[(&str, i128)]) -> Vec<StarsMove> {
        let one = |(key, nanos): &(&str, i128)| StarsMove {
            key: (*key).into(),
            nanos: *nanos,
        };
        entries.iter().map(one).collect()
    }

    /// The end of a ledger whose balance was 1000 when nothing had been shown.
    fn known_end() -> LedgerEnd {
        let mut end = LedgerEnd::default();
        for pages in 0..SEARCH_PAGES {
            assert!(!end.compare(Some(1000), 40, Some(NOON)));
            assert_eq!(end.next_offset(40), 140 + pages * PAGE_LIMIT);
            assert_eq!(end.proved_at(), None, "after {pages} pages");
            end.note_empty();
        }
        assert_eq!(end.proved_at(), Some(NOON));
        end
    }

    #[test]
    fn a_balance_that_all_entries_explain_proves_the_end() {
        let mut end = known_end();
        let later = NOON.plus(PROVE_EVERY);
        assert!(end.is_proved(Some(NOON)) && !end.is_proved(Some(later)) && !end.is_proved(None));
        end.add(&moves(&[("in a", 50), ("out a", -50), ("in b", 7)]));
        assert!(end.compare(Some(1007), 43, Some(later)));
        assert_eq!(end.proved_at(), Some(later));
    }

    #[test]
    fn a_search_goes_on_while_the_balance_is_not_told_and_begins_anew_when_it_changes() {
        let mut end = known_end();
        end.add(&moves(&[("in a", 50)]));
        for (balance, offset) in [
            (None, 141),
            (Some(1020), 241),
            (None, 341),
            (Some(1020), 441),
            (Some(1030), 141),
        ] {
            assert!(!end.compare(balance, 41, Some(NOON)));
            assert_eq!(end.next_offset(41), offset, "{balance:?}");
            end.note_empty();
        }
    }

    #[test]
    fn entries_that_a_page_repeats_count_once() {
        let mut end = known_end();
        end.add(&moves(&[("in a", 50), ("out a", -50)]));
        end.add(&moves(&[("in a", 50), ("out a", -50), ("in b", 7)]));
        end.add(&moves(&[("in b", 7)]));
        assert!(end.compare(Some(1007), 43, Some(NOON)));
    }

    #[test]
    fn a_balance_that_nothing_explains_is_searched_for_and_then_taken_as_it_is() {
        let mut end = known_end();
        let later = NOON.plus(PROVE_EVERY);
        for balance in [Some(1500), None] {
            let mut end = end.clone();
            for _ in 0..SEARCH_PAGES {
                assert!(!end.compare(balance, 40, Some(later)), "{balance:?}");
                assert_eq!(end.proved_at(), Some(NOON), "{balance:?}");
                end.note_empty();
            }
            assert_eq!(end.proved_at(), Some(later), "{balance:?}");
            assert_eq!(end.compare(balance, 40, Some(later)), balance.is_some());
        }
        // A payment that comes between two requests explains it.
        assert!(!end.compare(Some(1500), 40, Some(later)));
        end.add(&moves(&[("in c", 500)]));
        assert!(end.compare(Some(1500), 41, Some(later)));
    }

    #[test]
    fn a_search_begins_anew_with_another_balance() {
        let mut end = known_end();
        end.compare(Some(1500), 40, Some(NOON));
        end.note_empty();
        assert_eq!(end.next_offset(40), 240);
        end.compare(Some(1600), 41, Some(NOON));
        assert_eq!(end.next_offset(41), 141);
        end.note_more();
        assert_eq!(end.next_offset(41), 41);
    }
}
