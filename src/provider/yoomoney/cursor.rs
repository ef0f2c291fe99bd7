//! The position in a wallet's history: the current window, and how far it was read.
//!
//! A reading goes from the newest operation back to the start of its window. The next window begins
//! an hour before the start of this reading, since operations may appear late, or before the oldest
//! operation that is still in progress.

use std::time::Duration;

use super::ledger::HistoryPage;
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::time::UnixMillis;

/// Overlap of the windows of two readings.
const OVERLAP: Duration = Duration::from_hours(1);

/// Where the next request reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HistoryCursor {
    /// Start of the window; None: the start of the ledger.
    since: Option<UnixMillis>,
    /// When the reading's first page was answered; None between two readings.
    began_at: Option<UnixMillis>,
    /// The provider's cursor of the next page; None: the first page.
    start: Option<String>,
    /// Time of the oldest operation of the reading that is in progress.
    in_progress_at: Option<UnixMillis>,
}

impl HistoryCursor {
    /// Parses the output of `text`; the start if there is none or it is invalid.
    pub(super) fn parse(cursor: Option<&LedgerCursor>) -> Self {
        cursor
            .and_then(|cursor| Self::parse_text(&cursor.0))
            .unwrap_or_default()
    }

    fn parse_text(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [since, began_at, start, in_progress_at] = parts[..] else {
            return None;
        };
        let time = |part: &str| match part {
            "-" => Some(None),
            number => number.parse().ok().map(|at| Some(UnixMillis(at))),
        };
        let is_number = start.bytes().all(|b| b.is_ascii_digit());
        let start = match start {
            "-" => None,
            number if is_number => Some(number.to_owned()),
            _ => return None,
        };
        Some(Self {
            since: time(since)?,
            began_at: time(began_at)?,
            start,
            in_progress_at: time(in_progress_at)?,
        })
    }

    fn text(&self) -> LedgerCursor {
        let time =
            |at: Option<UnixMillis>| at.map_or_else(|| "-".to_owned(), |at| at.0.to_string());
        LedgerCursor(format!(
            "{} {} {} {}",
            time(self.since),
            time(self.began_at),
            self.start.as_deref().unwrap_or("-"),
            time(self.in_progress_at)
        ))
    }

    /// The start of the window, if it is known.
    pub(super) fn since(&self) -> Option<UnixMillis> {
        self.since
    }

    /// The page to request; None: the first.
    pub(super) fn start_record(&self) -> Option<&str> {
        self.start.as_deref()
    }

    /// The cursor after this page.
    pub(super) fn after(self, page: &HistoryPage, answered_at: Option<UnixMillis>) -> LedgerStep {
        let began_at = if self.start.is_none() {
            answered_at
        } else {
            self.began_at
        };
        let oldest = [self.in_progress_at, page.in_progress_at];
        let in_progress_at = oldest.into_iter().flatten().min();
        if let Some(next) = &page.next_record {
            let next = Self {
                began_at,
                start: Some(next.clone()),
                in_progress_at,
                ..self
            };
            return LedgerStep::More(next.text());
        }
        let since = began_at.map(|at| {
            let overlap = at.minus(OVERLAP);
            in_progress_at.map_or(overlap, |at| at.min(overlap))
        });
        let next = Self {
            since: since.or(self.since),
            ..Self::default()
        };
        LedgerStep::End {
            cursor: next.text(),
            // Operations made while older pages were read are on none of them.
            through: began_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_780_000_000_000);

    fn page(next: Option<&str>, in_progress_at: Option<UnixMillis>) -> HistoryPage {
        HistoryPage {
            transactions: Vec::new(),
            next_record: next.map(str::to_owned),
            in_progress_at,
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn the_next_window_begins_an_hour_earlier_or_before_pending_operations() {
        let later = NOON.plus(Duration::from_mins(1));
        for (waiting, since) in [
            (None, NOON.minus(OVERLAP)),
            (Some(NOON.minus(OVERLAP * 2)), NOON.minus(OVERLAP * 2)),
            (Some(NOON), NOON.minus(OVERLAP)),
        ] {
            let LedgerStep::More(second) =
                HistoryCursor::default().after(&page(Some("100"), waiting), Some(NOON))
            else {
                panic!("the end");
            };
            let second = HistoryCursor::parse(Some(&second));
            assert_eq!(second.start_record(), Some("100"));
            let LedgerStep::End { cursor, through } = second.after(&page(None, None), Some(later))
            else {
                panic!("no end");
            };
            assert_eq!(through, Some(NOON));
            let next = HistoryCursor::parse(Some(&cursor));
            assert_eq!((next.since(), next.start_record()), (Some(since), None));
        }
    }

    #[test]
    fn an_invalid_cursor_is_the_start() {
        for spoilt in ["", "1 2 3", "x - - -", "- - x -", "- - - - -"] {
            let read = HistoryCursor::parse(Some(&LedgerCursor(spoilt.into())));
            assert_eq!(read, HistoryCursor::default(), "{spoilt:?}");
        }
    }
}
