//! Two plots of the last day: bars of payments, curves of the time to detect. The template has the
//! frame; the coordinates are computed here.

use std::fmt::Write as _;

use crate::domain::time::UnixMillis;
use crate::server::snapshot::{HOURS, Hour, Snapshot};
use crate::words;

/// The drawing area: the template draws the axes around it.
const LEFT: f64 = 30.0;
const CURVES_LEFT: f64 = 40.0;
const RIGHT: f64 = 356.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 128.0;
/// Fraction of a bar's space that stays empty.
const GAP: f64 = 0.22;
/// Times with a line across, in seconds.
const TICKS: [(f64, &str); 8] = [
    (0.1, "0.1 s"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (36_000.0, "10 h"),
    (864_000.0, "10 d"),
];

/// A line across, with its label.
pub(super) struct Line {
    pub(super) y: String,
    pub(super) text_y: String,
    pub(super) label: String,
}

pub(super) struct Bar {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) title: String,
}

/// Payments per hour.
pub(super) struct Bars {
    pub(super) summary: String,
    pub(super) lines: Vec<Line>,
    pub(super) columns: Vec<Bar>,
}

pub(super) struct Dot {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) title: String,
}

pub(super) struct Curve {
    pub(super) tone: &'static str,
    pub(super) path: String,
    pub(super) dots: Vec<Dot>,
}

/// Time to detect, hour by hour.
pub(super) struct Curves {
    pub(super) summary: String,
    pub(super) lines: Vec<Line>,
    pub(super) drawn: Vec<Curve>,
}

impl Bars {
    pub(super) fn of(facts: Option<&Snapshot>, now: UnixMillis) -> Self {
        let hours = hours(facts, now);
        let most = hours.iter().map(|(_, hour)| hour.paid).max().unwrap_or(0);
        let top = round_up(most);
        let step = (RIGHT - LEFT) / real(HOURS as u64);
        let bars = hours
            .iter()
            .enumerate()
            .filter(|(_, (_, hour))| hour.paid > 0);
        let bars = bars.map(|(place, (at, hour))| {
            let height = ((BOTTOM - TOP) * real(hour.paid) / real(top)).max(1.5);
            Bar {
                x: number(LEFT + step * (real(place as u64) + GAP / 2.0)),
                y: number(BOTTOM - height),
                width: number(step * (1.0 - GAP)),
                height: number(height),
                title: format!("{}: {} payments", clock(*at), hour.paid),
            }
        });
        let all: u64 = hours.iter().map(|(_, hour)| hour.paid).sum();
        let summary = match (facts, all) {
            (None, _) => "Not counted yet.".to_owned(),
            (Some(_), 0) => "No payment in the last 24 hours.".to_owned(),
            (Some(facts), _) => format!(
                "{all} in 24 hours, at most {most} in one hour{}.",
                if facts.day.is_complete() {
                    ""
                } else {
                    "; still counting"
                }
            ),
        };
        let marks = if top > 1 {
            vec![0, top / 2, top]
        } else {
            vec![0, top]
        };
        Self {
            summary,
            lines: marks
                .into_iter()
                .map(|count| {
                    let y = BOTTOM - (BOTTOM - TOP) * real(count) / real(top);
                    line(y, short(count))
                })
                .collect(),
            columns: bars.collect(),
        }
    }
}

