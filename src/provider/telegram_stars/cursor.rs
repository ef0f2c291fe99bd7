//! The position in a bot's ledger: a number of transactions, counted from the oldest.
//!
//! Transactions older than where reading begins are passed over by halving: the search keeps an offset
//! whose page is all too old (`low`) and one whose page is not (`high`), and asks between the two.
//!
//! A page without transactions may stand in the middle: the service counts what is not in Stars, and
//! leaves it out. Where something was shown further on, such a page is passed over. At the end, the page
//! behind the empty one is asked for too, every `PROVE_EVERY`; a reading counts as complete through the
//! last such proof.

use std::num::ParseIntError;
use std::str::Split;
use std::time::Duration;

use super::PAGE_LIMIT;
use super::ledger::Entries;
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::time::UnixMillis;

/// The end of the ledger is proved so often. Each proof is one more request.
const PROVE_EVERY: Duration = Duration::from_secs(10);

/// Where the next request reads, and what is known of the ledger's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StarsCursor {
    step: StarsStep,
    /// The ledger reaches at least so far: something was shown just before this offset.
    reach: u64,
    /// All that happened before this moment, by the service's clock, was shown.
    proved_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// As many, and a request that was answered at `asked_at` showed nothing there: the next one asks a
    /// page further.
    Prove {
        count: u64,
        asked_at: Option<UnixMillis>,
    },
}

impl StarsCursor {
    const BEGINNING: Self = Self {
        step: StarsStep::Search {
            low: 0,
            high: None,
            at: 0,
        },
        reach: 0,
        proved_at: None,
    };

    /// What `text` wrote; the beginning for none, and for what cannot be read.
    pub(super) fn parse(cursor: Option<&LedgerCursor>) -> Self {
        cursor
            .and_then(|cursor| Self::parse_text(&cursor.0))
            .unwrap_or(Self::BEGINNING)
    }

    fn parse_text(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let cursor = Self {
            reach: parts.next()?.parse().ok()?,
            proved_at: time(parts.next()?).ok()?,
            step: StarsStep::parse(&mut parts)?,
        };
        parts.next().is_none().then_some(cursor)
    }

    fn text(self) -> LedgerCursor {
        let (reach, proved_at) = (self.reach, or_dash(self.proved_at.map(|at| at.0)));
        let step = match self.step {
            StarsStep::Search { low, high, at } => format!("search {low} {} {at}", or_dash(high)),
            StarsStep::Read(count) => format!("read {count}"),
            StarsStep::Prove { count, asked_at } => {
                format!("prove {count} {}", or_dash(asked_at.map(|at| at.0)))
            }
        };
        LedgerCursor(format!("{reach} {proved_at} {step}"))
    }

    /// Number of transactions to skip.
    pub(super) fn offset(self) -> u64 {
        match self.step {
            StarsStep::Search { at, .. } => at,
            StarsStep::Read(count) => count,
            StarsStep::Prove { count, .. } => count + PAGE_LIMIT,
        }
    }

    /// Where it goes on after this page, and whether the reading ends.
    pub(super) fn after(
        mut self,
        page: &Entries,
        from: Option<UnixMillis>,
        answered_at: Option<UnixMillis>,
    ) -> LedgerStep {
        let is_empty = page.count == 0;
        if !is_empty {
            self.reach = self.reach.max(self.offset() + page.count);
        }
        self.step = match self.step {
            StarsStep::Search { low, high, at } => {
                // The whole page is too old when its newest is.
                let is_old = page
                    .newest_at
                    .zip(from)
                    .is_some_and(|(newest, from)| newest < from);
                if is_old {
                    StarsStep::narrowed(at + page.count, high)
                } else {
                    StarsStep::narrowed(low, Some(at))
                }
            }
            StarsStep::Read(count) if !is_empty => StarsStep::Read(count + page.count),
            // What stands here is left out by the service.
            StarsStep::Read(count) if count < self.reach => {
                StarsStep::Read(self.reach.min(count + PAGE_LIMIT))
            }
            StarsStep::Read(_) if self.is_proved(answered_at) => return self.end(),
            StarsStep::Read(count) => StarsStep::Prove {
                count,
                asked_at: answered_at,
            },
            // It was no end. What came in between may stand at `count` now, so that is asked again.
            StarsStep::Prove { count, .. } if !is_empty => StarsStep::Read(count),
            StarsStep::Prove { count, asked_at } => {
                self.proved_at = asked_at;
                self.step = StarsStep::Read(count);
                return self.end();
            }
        };
        LedgerStep::More(self.text())
    }

    fn end(self) -> LedgerStep {
        LedgerStep::End {
            cursor: self.text(),
            through: self.proved_at,
        }
    }

    /// Whether the last proof is fresh enough.
    fn is_proved(self, answered_at: Option<UnixMillis>) -> bool {
        self.proved_at
            .zip(answered_at)
            .is_some_and(|(proved, now)| proved <= now && now < proved.plus(PROVE_EVERY))
    }
}

impl StarsStep {
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

