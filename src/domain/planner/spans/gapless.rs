//! A range of time that consecutive readings have covered without a gap.

use std::time::Duration;

use super::request::SpanMoment;
use crate::domain::time::UnixMillis;

/// Each reading begins this long before the moment that the last one reached: clocks differ, and a
/// list may show an order late.
const OVERLAP: Duration = Duration::from_mins(1);
/// Some readings begin this long before, since a list may be even later.
const DEEP_OVERLAP: Duration = Duration::from_hours(1);
const DEEP_EVERY: Duration = Duration::from_mins(15);
/// An order may bear a time up to this long before it happened.
const MARGIN: Duration = Duration::from_mins(1);
/// A longer gap in payments is not filled: the range starts over, and single polls find the rest.
const LONGEST_GAP: Duration = Duration::from_hours(24);
/// A gap in refunds is filled for this long, and pending ones are read again for this long: nothing else
/// finds them.
const REFUNDS_REACH: Duration = Duration::from_hours(31 * 24);

/// The range that readings covered completely, by the provider's clock.
#[derive(Debug)]
pub(super) struct GaplessSpan {
    /// Whether nothing but these readings finds what they show.
    is_only_source: bool,
    /// Start and end; None = nothing yet.
    read: Option<(UnixMillis, UnixMillis)>,
    /// Start of the last reading, by the monotonic clock.
    read_at: Option<Duration>,
    deep_at: Option<Duration>,
    /// Number of pages of the last normal reading.
    pages: u32,
}

impl GaplessSpan {
    /// Payments, which polls of their orders find as well. Nothing was read yet.
    pub(super) fn payments() -> Self {
        Self {
            is_only_source: false,
            read: None,
            read_at: None,
            deep_at: None,
            pages: 0,
        }
    }

    /// Refunds, which no poll finds. Nothing was read yet.
    pub(super) fn refunds() -> Self {
        Self {
            is_only_source: true,
            ..Self::payments()
        }
    }

    /// Takes over the progress of the output of `to_text`; any other text counts as nothing.
    pub(super) fn restore(&mut self, text: &str) {
        self.read = text.split_once(' ').and_then(|(from, through)| {
            let from = from.parse().ok()?;
            let through = through.parse().ok()?;
            (from <= through).then_some((UnixMillis(from), UnixMillis(through)))
        });
    }

    pub(super) fn to_text(&self) -> Option<String> {
        let (from, through) = self.read?;
        Some(format!("{} {}", from.0, through.0))
    }

    /// Whether everything since `moment` was covered.
    pub(super) fn reaches(&self, moment: UnixMillis) -> bool {
        self.read
            .is_some_and(|(from, _)| from.plus(MARGIN) <= moment)
    }

    /// Whether the next reading covers everything since `moment`.
    pub(super) fn will_reach(&self, moment: UnixMillis, now: SpanMoment) -> bool {
        self.next_from(now).plus(MARGIN) <= moment
    }

    pub(super) fn read_at(&self) -> Option<Duration> {
        self.read_at
    }

    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// Start of the next reading.
    pub(super) fn next_from(&self, now: SpanMoment) -> UnixMillis {
        let last = self.read.map(|(_, through)| through);
        // A time in the future was recorded before the clock was set back.
        let last = if self.is_only_source {
            last.map(|through| through.max(now.theirs.minus(REFUNDS_REACH)))
        } else {
            last.filter(|through| now.theirs.since(*through) <= LONGEST_GAP)
        };
        let through = last.unwrap_or(now.theirs).min(now.theirs);
        let is_deep = self
            .deep_at
            .is_none_or(|at| now.at.saturating_sub(at) >= DEEP_EVERY);
        through.minus(if is_deep { DEEP_OVERLAP } else { OVERLAP })
    }