impl Curves {
    pub(super) fn of(facts: Option<&Snapshot>, now: UnixMillis) -> Self {
        let hours = hours(facts, now);
        let within = |hour: &Hour, percent| hour.noticed_within(percent);
        let seen: Vec<f64> = hours
            .iter()
            .flat_map(|(_, hour)| [50, 95].map(|percent| within(hour, percent)))
            .flatten()
            .map(|took| took.as_secs_f64())
            .collect();
        let scale = Scale::of(&seen);
        let curve = |tone, percent, words: &str| {
            let mut curve = Curve {
                tone,
                path: String::new(),
                dots: Vec::new(),
            };
            let mut goes_on = false;
            for (place, (at, hour)) in hours.iter().enumerate() {
                let Some(took) = within(hour, percent) else {
                    goes_on = false;
                    continue;
                };
                let x = CURVES_LEFT
                    + (RIGHT - CURVES_LEFT) * real(place as u64) / real(HOURS as u64 - 1);
                let (x, y) = (number(x), number(scale.y(took.as_secs_f64())));
                // Writing to a String cannot fail.
                let _ = write!(curve.path, "{}{x} {y}", if goes_on { "L" } else { "M" });
                goes_on = true;
                let title = format!("{}: {words} within {}", clock(*at), words::measured(took));
                curve.dots.push(Dot { x, y, title });
            }
            curve
        };
        let day = facts.map(|facts| facts.day.whole()).unwrap_or_default();
        let summary = match (day.noticed_within(50), day.noticed_within(95)) {
            (Some(half), Some(most)) => format!(
                "Last 24 hours: median {}, 95% within {}.",
                words::measured(half),
                words::measured(most)
            ),
            _ => "No payment with a known time in the last 24 hours.".to_owned(),
        };
        Self {
            summary,
            lines: scale.lines(),
            drawn: vec![curve("most", 95, "95%"), curve("half", 50, "median")],
        }
    }
}

/// A logarithmic scale of seconds.
struct Scale {
    ticks: &'static [(f64, &'static str)],
}

impl Scale {
    fn of(seconds: &[f64]) -> Self {
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = seconds.iter().copied().fold(1.0, f64::max);
        let below = TICKS.iter().rposition(|(tick, _)| *tick <= least);
        let above = TICKS.iter().position(|(tick, _)| *tick >= most);
        let above = above.unwrap_or(TICKS.len() - 1).max(2);
        let below = if seconds.is_empty() {
            0
        } else {
            below.unwrap_or(0)
        };
        Self {
            ticks: &TICKS[below.min(above - 2)..=above],
        }
    }

    fn y(&self, seconds: f64) -> f64 {
        let (low, high) = (self.ticks[0].0, self.ticks[self.ticks.len() - 1].0);
        let part = (seconds.clamp(low, high) / low).ln() / (high / low).ln();
        BOTTOM - (BOTTOM - TOP) * part
    }

    fn lines(&self) -> Vec<Line> {
        let ticks = self.ticks.iter();
        ticks
            .map(|(tick, label)| line(self.y(*tick), (*label).to_owned()))
            .collect()
    }
}

fn hours(facts: Option<&Snapshot>, now: UnixMillis) -> Vec<(UnixMillis, Hour)> {
    facts.map(|facts| facts.day.hours(now)).unwrap_or_default()
}

fn line(y: f64, label: String) -> Line {
    Line {
        y: number(y),
        text_y: number(y + 3.5),
        label,
    }
}

/// `14:00–15:00`: hours are those of the clock.
fn clock(at: UnixMillis) -> String {
    let hour = at.since(UnixMillis(0)).as_secs() / 3600 % 24;
    format!("{hour:02}:00–{:02}:00", (hour + 1) % 24)
}

/// The next value of 1, 2, 4, 10, 20, 40, 100…
fn round_up(most: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for step in [1, 2, 4] {
            let round = power.saturating_mul(step);
            if round >= most {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// 1500 as `1.5k`.
fn short(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        1000..1_000_000 => format!("{}k", real(count) / 1000.0),
        _ => format!("{}M", real(count) / 1_000_000.0),
    }
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs few digits")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let ends = [0, 1, 3, 4, 5, 41, 1000, 1001].map(round_up);
        assert_eq!(ends, [1, 1, 4, 4, 10, 100, 1000, 2000]);
        assert_eq!([7, 1500, 2_000_000].map(short), ["7", "1.5k", "2M"]);
    }

    #[test]
    fn every_time_lies_between_the_axes() {
        for seconds in [vec![], vec![0.0], vec![0.5, 4000.0], vec![1e9]] {
            let scale = Scale::of(&seconds);
            for second in seconds.iter().chain(&[0.0, 1.0, 1e12]) {
                assert!((TOP..=BOTTOM).contains(&scale.y(*second)), "{seconds:?}");
            }
            assert!(scale.lines().len() >= 3);
        }
    }

    #[test]
    fn an_empty_day_is_drawn_too() {
        assert!(Bars::of(None, UnixMillis(0)).columns.is_empty());
        assert!(Curves::of(None, UnixMillis(0)).drawn[0].path.is_empty());
    }
}