    fn parse(parts: &mut Split<'_, char>) -> Option<Self> {
        let kind = parts.next()?;
        let number = parts.next()?.parse().ok()?;
        match kind {
            "search" => Some(Self::Search {
                low: number,
                high: match parts.next()? {
                    "-" => None,
                    high => Some(high.parse().ok()?),
                },
                at: parts.next()?.parse().ok()?,
            }),
            "read" => Some(Self::Read(number)),
            "prove" => Some(Self::Prove {
                count: number,
                asked_at: time(parts.next()?).ok()?,
            }),
            _ => None,
        }
    }
}

fn time(part: &str) -> Result<Option<UnixMillis>, ParseIntError> {
    match part {
        "-" => Ok(None),
        number => number.parse().map(|at| Some(UnixMillis(at))),
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// A ledger of `count` transactions, one a second, of which those in `hidden` are not shown.
    struct Book {
        count: u64,
        hidden: Range<u64>,
    }

    impl Book {
        fn page(&self, place: StarsCursor) -> (Entries, Vec<u64>) {
            let end = self.count.min(place.offset() + PAGE_LIMIT);
            let shown: Vec<u64> = (place.offset()..end)
                .filter(|at| !self.hidden.contains(at))
                .collect();
            let page = Entries {
                transactions: Vec::new(),
                count: shown.len() as u64,
                newest_at: shown.last().map(|at| moment(*at)),
            };
            (page, shown)
        }

        /// Reads on to the end at `now`: how many requests, what was shown, the place and the proof.
        fn read(
            &self,
            first: u64,
            cursor: Option<LedgerCursor>,
            now: UnixMillis,
        ) -> (u64, Vec<u64>, LedgerCursor, Option<UnixMillis>) {
            let (mut cursor, mut requests, mut seen) = (cursor, 0, Vec::new());
            loop {
                let place = StarsCursor::parse(cursor.as_ref());
                let (page, shown) = self.page(place);
                requests += 1;
                if matches!(place.step, StarsStep::Read(_)) {
                    seen.extend(shown.into_iter().filter(|at| *at >= first));
                }
                match place.after(&page, Some(moment(first)), Some(now)) {
                    LedgerStep::More(next) => cursor = Some(next),
                    LedgerStep::End { cursor, through } => {
                        return (requests, seen, cursor, through);
                    }
                }
            }
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
            };
            let (requests, seen, _, through) = book.read(first, None, NOW);
            assert_eq!(seen, (first..count).collect::<Vec<_>>(), "{count} {first}");
            assert!(requests <= most, "{count} {first}: {requests} requests");
            assert_eq!(through, Some(NOW));
        }
    }

    /// The service leaves out what is not in Stars, and counts it.
    #[test]
    fn an_empty_page_in_the_middle_hides_nothing_behind_it() {
        for hidden in [0..100, 10..115, 100..200, 40..239, 5..9] {
            for first in [0, 20, 240] {
                let book = Book {
                    count: 260,
                    hidden: hidden.clone(),
                };
                let (_, seen, cursor, _) = book.read(first, None, NOW);
                let new: Vec<u64> = (first..260).filter(|at| !hidden.contains(at)).collect();
                let all_seen = new.iter().all(|at| seen.contains(at));
                assert!(all_seen, "{hidden:?} {first}: {seen:?}");
                let (requests, ..) = book.read(first, Some(cursor), NOW);
                assert_eq!(requests, 1, "{hidden:?} {first}: the end is known");
            }
        }
    }

    #[test]
    fn an_end_that_was_none_is_found_out_by_the_next_proof_and_until_then_nothing_counts_as_complete()
     {
        let mut book = Book {
            count: 30,
            hidden: 30..135,
        };
        let (_, _, cursor, _) = book.read(0, None, NOW);
        book.count = 140;
        let soon = NOW.plus(Duration::from_secs(9));
        let (requests, seen, cursor, through) = book.read(0, Some(cursor), soon);
        assert_eq!((requests, seen, through), (1, Vec::new(), Some(NOW)));
        let later = NOW.plus(PROVE_EVERY);
        let (_, mut seen, cursor, through) = book.read(0, Some(cursor), later);
        // A page that leaves some out is followed by one that overlaps it; repeats are dropped by their ids.
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen, through), ((135..140).collect(), Some(later)));
        let (requests, ..) = book.read(0, Some(cursor), later);
        assert_eq!(requests, 1);
    }

    #[test]
    fn a_cursor_round_trips() {
        let steps = [
            StarsStep::Read(0),
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
            StarsStep::Prove {
                count: 7,
                asked_at: Some(NOW),
            },
            StarsStep::Prove {
                count: 7,
                asked_at: None,
            },
        ];
        for (step, proved_at) in steps.into_iter().zip([None, Some(NOW)].into_iter().cycle()) {
            let place = StarsCursor {
                step,
                reach: 99,
                proved_at,
            };
            assert_eq!(StarsCursor::parse(Some(&place.text())), place);
        }
        for spoilt in [
            "",
            "x",
            "5",
            "5 -",
            "5 - read",
            "5 - read x",
            "5 - read 7 8",
            "5 - search 1",
            "5 - search 1 2",
            "5 - search 1 x 2",
            "5 - prove 1",
            "5 x read 1",
            "-5 - read 1",
        ] {
            let place = StarsCursor::parse(Some(&LedgerCursor(spoilt.into())));
            assert_eq!(place, StarsCursor::BEGINNING, "{spoilt}");
        }
    }
}
