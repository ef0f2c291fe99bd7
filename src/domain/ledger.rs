//! How far an account's ledger was read without a gap, and where reading continues. Used where the
//! provider keeps no orders.
//!
//! A reading is a series of requests that ends when the provider has nothing more to show. What
//! each page shows counts at once; only a complete reading proves that nothing came (`deadline`).
//! All times are by the provider's clock.

use std::time::Duration;

use super::observation::LedgerCoverage;
use super::time::UnixMillis;

/// At the first start, transactions back to this age are read, because orders may have been made
/// before.
pub const READ_BACK: Duration = Duration::from_hours(24);
/// Separates the parts of the text. The cursor may contain it, so the cursor comes last.
const SEPARATOR: char = ' ';
/// Stands before the end of a gap.
const GAP: char = '/';

/// A position in a ledger, in a format that only the provider's module reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerCursor(pub String);

/// Where reading continues after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerStep {
    /// More may follow; the reading continues here.
    More(LedgerCursor),
    /// The reading is complete. The next one starts here.
    End {
        /// The position.
        cursor: LedgerCursor,
        /// Everything before this moment was shown; None if the provider reports no time.
        through: Option<UnixMillis>,
    },
    /// The ledger does not have what was read last: it is another one, and is read from its beginning.
    Other,
}

/// What is known of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Where the next request reads; None before the first page.
    cursor: Option<LedgerCursor>,
    /// Everything that happened since then was read.
    from: Option<UnixMillis>,
    /// Until then another ledger was read, whose last transactions are unknown: nothing proves that no
    /// payment came before.
    gap_until: Option<UnixMillis>,
    /// When the current reading began; None between two readings.
    began_at: Option<UnixMillis>,
    /// Whether a reading is in progress.
    is_reading: bool,
}

impl Ledger {
    /// Nothing is known but from when on transactions are to be read; None: a day back.
    pub fn unread(from: Option<UnixMillis>) -> Self {
        Self {
            from,
            ..Self::default()
        }
    }

    /// Where the next request reads; None before the first page.
    pub fn cursor(&self) -> Option<&LedgerCursor> {
        self.cursor.as_ref()
    }

    /// The start of the time range that is read; None before the provider reported its time.
    pub fn from(&self) -> Option<UnixMillis> {
        self.from
    }

    /// Whether a reading is in progress.
    pub fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Records a page that was answered at `answered_at`. Returns what the reading covers if it is
    /// complete.
    pub fn learn(
        &mut self,
        step: LedgerStep,
        answered_at: Option<UnixMillis>,
    ) -> Option<LedgerCoverage> {
        if !self.is_reading {
            self.is_reading = true;
            self.began_at = answered_at;
        }
        if self.from.is_none() {
            self.from = answered_at.map(|at| at.minus(READ_BACK));
        }
        match step {
            LedgerStep::More(cursor) => {
                self.cursor = Some(cursor);
                None
            }
            LedgerStep::End { cursor, through } => {
                self.cursor = Some(cursor);
                self.is_reading = false;
                Some(LedgerCoverage {
                    began_at: self.began_at.take()?,
                    from: self.from?.max(self.gap_until.unwrap_or_default()),
                    through: through?,
                })
            }
            LedgerStep::Other => {
                // The provider tells whole seconds.
                let until = answered_at.map(|at| at.plus(Duration::from_secs(1)));
                self.gap_until = until.or(self.gap_until);
                // No provider has such a place: it begins anew.
                self.cursor = Some(LedgerCursor(String::new()));
                None
            }
        }
    }

    /// The text kept in the database: `from began_at cursor`, with `-` for an unknown part; `from/gap_until`
    /// where there is a gap.
    pub fn to_text(&self) -> Option<String> {
        let cursor = self.cursor.as_ref()?;
        let time =
            |at: Option<UnixMillis>| at.map_or_else(|| "-".to_owned(), |at| at.0.to_string());
        let began = if self.is_reading {
            time(self.began_at)
        } else {
            "end".to_owned()
        };
        let gap = self.gap_until.map(|until| format!("{GAP}{}", until.0));
        let (from, gap) = (time(self.from), gap.unwrap_or_default());
        Some(format!("{from}{gap} {began} {}", cursor.0))
    }

