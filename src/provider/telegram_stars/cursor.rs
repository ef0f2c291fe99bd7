//! The position in a bot's ledger: a number of transactions, counted from the oldest.
//!
//! Transactions older than where reading begins are passed over by halving: the search keeps an offset
//! whose page is all too old (`low`) and one whose page is not (`high`), and asks between the two.
//!
//! A page without transactions may stand in the middle: the service counts what is not in Stars, and
//! leaves it out. Where something was shown further on, such a page is passed over. At the end, the bot's
//! balance is compared with what was shown (`end`), every `PROVE_EVERY`; a reading counts as complete
//! through the last such proof.
//!
//! A page tells no places: its entries stand anywhere from its offset on. Where it shows nothing but what is
//! known, since the newest entry stands behind some that are left out, that one's place is searched for
//! (`Locate`). Reading goes on behind it; from an offset before it nothing would be missed either.
//!
//! Where a reading ended, the newest entry stands just before its place. With a new key the next one begins
//! there, and a page that does not show that entry is of the ledger of another bot.

use serde::{Deserialize, Serialize};

use super::PAGE_LIMIT;
use super::end::LedgerEnd;
use super::ledger::Entries;
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::time::UnixMillis;

/// What the next request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StarsQuestion {
    /// Transactions after so many.
    Page { offset: u64 },
    /// The bot's balance.
    Balance,
}

/// Where the next request reads, and what is known of the ledger's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StarsCursor {
    step: StarsStep,
    /// The ledger reaches at least so far: something was shown just before this offset.
    reach: u64,
    end: LedgerEnd,
    /// Whether the newest entry known stands just before the place, as it does where a reading ended.
    #[serde(default)]
    repeats: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StarsStep {
    /// All before `low` is too old; what stands at `high`, where that is known, is not. The next
    /// request asks at `at`.
    Search {
        low: u64,
        high: Option<u64>,
        at: u64,
    },
    /// Number of transactions that were read or skipped.
    Read(u64),
    /// The newest entry known stands at `low` or behind it, and before `high`. The next request asks at `at`.
    Locate { low: u64, high: u64, at: u64 },
    /// As many, and a request that was answered at `asked_at` showed nothing there: the balance is
    /// asked for.
    Balance { count: u64, asked_at: Option<i64> },
    /// As many, and the balance proves no end: the page at `at` is asked for.
    Behind { count: u64, at: u64 },
}

impl StarsCursor {
    fn beginning() -> Self {
        Self {
            step: StarsStep::Search {
                low: 0,
                high: None,
                at: 0,
            },
            reach: 0,
            end: LedgerEnd::default(),
            repeats: false,
        }
    }

    /// What `text` wrote; the beginning for none, and for what cannot be read.
    pub(super) fn parse(cursor: Option<&LedgerCursor>) -> Self {
        cursor
            .and_then(|cursor| serde_json::from_str(&cursor.0).ok())
            .unwrap_or_else(Self::beginning)
    }

    fn text(&self) -> LedgerCursor {
        LedgerCursor(serde_json::to_string(self).unwrap_or_default())
    }

    /// The same place where this bot's ledger is known to be the one that was read: the newest entry is not
    /// asked for again.
    pub(super) fn of_known_bot(self) -> Self {
        Self {
            repeats: false,
            ..self
        }
    }

    /// Whether the next page shows if the ledger is the one that was read before.
    pub(super) fn checks_bot(&self) -> bool {
        self.repeats && matches!(self.step, StarsStep::Read(_))
    }

    pub(super) fn question(&self) -> StarsQuestion {
        let offset = match self.step {
            StarsStep::Search { at, .. }
            | StarsStep::Locate { at, .. }
            | StarsStep::Behind { at, .. } => at,
            StarsStep::Read(count) => count.saturating_sub(u64::from(self.repeats)),
            StarsStep::Balance { .. } => return StarsQuestion::Balance,
        };
        StarsQuestion::Page { offset }
    }