    /// Records a complete reading from `from` on that began at `began`. Orders pending since
    /// `unsettled_since` are read again.
    pub(super) fn learn(
        &mut self,
        from: UnixMillis,
        began: SpanMoment,
        pages: u32,
        unsettled_since: Option<UnixMillis>,
    ) {
        let (before, last) = self.read.unwrap_or((from, from));
        let is_gapless = from <= last;
        let is_deep = began.theirs.since(from) >= DEEP_OVERLAP;
        if is_deep {
            self.deep_at = Some(began.at);
        }
        let held = unsettled_since.map(|since| since.max(began.theirs.minus(REFUNDS_REACH)));
        let through = held.map_or(began.theirs, |held| held.min(began.theirs));
        let from = if is_gapless { before.min(from) } else { from };
        self.read = Some((from.min(through), through));
        self.read_at = Some(began.at);
        // The next readings are as short as normal ones.
        if !is_deep || self.pages == 0 {
            self.pages = pages;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(s: u64) -> SpanMoment {
        SpanMoment {
            at: Duration::from_secs(s),
            theirs: at(s),
        }
    }

    fn at(s: u64) -> UnixMillis {
        UnixMillis(1_800_000_000_000).plus(Duration::from_secs(s))
    }

    #[test]
    fn readings_overlap_by_an_hour_at_first_and_by_a_minute_then() {
        let mut stretch = GaplessSpan::payments();
        let first = stretch.next_from(moment(7200));
        assert_eq!(first, at(3600));
        stretch.learn(first, moment(7200), 1, None);
        assert_eq!(stretch.next_from(moment(7202)), at(7140));
        stretch.learn(at(7140), moment(7202), 1, None);
        assert!(stretch.reaches(at(3660)) && !stretch.reaches(at(3659)));
        let deep = stretch.next_from(moment(7200 + 15 * 60));
        assert_eq!(deep, at(3602), "now and then by an hour again");
    }

    #[test]
    fn a_run_continues_where_the_previous_one_ended() {
        let mut before = GaplessSpan::payments();
        before.learn(at(0), moment(4000), 1, None);
        let mut after = GaplessSpan::payments();
        after.restore(&before.to_text().unwrap());
        assert!(after.reaches(at(60)) && after.read_at().is_none());
        let from = after.next_from(moment(10_000));
        assert_eq!(
            from,
            at(400),
            "an hour before the last moment that was read"
        );
        after.learn(from, moment(10_000), 1, None);
        assert!(after.reaches(at(60)));
    }

    #[test]
    fn a_long_gap_is_not_filled() {
        let mut stretch = GaplessSpan::payments();
        stretch.learn(at(0), moment(4000), 1, None);
        let late = moment(4000 + 25 * 3600);
        let from = stretch.next_from(late);
        assert_eq!(from, late.theirs.minus(DEEP_OVERLAP));
        stretch.learn(from, late, 1, None);
        assert!(
            !stretch.reaches(at(4000)),
            "nobody knows what happened then"
        );
        for nonsense in ["", "1", "2 1", "a b", "1 2 3"] {
            stretch.restore(nonsense);
            assert_eq!(stretch.to_text(), None, "{nonsense}");
        }
    }

    #[test]
    fn refunds_of_days_without_a_daemon_are_read() {
        let mut stretch = GaplessSpan::refunds();
        stretch.learn(at(0), moment(4000), 1, None);
        let days = |days: u64| 4000 + days * 24 * 3600;
        assert_eq!(stretch.next_from(moment(days(30))), at(400));
        let late = moment(days(40));
        let oldest = late.theirs.minus(REFUNDS_REACH);
        assert_eq!(stretch.next_from(late), oldest.minus(DEEP_OVERLAP));
    }

    #[test]
    fn refunds_that_are_pending_for_days_are_read_again() {
        let mut stretch = GaplessSpan::refunds();
        let week = 7 * 24 * 3600;
        stretch.learn(at(0), moment(week), 1, Some(at(3000)));
        assert_eq!(stretch.next_from(moment(week + 10)), at(2940));
    }

    #[test]
    fn pending_refunds_are_read_again() {
        let mut stretch = GaplessSpan::refunds();
        stretch.learn(at(0), moment(4000), 1, Some(at(3000)));
        assert_eq!(stretch.next_from(moment(4010)), at(2940));
        stretch.learn(at(2940), moment(4010), 1, None);
        assert_eq!(stretch.next_from(moment(4020)), at(3950));
    }
}
