//! The position in a bot's ledger: a number of transactions, counted from the oldest.
//!
//! Transactions that are too old are skipped by bisection: the search keeps an offset whose page is
//! entirely too old (`low`) and one whose page is not (`high`), and requests a page between them.

use super::PAGE_LIMIT;
use super::ledger::Entries;
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::time::UnixMillis;

/// Where the next request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StarsCursor {
    /// Everything before `low` is too old; the page at `high`, where known, is not. The next
    /// request reads at `at`.
    Search {
        low: u64,
        high: Option<u64>,
        at: u64,
    },
    /// Number of transactions that were read or skipped.
    Read(u64),
}

impl StarsCursor {
    /// Parses the output of `text`; the start if there is none or it is invalid.
    pub(super) fn parse(cursor: Option<&LedgerCursor>) -> Self {
        let begin = Self::Search {
            low: 0,
            high: None,
            at: 0,
        };
        cursor
            .and_then(|cursor| Self::parse_text(&cursor.0))
            .unwrap_or(begin)
    }

    fn parse_text(text: &str) -> Option<Self> {
        let Some(search) = text.strip_prefix("search ") else {
            return text.parse().ok().map(Self::Read);
        };
        let mut parts = search.split(' ');
        let low = parts.next()?.parse().ok()?;
        let high = match parts.next()? {
            "-" => None,
            number => Some(number.parse().ok()?),
        };
        let at = parts.next()?.parse().ok()?;
        Some(Self::Search { low, high, at })
    }

    fn text(self) -> LedgerCursor {
        LedgerCursor(match self {
            Self::Read(count) => count.to_string(),
            Self::Search { low, high, at } => {
                let high = high.map_or_else(|| "-".to_owned(), |high| high.to_string());
                format!("search {low} {high} {at}")
            }
        })
    }

    /// Number of transactions to skip.
    pub(super) fn offset(self) -> u64 {
        match self {
            Self::Search { at, .. } => at,
            Self::Read(count) => count,
        }
    }

    /// The cursor after this page, and whether the reading ends: only an empty page ends it.
    pub(super) fn after(
        self,
        page: &Entries,
        from: Option<UnixMillis>,
        answered_at: Option<UnixMillis>,
    ) -> LedgerStep {
        let (low, high, at) = match self {
            Self::Read(_) if page.count == 0 => {
                return LedgerStep::End {
                    cursor: self.text(),
                    through: answered_at,
                };
            }
            Self::Read(count) => return LedgerStep::More(Self::Read(count + page.count).text()),
            Self::Search { low, high, at } => (low, high, at),
        };
        // If the newest transaction is too old, the whole page is.
        let is_old = match (page.newest_at, from) {
            (Some(newest), Some(from)) => newest < from,
            (None, _) | (_, None) => false,
        };
        let (low, high) = if is_old {
            (at + page.count, high)
        } else {
            (low, Some(at))
        };
        LedgerStep::More(Self::narrowed(low, high).text())
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
    use super::*;

    /// A ledger of `count` transactions, one per second, of which those from `first` on are new
    /// enough.
    fn read(count: u64, first: u64) -> (u64, Vec<u64>) {
        let from = Some(UnixMillis(i64::try_from(first).unwrap() * 1000));
        let (mut cursor, mut requests, mut seen) = (None, 0, Vec::new());
        loop {
            let place = StarsCursor::parse(cursor.as_ref());
            let shown: Vec<u64> = (place.offset()..count).take(100).collect();
            requests += 1;
            if let StarsCursor::Read(_) = place {
                seen.extend(shown.iter().copied().filter(|at| *at >= first));
            }
            let page = Entries {
                transactions: Vec::new(),
                count: shown.len() as u64,
                newest_at: shown
                    .last()
                    .map(|at| UnixMillis(i64::try_from(*at).unwrap() * 1000)),
            };
            match place.after(&page, from, Some(UnixMillis(0))) {
                LedgerStep::More(next) => cursor = Some(next),
                LedgerStep::End { .. } => return (requests, seen),
            }
        }
    }

    #[test]
    fn new_transactions_are_read_once_and_a_long_ledger_takes_few_requests() {
        for (count, first, most) in [
            (0, 0, 3),
            (1, 0, 4),
            (100, 100, 6),
            (10_000, 10_000, 20),
            (10_000, 9_950, 20),
            (1_000_000, 999_999, 32),
            (250, 0, 6),
        ] {
            let (requests, seen) = read(count, first);
            assert_eq!(seen, (first..count).collect::<Vec<_>>(), "{count} {first}");
            assert!(requests <= most, "{count} {first}: {requests} requests");
        }
    }

    #[test]
    fn a_cursor_round_trips() {
        for place in [
            StarsCursor::Read(0),
            StarsCursor::Read(12_345),
            StarsCursor::Search {
                low: 100,
                high: None,
                at: 200,
            },
            StarsCursor::Search {
                low: 100,
                high: Some(400),
                at: 250,
            },
        ] {
            assert_eq!(StarsCursor::parse(Some(&place.text())), place);
        }
        let begin = StarsCursor::parse(None);
        for spoilt in [
            "",
            "x",
            "search",
            "search 1",
            "search 1 2",
            "search 1 x 2",
            "-5",
        ] {
            assert_eq!(
                StarsCursor::parse(Some(&LedgerCursor(spoilt.into()))),
                begin
            );
        }
    }
}
