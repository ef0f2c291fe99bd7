//! What the audience sees while the play runs: on a terminal a picture that moves, else plain
//! lines.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::play::{CUSTOMERS, Play};
use crate::domain::account::AccountState;
use crate::domain::invoice::Invoice;
use crate::domain::state::Status;
use crate::store::{HistoryEvent, InvoiceQuery};

/// Lines of the picture.
pub(super) const HEIGHT: u16 = 16;
/// Events shown.
const EVENTS: u16 = 7;
/// Customers in a row of the board.
const ROW: u16 = 20;
/// Rows of the board.
const ROWS: u16 = CUSTOMERS.div_ceil(ROW);
const MARGIN: &str = "  ";

/// How an order stands on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OrderStage {
    ToCome,
    Waiting,
    Paid,
    PaidLate,
    Expired,
    Cancelled,
    /// Rejected or in review: the play has none of these.
    Odd,
}

impl OrderStage {
    fn of(invoice: &Invoice) -> Self {
        match invoice.facts.status {
            Status::Requested | Status::Pending => Self::Waiting,
            Status::Paid if invoice.facts.ended_at.is_some() => Self::PaidLate,
            Status::Paid => Self::Paid,
            Status::Expired => Self::Expired,
            Status::Cancelled => Self::Cancelled,
            Status::Rejected | Status::Review => Self::Odd,
        }
    }

    fn glyph(self) -> Span<'static> {
        match self {
            Self::ToCome => "·".dark_gray(),
            Self::Waiting => "○".light_blue(),
            Self::Paid => "●".green(),
            Self::PaidLate => "◆".light_green().bold(),
            Self::Expired => "×".dark_gray().bold(),
            Self::Cancelled => "×".yellow(),
            Self::Odd => "!".red().bold(),
        }
    }
}

/// One moment of the play.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    elapsed: Duration,
    board: Vec<OrderStage>,
    requests: u64,
    trouble: Option<String>,
    events: Vec<Line<'static>>,
}

impl Scene {
    pub(super) async fn of(play: &Play, elapsed: Duration) -> anyhow::Result<Self> {
        let everybody = InvoiceQuery {
            limit: u32::from(CUSTOMERS),
            ..InvoiceQuery::default()
        };
        let mut board = vec![OrderStage::ToCome; usize::from(CUSTOMERS)];
        for invoice in play.store.list(&everybody).await? {
            if let Some(place) = place(&invoice).and_then(|place| board.get_mut(place)) {
                *place = OrderStage::of(&invoice);
            }
        }
        let events = play.store.last_events(u32::from(EVENTS)).await?;
        let accounts = play.store.accounts().await?;
        let troubled = accounts
            .iter()
            .find(|account| account.state != AccountState::Working);
        Ok(Self {
            elapsed,
            board,
            requests: play.world.stats().requests.values().sum(),
            trouble: troubled.and_then(|account| account.last_error.clone()),
            events: events.iter().filter_map(told).collect(),
        })
    }

    fn count(&self, piece: OrderStage) -> usize {
        self.board.iter().filter(|here| **here == piece).count()
    }

    /// The moment in one line.
    pub(super) fn line(&self) -> String {
        format!(
            "{:>4.1} s  waiting {:>2}  paid {:>2}  late {:>2}  expired {:>2}  cancelled {:>2}  requests {}{}",
            self.elapsed.as_secs_f64(),
            self.count(OrderStage::Waiting),
            self.count(OrderStage::Paid),
            self.count(OrderStage::PaidLate),
            self.count(OrderStage::Expired),
            self.count(OrderStage::Cancelled),
            self.requests,
            self.trouble
                .as_ref()
                .map_or(String::new(), |why| format!("  (provider: {why})")),
        )
    }
}

/// A customer's place on the board, from `ORD-001` on.
fn place(invoice: &Invoice) -> Option<usize> {
    let number: usize = invoice.external_id.0.rsplit('-').next()?.parse().ok()?;
    number.checked_sub(1)
}

/// An event as the audience reads it.
fn told(event: &HistoryEvent) -> Option<Line<'static>> {
    let status = Status::parse(event.status.as_deref()?)?;
    let payload: serde_json::Value = serde_json::from_str(&event.payload).ok()?;
    let text = |path: &str| {
        let value = payload.pointer(path).and_then(|value| value.as_str());
        value.unwrap_or_default().to_owned()
    };
    let late = payload
        .pointer("/data/late")
        .is_some_and(|late| late == true);
    let remark = match status {
        Status::Paid if late => "late, after the order had ended",
        Status::Pending => "order created, with its payment link",
        _ => "",
    };
    Some(Line::from(vec![
        format!("{MARGIN}{:>4}  ", event.seq).dark_gray(),
        Span::styled(
            format!("{:<18}", event.event_type),
            Style::new().fg(colour(status)),
        ),
        format!(
            "{}  {:>5} {}  ",
            text("/data/external_id"),
            text("/data/amount/value"),
            text("/data/amount/currency")
        )
        .into(),
        remark.italic().dark_gray(),
    ]))
}

fn colour(status: Status) -> Color {
    match status {
        Status::Paid => Color::Green,
        Status::Expired => Color::DarkGray,
        Status::Cancelled => Color::Yellow,
        Status::Pending | Status::Requested => Color::LightBlue,
        Status::Rejected | Status::Review => Color::Red,
    }
}

/// Draws the picture.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene) {
    let [title, _, board, _, legend, provider, _, events] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(ROWS),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(EVENTS),
    ])
    .areas(frame.area());
    let subject = format!("{CUSTOMERS} customers, and a provider with faults");
    let clock = format!("   {:>4.1} s", scene.elapsed.as_secs_f64());
    let words = Line::from(vec![
        "payrecond demo  ".bold(),
        subject.into(),
        clock.dark_gray(),
    ]);
    frame.render_widget(words, title);
    frame.render_widget(Paragraph::new(rows(scene)), board);
    frame.render_widget(key(scene), legend);
    frame.render_widget(provider_line(scene), provider);
    frame.render_widget(Paragraph::new(scene.events.clone()), events);
}

/// One piece for each customer, in the order they come.
fn rows(scene: &Scene) -> Vec<Line<'static>> {
    let row = |pieces: &[OrderStage]| {
        let mut spans = vec![Span::raw(MARGIN)];
        for piece in pieces {
            spans.push(piece.glyph());
            spans.push(Span::raw("  "));
        }
        Line::from(spans)
    };
    scene.board.chunks(usize::from(ROW)).map(row).collect()
}

/// What the pieces mean, and how many there are of each.
fn key(scene: &Scene) -> Line<'static> {
    let mut spans = vec![Span::raw(MARGIN)];
    for (piece, name) in [
        (OrderStage::Waiting, "waiting"),
        (OrderStage::Paid, "paid"),
        (OrderStage::PaidLate, "paid late"),
        (OrderStage::Expired, "expired"),
        (OrderStage::Cancelled, "cancelled"),
    ] {
        spans.push(piece.glyph());
        spans.push(format!(" {:>2} {name}   ", scene.count(piece)).into());
    }
    Line::from(spans)
}

fn provider_line(scene: &Scene) -> Line<'static> {
    let requests = format!("{MARGIN}{:>4} requests   ", scene.requests);
    let words = match &scene.trouble {
        Some(why) => format!("requests fail: {why}").red().bold(),
        None => "the provider answers, sometimes with status 429, 500 or half a body".dark_gray(),
    };
    Line::from(vec![requests.into(), words])
}
