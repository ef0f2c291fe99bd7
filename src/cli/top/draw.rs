//! Draws the view. Pure: depends on the view alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::TopView;
use crate::cli::stats::{is_alarming, lag};
use crate::cli::table::Tone;
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, Consumer, HistoryEvent};
use crate::story::AccountSituation;
use crate::words;

/// Below this width, boxes would have borders but no content.
const SMALL_WIDTH: u16 = 50;
const SMALL_HEIGHT: u16 = 18;

/// Draws the view over the whole frame.
pub fn draw(frame: &mut Frame<'_>, view: &TopView) {
    let area = frame.area();
    if area.width < SMALL_WIDTH || area.height < SMALL_HEIGHT {
        return draw_small(frame, view);
    }
    let accounts = rows(view.accounts.len());
    let consumers = rows(view.consumers.len());
    let [title, top, accounts, consumers, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(9),
        Constraint::Length(accounts),
        Constraint::Length(consumers),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [invoices, payments] =
        Layout::horizontal([Constraint::Length(30), Constraint::Min(20)]).areas(top);
    draw_title(frame, title, view);
    draw_invoices(frame, invoices, view);
    draw_payments(frame, payments, view);
    draw_accounts(frame, accounts, view);
    draw_consumers(frame, consumers, view);
    draw_events(frame, events, view);
    draw_foot(frame, foot, view);
}

/// The most important facts, line by line and without boxes.
fn draw_small(frame: &mut Frame<'_>, view: &TopView) {
    let [title, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let mut lines: Vec<Line<'_>> = view
        .accounts
        .iter()
        .map(|account| account_line(account, view.now))
        .collect();
    let counts = view.overview.iter().flat_map(|o| &o.by_status);
    let open = [Status::Review, Status::Pending, Status::Requested];
    let counted = counts.filter(|(status, count)| open.contains(status) && *count > 0);
    lines.extend(counted.map(|(status, count)| {
        let text = format!("{} {count}", status.as_str());
        Line::styled(text, color(Tone::of(*status)))
    }));
    lines.push(overdue(view));
    lines.extend(view.consumers.iter().map(|c| consumer_line(c, view.now)));
    draw_title(frame, title, view);
    frame.render_widget(Paragraph::new(lines), body);
    draw_foot(frame, foot, view);
}

/// The height of a box with this many rows, within limits.
fn rows(count: usize) -> u16 {
    u16::try_from(count.clamp(1, 8)).unwrap_or(8) + 2
}

fn color(tone: Tone) -> Style {
    let style = Style::new();
    match tone {
        Tone::Plain => style,
        Tone::Good => style.fg(Color::Green),
        Tone::Waiting => style.fg(Color::Yellow),
        Tone::Quiet => style.fg(Color::DarkGray),
        Tone::Bad => style.fg(Color::Red),
        Tone::Alarm => style.fg(Color::Magenta),
    }
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let daemon = match view.daemon_runs {
        Some(true) => Span::styled("daemon running", color(Tone::Good)),
        Some(false) => Span::styled("no daemon", color(Tone::Bad)),
        None => Span::raw(""),
    };
    let line = Line::from(vec![
        Span::styled("payrecond ", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(one_line(&view.title)),
        Span::raw("  "),
        daemon,
        Span::styled(format!("  {}", view.now), color(Tone::Quiet)),
    ]);
    frame.render_widget(line, area);
}

fn draw_invoices(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let counts = view.overview.iter().flat_map(|o| &o.by_status);
    let lines: Vec<Line<'_>> = counts
        .map(|(status, count)| {
            let tone = if *count == 0 {
                Tone::Quiet
            } else {
                Tone::of(*status)
            };
            let text = format!("{:<12}{count:>14}", status.as_str());
            Line::styled(text, color(tone))
        })
        .collect();
    let block = Block::bordered().title(" invoices ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_payments(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let block = Block::bordered().title(" payments, by minute of the last hour ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [chart, figures] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(3)]).areas(inner);
    let width = usize::from(chart.width);
    let from = view.payments_by_minute.len().saturating_sub(width);
    let latest = view.payments_by_minute.get(from..).unwrap_or_default();
    let sparkline = Sparkline::default().data(latest).style(color(Tone::Good));
    frame.render_widget(sparkline, chart);

    let hour: u64 = view.payments_by_minute.iter().sum();
    let detect = &view.detect;
    let found = if detect.count == 0 {
        "time to detect: no payments yet".to_owned()
    } else {
        format!(
            "time to detect: p50 {}  p95 {}  p99 {}",
            words::measured(detect.p50),
            words::measured(detect.p95),
            words::measured(detect.p99)
        )
    };
    let lines = vec![
        Line::raw(format!("{hour} in the last hour")),
        Line::raw(found),
        overdue(view),
    ];
    frame.render_widget(Paragraph::new(lines), figures);
}

fn overdue(view: &TopView) -> Line<'static> {
    let Some(overview) = &view.overview else {
        return Line::raw("");
    };
    let line = format!("overdue polls: {}", overview.overdue.describe(view.now));
    if overview.overdue.count > 0 {
        Line::styled(line, color(Tone::Waiting))
    } else {
        Line::raw(line)
    }
}

fn draw_accounts(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let accounts = view.accounts.iter();
    let lines = accounts.map(|account| account_line(account, view.now));
    draw_lines(frame, area, " accounts ", lines.collect(), "no request yet");
}

fn account_line(account: &AccountRecord, now: UnixMillis) -> Line<'static> {
    let situation = AccountSituation::of_record(account);
    let explained = situation.brief(now);
    let rest = format!(
        " for {} ({}){}",
        words::span(now.since(account.state_since)),
        one_line(&account.provider),
        explained.map_or_else(String::new, |why| format!(": {why}"))
    );
    Line::from(vec![
        Span::raw(format!("{:<20} ", one_line(&account.name.0))),
        Span::styled(account.state.as_str(), color(Tone::of_account(&situation))),
        Span::raw(rest),
    ])
}

