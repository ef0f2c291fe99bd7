//! What the audience sees while the play runs: on a terminal a picture that moves, else plain
//! lines.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Gauge, Paragraph};

use super::play::{CUSTOMERS, Play};
use crate::domain::state::Status;

/// Lines of the picture.
pub(super) const HEIGHT: u16 = 16;
/// Events shown.
const EVENTS: u16 = 9;
/// Width of the bars, in characters.
const BAR: usize = 40;

/// One moment of the play.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) elapsed: Duration,
    counts: Vec<(Status, i64)>,
    requests: u64,
    trouble: Option<String>,
    events: Vec<(Status, String)>,
}

impl Scene {
    pub(super) async fn of(play: &Play, elapsed: Duration) -> anyhow::Result<Self> {
        let overview = play.store.overview(play.clock.now()).await?;
        let events = play.store.last_events(u32::from(EVENTS)).await?;
        let accounts = play.store.accounts().await?;
        let troubled = accounts.iter().find(|account| account.state != "working");
        Ok(Self {
            elapsed,
            counts: overview.by_status,
            requests: play.world.stats().requests.values().sum(),
            trouble: troubled.and_then(|account| account.last_error.clone()),
            events: events.iter().filter_map(told).collect(),
        })
    }

    fn count(&self, status: Status) -> i64 {
        let found = self.counts.iter().find(|(of, _)| *of == status);
        found.map_or(0, |(_, count)| *count)
    }

    fn settled(&self) -> i64 {
        [Status::Paid, Status::Expired, Status::Cancelled]
            .into_iter()
            .map(|status| self.count(status))
            .sum()
    }

    /// The moment in one line.
    pub(super) fn line(&self) -> String {
        format!(
            "{:>4.1} s  waiting {:>2}  paid {:>2}  expired {:>2}  cancelled {:>2}  requests {}{}",
            self.elapsed.as_secs_f64(),
            self.count(Status::Pending) + self.count(Status::Requested),
            self.count(Status::Paid),
            self.count(Status::Expired),
            self.count(Status::Cancelled),
            self.requests,
            self.trouble
                .as_ref()
                .map_or(String::new(), |why| format!("  (provider: {why})")),
        )
    }
}

/// An event as the audience reads it.
fn told(event: &crate::store::sqlite::EventRow) -> Option<(Status, String)> {
    let status = Status::parse(event.status.as_deref()?)?;
    let data: serde_json::Value = serde_json::from_str(&event.payload).ok()?;
    let text = |path: &str| {
        data.pointer(path)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let late = data
        .pointer("/data/late")
        .and_then(serde_json::Value::as_bool)
        == Some(true);
    let words = format!(
        "{:<18} {}  {:>6} {}{}",
        event.event_type,
        text("/data/external_id"),
        text("/data/amount/value"),
        text("/data/amount/currency"),
        if late {
            "  late, after it had ended"
        } else {
            ""
        },
    );
    Some((status, words))
}

fn colour(status: Status) -> Color {
    match status {
        Status::Paid => Color::Green,
        Status::Expired => Color::DarkGray,
        Status::Cancelled => Color::Yellow,
        Status::Pending | Status::Requested => Color::Blue,
        Status::Rejected | Status::Review => Color::Red,
    }
}

/// Draws the picture.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene) {
    let [title, progress, bars, trouble, events] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Length(1),
        Constraint::Length(EVENTS),
    ])
    .areas(frame.area());
    let words = format!(
        "payrecond demo: {CUSTOMERS} customers, one provider that stumbles   {:.1} s   {} requests",
        scene.elapsed.as_secs_f64(),
        scene.requests
    );
    frame.render_widget(Line::from(words.bold()), title);
    let settled = u16::try_from(scene.settled()).unwrap_or(0);
    let ratio = (f64::from(settled) / CUSTOMERS as f64).min(1.0);
    let gauge = Gauge::default()
        .gauge_style(Style::new().fg(Color::Green).bg(Color::DarkGray))
        .ratio(ratio)
        .label(format!("{settled} of {CUSTOMERS} orders settled"));
    frame.render_widget(gauge, progress);
    frame.render_widget(Paragraph::new(bar_lines(scene)), bars);
    let word = match &scene.trouble {
        Some(why) => Line::from(format!("the provider cannot be asked: {why}").red().bold()),
        None => {
            Line::from("the provider answers (now and then with a 429, a 500 or half a body)".dim())
        }
    };
    frame.render_widget(word, trouble);
    let lines: Vec<Line<'_>> = scene
        .events
        .iter()
        .map(|(status, words)| Line::from(words.as_str().fg(colour(*status))))
        .collect();
    frame.render_widget(Paragraph::new(lines), events);
}

fn bar_lines(scene: &Scene) -> Vec<Line<'_>> {
    let waiting = scene.count(Status::Pending) + scene.count(Status::Requested);
    let rows = [
        ("waiting", Status::Pending, waiting),
        ("paid", Status::Paid, scene.count(Status::Paid)),
        ("expired", Status::Expired, scene.count(Status::Expired)),
        (
            "cancelled",
            Status::Cancelled,
            scene.count(Status::Cancelled),
        ),
    ];
    rows.into_iter()
        .map(|(name, status, count)| {
            let length = usize::try_from(count).unwrap_or(0) * BAR / CUSTOMERS;
            Line::from(vec![
                Span::raw(format!("{name:>10} {count:>3} ")),
                Span::styled("█".repeat(length), Style::new().fg(colour(status))),
            ])
        })
        .collect()
}
