//! What the audience sees while the play runs: on a terminal a picture that moves, else plain
//! lines.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::play::{CUSTOMERS_EACH, Play};
use crate::domain::account::AccountState;
use crate::domain::invoice::Invoice;
use crate::domain::state::Status;
use crate::sandbox::SimulatedProvider;
use crate::store::{HistoryEvent, InvoiceQuery};
use crate::story::AccountSituation;

/// Lines of the picture: title, board, legend, state of the providers and events, with a line between.
pub(super) const HEIGHT: u16 = 6 + ROWS + EVENTS;
/// Events shown.
const EVENTS: u16 = 7;
/// Rows of the board: one for each provider.
#[expect(clippy::cast_possible_truncation, reason = "there are few providers")]
const ROWS: u16 = SimulatedProvider::ALL.len() as u16;
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
    board: BTreeMap<SimulatedProvider, Vec<OrderStage>>,
    requests: u64,
    trouble: Option<String>,
    events: Vec<Line<'static>>,
}

impl Scene {
    pub(super) async fn of(play: &Play, elapsed: Duration) -> anyhow::Result<Self> {
        let everybody = InvoiceQuery {
            limit: u32::MAX,
            ..InvoiceQuery::default()
        };
        let invoices = play.store.list(&everybody).await?;
        let stages: BTreeMap<&str, OrderStage> = invoices
            .iter()
            .map(|invoice| (invoice.external_id.0.as_str(), OrderStage::of(invoice)))
            .collect();
        let mut board: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for bill in &play.bills {
            let stage = stages.get(bill.external_id.as_str());
            let row = board.entry(bill.provider).or_default();
            row.push(stage.copied().unwrap_or(OrderStage::ToCome));
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
            trouble: troubled.map(|account| {
                let told = AccountSituation::of_record(account).describe(play.clock.now());
                format!("{}: {told}", account.name)
            }),
            events: events.iter().filter_map(told).collect(),
        })
    }

    fn count(&self, piece: OrderStage) -> usize {
        let all = self.board.values().flatten();
        all.filter(|here| **here == piece).count()
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
                .map_or(String::new(), |why| format!("  ({why})")),
        )
    }
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
    let remark = match event.event_type.as_str() {
        "payment.paid" if late => "late",
        "payment.pending" => "has its pay link",
        "payment.partial" => "a part of it",
        "payment.refunded" => "money went back",
        _ => "",
    };
    Some(Line::from(vec![
        format!("{MARGIN}{:>4}  ", event.seq).dark_gray(),
        Span::styled(
            format!("{:<18}", event.event_type),
            Style::new().fg(colour(status)),
        ),
        format!(
            "{:<15}{}  {:>6} {:<5}",
            text("/data/provider"),
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
    let providers = scene.board.len();
    let subject = format!("{providers} providers with faults, {CUSTOMERS_EACH} customers each");
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

/// A row for each provider: one piece for each customer, in the order they come.
fn rows(scene: &Scene) -> Vec<Line<'static>> {
    let row = |(provider, pieces): (&SimulatedProvider, &Vec<OrderStage>)| {
        let mut spans = vec![format!("{MARGIN}{:<17}", provider.name()).into()];
        for piece in pieces {
            spans.push(piece.glyph());
            spans.push(Span::raw("   "));
        }
        Line::from(spans)
    };
    scene.board.iter().map(row).collect()
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
        None => "providers answer, sometimes with status 429, 500 or half a body".dark_gray(),
    };
    Line::from(vec![requests.into(), words])
}