    /// Where it goes on after the page at `offset`, and whether the reading ends.
    pub(super) fn after_page(
        mut self,
        offset: u64,
        page: &Entries,
        from: Option<UnixMillis>,
        answered_at: Option<UnixMillis>,
    ) -> LedgerStep {
        let shown = page.moves.len() as u64;
        if shown > 0 {
            self.reach = self.reach.max(offset + shown);
        }
        let repeats = std::mem::take(&mut self.repeats);
        if repeats && !self.shows_newest(page) {
            return LedgerStep::Other;
        }
        let is_new = matches!(self.step, StarsStep::Read(_)) && self.end.add(&page.moves);
        self.step = match self.step {
            StarsStep::Search { low, high, at } => {
                // The whole page is too old when its newest is.
                let is_old = page
                    .newest_at
                    .zip(from)
                    .is_some_and(|(newest, from)| newest < from);
                if is_old {
                    self.end.pass_over(&page.moves);
                    StarsStep::narrowed(at + shown, high)
                } else {
                    StarsStep::narrowed(low, Some(at))
                }
            }
            StarsStep::Read(_) if is_new => StarsStep::Read(offset + shown),
            // Only an empty page is an end: a short one may show the newest entry known alone.
            StarsStep::Read(count) if repeats => StarsStep::Read(count),
            StarsStep::Read(count) if shown > 0 => {
                StarsStep::between(count, count + PAGE_LIMIT, count + 1)
            }
            StarsStep::Locate { low, high, at } => {
                if self.end.place_of_last(&page.moves).is_some() {
                    // The steps double, and never pass the middle.
                    let next = (at + 2 * (at - low)).min(at + (high - at) / 2);
                    StarsStep::between(at, high, next)
                } else {
                    StarsStep::between(low, at, low + (at - low) / 2)
                }
            }
            // What stands here is left out by the service.
            StarsStep::Read(count) if count < self.reach => {
                StarsStep::Read(self.reach.min(count + PAGE_LIMIT))
            }
            StarsStep::Read(_) if self.end.is_proved(answered_at) => return self.finish(),
            StarsStep::Read(count) => StarsStep::Balance {
                count,
                asked_at: answered_at.map(|at| at.0),
            },
            // What came in between may stand at `count` now, so that is asked again.
            StarsStep::Behind { count, .. } if shown > 0 => {
                self.end.note_more();
                StarsStep::Read(count)
            }
            StarsStep::Behind { count, .. } => {
                self.end.note_empty();
                self.step = StarsStep::Read(count);
                return self.finish();
            }
            StarsStep::Balance { .. } => self.step,
        };
        LedgerStep::More(self.text())
    }

    /// Where it goes on after the balance, in billionths; None: it was not told.
    pub(super) fn after_balance(mut self, balance: Option<i128>) -> LedgerStep {
        let StarsStep::Balance { count, asked_at } = self.step else {
            return LedgerStep::More(self.text());
        };
        let is_proved = self.end.compare(balance, count, asked_at.map(UnixMillis));
        if is_proved {
            self.step = StarsStep::Read(count);
            return self.finish();
        }
        let at = self.end.next_offset(count);
        self.step = StarsStep::Behind { count, at };
        LedgerStep::More(self.text())
    }

    /// Whether a page shows the newest entry known. One that cannot be read may be that one.
    fn shows_newest(&self, page: &Entries) -> bool {
        !page.unreadable.is_empty() || self.end.place_of_last(&page.moves).is_some()
    }

    fn finish(mut self) -> LedgerStep {
        self.repeats = self.end.has_last();
        LedgerStep::End {
            cursor: self.text(),
            through: self.end.proved_at(),
        }
    }
}

impl StarsStep {
    /// Locates an entry between `low` and `high`; what is next to `low` is behind it.
    fn between(low: u64, high: u64, at: u64) -> Self {
        if high <= low + 1 {
            return Self::Read(high);
        }
        let at = at.clamp(low + 1, high - 1);
        Self::Locate { low, high, at }
    }