fn draw_consumers(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let consumers = view.consumers.iter();
    let lines = consumers.map(|consumer| consumer_line(consumer, view.now));
    draw_lines(frame, area, " consumers ", lines.collect(), "none");
}

fn consumer_line(consumer: &Consumer, now: UnixMillis) -> Line<'static> {
    let tone = if is_alarming(consumer, now) {
        Tone::Bad
    } else {
        Tone::Plain
    };
    let name = one_line(&consumer.name);
    let text = format!("{name:<20} {}", lag(consumer, now));
    Line::styled(text, color(tone))
}

fn draw_lines(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    lines: Vec<Line<'_>>,
    otherwise: &'static str,
) {
    let lines = if lines.is_empty() {
        vec![Line::styled(otherwise, color(Tone::Quiet))]
    } else {
        lines
    };
    let block = Block::bordered().title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let rows = view.events.iter().map(|event| {
        let tone = event.status.as_deref().and_then(Status::parse);
        Row::new([
            event.seq.to_string(),
            words::relative(event.created_at, view.now),
            one_line(&event.event_type),
            external_id(event),
        ])
        .style(color(tone.map_or(Tone::Plain, Tone::of)))
    });
    let widths = [
        Constraint::Length(14),
        Constraint::Length(12),
        Constraint::Length(18),
        Constraint::Min(10),
    ];
    let table = Table::new(rows, widths).block(Block::bordered().title(" last events "));
    frame.render_widget(table, area);
}

/// The shop's id from the payload.
fn external_id(event: &HistoryEvent) -> String {
    #[derive(serde::Deserialize)]
    struct PayloadSubject {
        subject: Option<String>,
    }
    serde_json::from_str::<PayloadSubject>(&event.payload)
        .ok()
        .and_then(|envelope| envelope.subject)
        .map(|subject| one_line(&subject))
        .unwrap_or_default()
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, view: &TopView) {
    let line = match &view.problem {
        Some(problem) => Line::styled(
            format!("not up to date: {}", one_line(problem)),
            color(Tone::Bad),
        ),
        None => Line::styled("q quits", color(Tone::Quiet)),
    };
    frame.render_widget(line, area);
}

#[cfg(test)]
mod tests {
    use crate::domain::account::AccountState;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::store::{ListRecord, Overdue, Overview};

    fn picture(view: &TopView, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    fn view() -> TopView {
        let now = UnixMillis(1_795_293_000_000);
        TopView {
            title: "shop.db".into(),
            now,
            daemon_runs: Some(true),
            overview: Some(Overview {
                by_status: Status::ALL.map(|status| (status, 3)).to_vec(),
                overdue: Overdue {
                    count: 2,
                    oldest_at: Some(UnixMillis(now.0 - 12_000)),
                },
                highest_seq: 9,
                epoch: "e".into(),
            }),
            payments_by_minute: vec![0; 60],
            accounts: vec![AccountRecord {
                name: "default".into(),
                provider: "walletpay".into(),
                state: AccountState::Held,
                state_since: now,
                is_key_refused: false,
                failures: None,
                resume_at: Some(UnixMillis(now.0 + 30_000)),
                last_success_at: None,
                last_failure_at: None,
                last_error: Some("429 \u{1b}[2J".into()),
                list: ListRecord::default(),
            }],
            consumers: vec![Consumer {
                is_off: false,
                name: "bot".into(),
                acked_seq: 4,
                unread: 5,
                oldest_unread_at: Some(UnixMillis(now.0 - 60_000)),
            }],
            events: vec![HistoryEvent {
                seq: 9,
                event_id: "id".into(),
                event_type: "payment.paid".into(),
                previous_status: Some("pending".into()),
                status: Some("paid".into()),
                created_at: now,
                payload: r#"{"subject":"ORD-1"}"#.into(),
            }],
            ..TopView::default()
        }
    }

    #[test]
    fn the_whole_view_fits_one_screen() {
        let told = picture(&view(), 100, 30);
        for part in [
            "shop.db",
            "daemon running",
            "review",
            "overdue polls: 2, the oldest by 12 s",
            "held for 0 s (walletpay): next request in 30 s; 429",
            "5 events unread, the oldest 60 s ago",
            "payment.paid",
            "ORD-1",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        assert!(!told.contains('\u{1b}'));
    }

    #[test]
    fn a_tiny_terminal_and_an_empty_view_are_drawn_too() {
        for (width, height) in [(1, 1), (10, 3), (40, 12), (300, 100)] {
            picture(&view(), width, height);
            picture(&TopView::default(), width, height);
        }
    }

    #[test]
    fn a_small_terminal_shows_what_matters_most() {
        let told = picture(&view(), 40, 10);
        for part in [
            "default",
            "held",
            "review 3",
            "overdue polls: 2",
            "bot",
            "q quits",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
    }

    #[test]
    fn an_outdated_view_is_marked() {
        let mut view = view();
        view.problem = Some("database is locked".into());
        assert!(picture(&view, 100, 30).contains("not up to date: database is locked"));
    }
}