    /// Parses the output of `to_text`. A text that cannot be parsed counts as nothing known: the
    /// ledger is read from the start.
    pub fn parse(text: &str) -> Self {
        Self::parse_parts(text).unwrap_or_default()
    }

    fn parse_parts(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, SEPARATOR);
        let time = |part: &str| match part {
            "-" => Some(None),
            number => number.parse().ok().map(|at| Some(UnixMillis(at))),
        };
        let from = parts.next()?;
        let (from, gap_until) = match from.split_once(GAP) {
            Some((from, until)) => (from, time(until)?),
            None => (from, None),
        };
        let from = time(from)?;
        let began = parts.next()?;
        let is_reading = began != "end";
        let began_at = if is_reading { time(began)? } else { None };
        let cursor = LedgerCursor(parts.next()?.to_owned());
        Some(Self {
            cursor: Some(cursor),
            from,
            gap_until,
            began_at,
            is_reading,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_780_000_000_000);

    fn more(cursor: &str) -> LedgerStep {
        LedgerStep::More(LedgerCursor(cursor.into()))
    }

    fn end(cursor: &str, through: Option<UnixMillis>) -> LedgerStep {
        LedgerStep::End {
            cursor: LedgerCursor(cursor.into()),
            through,
        }
    }

    fn later(seconds: u64) -> UnixMillis {
        NOON.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_reading_covers_everything_from_the_first_one_to_its_end() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.learn(more("100"), Some(NOON)), None);
        assert!(ledger.is_reading());
        let coverage = ledger.learn(end("150", Some(later(1))), Some(later(1)));
        let from = NOON.minus(READ_BACK);
        assert_eq!(
            coverage,
            Some(LedgerCoverage {
                began_at: NOON,
                from,
                through: later(1)
            })
        );
        assert!(!ledger.is_reading());
        let coverage = ledger.learn(end("150", Some(later(9))), Some(later(9)));
        assert_eq!(
            coverage,
            Some(LedgerCoverage {
                began_at: later(9),
                from,
                through: later(9)
            })
        );
    }

    #[test]
    fn a_reading_without_times_covers_nothing() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.learn(end("1", None), None), None);
        assert_eq!(ledger.learn(end("1", Some(NOON)), None), None);
        assert_eq!(ledger.learn(end("1", None), Some(NOON)), None);
    }

    #[test]
    fn the_text_round_trips_within_a_reading_and_between_two() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.to_text(), None);
        for step in [more(r#"{"till": 5}"#), end("a b c", Some(NOON))] {
            ledger.learn(step, Some(NOON));
            let text = ledger.to_text().unwrap();
            assert_eq!(Ledger::parse(&text), ledger, "{text}");
        }
        for spoilt in ["", "1", "1 2", "x end 5", "1 y 5"] {
            assert_eq!(Ledger::parse(spoilt), Ledger::default(), "{spoilt:?}");
        }
    }

    /// The deadline of an invoice from before the gap proves nothing: its payment may be in the other ledger.
    #[test]
    fn another_ledger_is_read_from_its_beginning_and_covers_nothing_from_before() {
        let mut ledger = Ledger::parse(&format!("{} end 150", NOON.0));
        assert_eq!(ledger.learn(LedgerStep::Other, Some(later(60))), None);
        assert!(ledger.is_reading(), "it goes on at once");
        assert_eq!(ledger.from(), Some(NOON), "what came meanwhile is read");
        let mut ledger = Ledger::parse(&ledger.to_text().unwrap());
        assert_eq!(ledger.cursor(), Some(&LedgerCursor(String::new())));
        let coverage = ledger.learn(end("9", Some(later(62))), Some(later(62)));
        let coverage = coverage.unwrap();
        assert_eq!(coverage.began_at, later(60));
        assert_eq!((coverage.from, coverage.through), (later(61), later(62)));
        let text = ledger.to_text().unwrap();
        assert_eq!(Ledger::parse(&text), ledger, "{text}");
    }

    #[test]
    fn an_interrupted_reading_keeps_its_start() {
        let mut ledger = Ledger::default();
        ledger.learn(more("100"), Some(NOON));
        let mut again = Ledger::parse(&ledger.to_text().unwrap());
        let coverage = again.learn(end("200", Some(later(60))), Some(later(60)));
        assert_eq!(coverage.map(|coverage| coverage.began_at), Some(NOON));
    }
}