    fn narrowed(low: u64, high: Option<u64>) -> Self {
        match high {
            None => Self::Search {
                low,
                high,
                at: (low * 2).max(PAGE_LIMIT),
            },
            Some(high) if high <= low + PAGE_LIMIT => Self::Read(low),
            Some(high) => Self::Search {
                low,
                high: Some(high),
                at: low + (high - low) / 2,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::provider::telegram_stars::end::{PROVE_EVERY, SEARCH_PAGES};
    use crate::provider::telegram_stars::ledger::StarsMove;

    /// A ledger of `count` transactions of one billionth, one a second, of which those in `hidden` are
    /// not shown.
    struct Book {
        count: u64,
        hidden: Range<u64>,
        /// Begins the ids.
        bot: &'static str,
    }

    /// What came of a reading.
    struct Read {
        requests: u64,
        seen: Vec<u64>,
        cursor: LedgerCursor,
        through: Option<UnixMillis>,
    }

    impl Book {
        fn shown(&self, places: Range<u64>) -> Vec<u64> {
            places.filter(|at| !self.hidden.contains(at)).collect()
        }

        fn page(&self, offset: u64) -> (Entries, Vec<u64>) {
            let shown = self.shown(offset..self.count.min(offset + PAGE_LIMIT));
            let bot = self.bot;
            let moved = |at: &u64| StarsMove {
                key: format!("in {bot}{at}"),
                nanos: 1,
            };
            let page = Entries {
                transactions: Vec::new(),
                unreadable: Vec::new(),
                moves: shown.iter().map(moved).collect(),
                newest_at: shown.last().map(|at| moment(*at)),
            };
            (page, shown)
        }

        /// Reads on to the end at `now`.
        fn read(&self, first: u64, cursor: Option<LedgerCursor>, now: UnixMillis) -> Read {
            let (mut cursor, mut requests, mut seen) = (cursor, 0, Vec::new());
            loop {
                let place = StarsCursor::parse(cursor.as_ref()).of_known_bot();
                requests += 1;
                let reads = matches!(place.step, StarsStep::Read(_));
                let step = match place.question() {
                    StarsQuestion::Balance => {
                        let balance = self.shown(0..self.count).len() as u64;
                        place.after_balance(Some(balance.into()))
                    }
                    StarsQuestion::Page { offset } => {
                        let (page, shown) = self.page(offset);
                        if reads {
                            seen.extend(shown.into_iter().filter(|at| *at >= first));
                        }
                        place.after_page(offset, &page, Some(moment(first)), Some(now))
                    }
                };
                match step {
                    LedgerStep::More(next) => cursor = Some(next),
                    LedgerStep::Other => panic!("another ledger at {cursor:?}"),
                    LedgerStep::End { cursor, through } => {
                        // A page that leaves some out is followed by one that overlaps it; repeats are
                        // dropped by their ids.
                        seen.sort_unstable();
                        seen.dedup();
                        return Read {
                            requests,
                            seen,
                            cursor,
                            through,
                        };
                    }
                }
            }
        }

        /// Reads until the end is proved.
        fn read_all(&self, first: u64) -> Read {
            let mut read = self.read(first, None, NOW);
            while read.through.is_none() {
                let next = self.read(first, Some(read.cursor), NOW);
                read.seen.extend(next.seen);
                read = Read {
                    seen: read.seen,
                    ..next
                };
            }
            read
        }
    }

    fn moment(second: u64) -> UnixMillis {
        UnixMillis(i64::try_from(second).unwrap() * 1000)
    }

    const NOW: UnixMillis = UnixMillis(9_000_000_000);

    #[test]
    fn new_transactions_are_read_once_and_a_long_ledger_takes_few_requests() {
        for (count, first, most) in [
            (0, 0, 4),
            (1, 0, 5),
            (100, 100, 7),
            (10_000, 10_000, 20),
            (10_000, 9_950, 20),
            (1_000_000, 999_999, 33),
            (250, 0, 7),
        ] {
            let book = Book {
                count,
                hidden: 0..0,
                bot: "",
            };
            let read = book.read(first, None, NOW);
            let expected: Vec<u64> = (first..count).collect();
            assert_eq!(read.seen, expected, "{count} {first}");
            let requests = read.requests;
            assert!(requests <= most, "{count} {first}: {requests} requests");
            assert_eq!(read.through, None, "the end is not proved yet");
            assert_eq!(book.read_all(first).through, Some(NOW));
        }
    }

    /// The service leaves out what is not in Stars, and counts it.
    #[test]
    fn empty_pages_in_the_middle_hide_nothing_behind_them() {
        let all = [0..100, 10..115, 100..200, 40..239, 5..9, 30..1030, 0..999];
        for hidden in all {
            for first in [0, 20, 1040] {
                let book = Book {
                    count: 1060,
                    hidden: hidden.clone(),
                    bot: "",
                };
                let read = book.read_all(first);
                let new = book.shown(first..1060);
                let all_seen = new.iter().all(|at| read.seen.contains(at));
                assert!(all_seen, "{hidden:?} {first}: {:?}", read.seen);
                let again = book.read(first, Some(read.cursor), NOW);
                assert_eq!(again.requests, 1, "{hidden:?} {first}: the end is known");
            }
        }
    }

    /// A page shows a payment that stands 99 places behind its offset, and shows it again from each of
    /// the places between.
    #[test]
    fn the_place_of_a_payment_behind_entries_that_are_left_out_takes_few_requests() {
        for place in [31, 32, 50, 77, 128, 129] {
            let mut book = Book {
                count: 30,
                hidden: 30..place,
                bot: "",
            };
            let known = book.read_all(0);
            book.count = place + 1;
            let read = book.read(0, Some(known.cursor), NOW.plus(PROVE_EVERY));
            assert_eq!(read.seen, [place]);
            assert!(read.requests <= 16, "{place}: {}", read.requests);
            assert_eq!(read.through, Some(NOW.plus(PROVE_EVERY)), "{place}");
            book.count += 2;
            let new = book.read(0, Some(read.cursor), NOW.plus(2 * PROVE_EVERY));
            assert_eq!(new.seen, [place + 1, place + 2]);
            assert_eq!(new.requests, 3, "{place}: page, end, balance");
        }
    }

    /// Law 2: until what stands behind empty pages was shown, no reading is complete.
    #[test]
    fn payments_behind_many_empty_pages_are_found_before_a_reading_counts_as_complete() {
        let mut book = Book {
            count: 30,
            hidden: 30..835,
            bot: "",
        };
        let known = book.read_all(0);
        assert_eq!(known.through, Some(NOW));
        book.count = 840;
        let soon = NOW.plus(PROVE_EVERY.mul_f64(0.9));
        let read = book.read(0, Some(known.cursor), soon);
        assert_eq!((read.requests, read.through), (1, Some(NOW)));
        let later = NOW.plus(PROVE_EVERY);
        let mut read = book.read(0, Some(read.cursor), later);
        for _ in 0..SEARCH_PAGES {
            if !read.seen.is_empty() {
                break;
            }
            assert_eq!(read.through, Some(NOW), "the balance tells that more moved");
            read = book.read(0, Some(read.cursor), later);
        }
        assert_eq!(read.seen, (835..840).collect::<Vec<_>>());
        assert_eq!(read.through, Some(later));
        assert_eq!(book.read(0, Some(read.cursor), later).requests, 1);
    }

    #[test]
    fn the_ledger_of_another_bot_is_noticed_with_its_key() {
        let hidden = 0..0;
        for (known, count) in [(30, 30), (30, 0), (30, 5), (30, 500), (130, 131)] {
            let ours = Book {
                count: known,
                hidden: hidden.clone(),
                bot: "",
            };
            // Too old to be read, or read.
            for first in [0, known] {
                let read = ours.read_all(first);
                let again = ours.read(first, Some(read.cursor.clone()), NOW);
                assert_eq!(again.requests, 1, "{known} {first}: no request is added");
                let place = StarsCursor::parse(Some(&read.cursor));
                assert!(place.checks_bot());
                let (page, _) = ours.page(known - 1);
                let LedgerStep::More(next) =
                    place.after_page(known - 1, &page, Some(moment(first)), Some(NOW))
                else {
                    panic!("a page that shows what is known is no end");
                };
                let next = StarsCursor::parse(Some(&next));
                assert_eq!(next.question(), StarsQuestion::Page { offset: known });
                let theirs = Book {
                    count,
                    hidden: hidden.clone(),
                    bot: "other ",
                };
                let place = StarsCursor::parse(Some(&read.cursor));
                let StarsQuestion::Page { offset } = place.question() else {
                    panic!("no page");
                };
                assert_eq!(offset, known - 1);
                let (page, _) = theirs.page(offset);
                let step = place.after_page(offset, &page, Some(moment(first)), Some(NOW));
                assert_eq!(step, LedgerStep::Other, "{known} {count} {first}");
            }
        }
    }

    /// As an older version stored it.
    #[test]
    fn a_place_without_the_newest_entry_is_read_on() {
        let text = r#"{"step":{"read":7},"reach":7,"end":{"sum":7,"last":null,"rest":null,"proved_at":null,"search":null}}"#;
        let place = StarsCursor::parse(Some(&LedgerCursor(text.into())));
        assert_eq!(place.question(), StarsQuestion::Page { offset: 7 });
    }

    #[test]
    fn a_cursor_round_trips() {
        let steps = [
            StarsStep::Read(12_345),
            StarsStep::Search {
                low: 100,
                high: None,
                at: 200,
            },
            StarsStep::Search {
                low: 100,
                high: Some(400),
                at: 250,
            },
            StarsStep::Balance {
                count: 7,
                asked_at: Some(NOW.0),
            },
            StarsStep::Balance {
                count: 7,
                asked_at: None,
            },
            StarsStep::Behind { count: 7, at: 107 },
            StarsStep::Locate {
                low: 7,
                high: 107,
                at: 8,
            },
        ];
        let book = Book {
            count: 30,
            hidden: 7..12,
            bot: "",
        };
        for step in steps {
            let read = book.read(0, None, NOW);
            let mut place = StarsCursor::parse(Some(&read.cursor));
            place.step = step;
            assert_eq!(StarsCursor::parse(Some(&place.text())), place);
        }
        for spoilt in ["", "x", "5", "5 - read 7", "{}", r#"{"step":{"read":1}}"#] {
            let place = StarsCursor::parse(Some(&LedgerCursor(spoilt.into())));
            assert_eq!(place, StarsCursor::beginning(), "{spoilt}");
        }
    }
}
