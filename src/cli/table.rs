//! Tables for people: aligned, without borders, with colours by meaning where supported.

use std::fmt::Display;

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, presets};

use super::style::Style;
use crate::domain::account::AccountState;
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::story::AccountSituation;

/// The meaning of a text, shown by its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    Plain,
    /// Money received, or everything works.
    Good,
    /// In progress.
    Waiting,
    /// Ended, or unimportant.
    Quiet,
    /// Failed.
    Bad,
    /// A person is needed.
    Alarm,
}

impl Tone {
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Requested | Status::Pending => Self::Waiting,
            Status::Paid => Self::Good,
            Status::Expired | Status::Cancelled => Self::Quiet,
            Status::Rejected => Self::Bad,
            Status::Review => Self::Alarm,
        }
    }

    /// The tone of an account's situation.
    pub(super) fn of_account(situation: &AccountSituation<'_>) -> Self {
        match situation.state {
            AccountState::Working if situation.is_well() => Self::Good,
            AccountState::Working | AccountState::Held => Self::Waiting,
            AccountState::Paused | AccountState::KeyRefused | AccountState::Unknown => Self::Bad,
        }
    }

    fn color(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Good => Some(Color::Green),
            Self::Waiting => Some(Color::Yellow),
            Self::Quiet => Some(Color::DarkGrey),
            Self::Bad => Some(Color::Red),
            Self::Alarm => Some(Color::Magenta),
        }
    }
}

/// One cell; its text is sanitized.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: one_line(text.as_ref()),
            tone: Tone::Plain,
            right: false,
        }
    }

    /// A right-aligned number or text.
    pub(super) fn right(text: impl Display) -> Self {
        Self {
            right: true,
            ..Self::new(format!("{text}"))
        }
    }

    pub(super) fn maybe(text: Option<&str>) -> Self {
        Self::new(text.unwrap_or_default())
    }

    pub(super) fn status(status: Status) -> Self {
        Self::new(status.as_str()).tone(Tone::of(status))
    }

    pub(super) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Rows of cells, with or without column names.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    header: Option<Vec<&'static str>>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table of names and values.
    pub(super) fn of_facts() -> Self {
        Self::default()
    }

    pub(super) fn with_header(header: &[&'static str]) -> Self {
        Self {
            header: Some(header.to_vec()),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(super) fn fact(&mut self, name: &'static str, value: Cell) {
        self.row(vec![Cell::new(name).tone(Tone::Quiet), value]);
    }

    /// A row that is left out without a value.
    pub(super) fn fact_if(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.fact(name, Cell::new(value));
        }
    }

    /// The lines; for a terminal, wrapped to its width.
    pub(super) fn lines(self, style: Style) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        if style.terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.force_no_tty();
        if style.terminal
            && let Some(width) = terminal_width()
        {
            table.set_width(width);
        }
        if style.colour {
            table.enforce_styling();
        }
        if let Some(header) = self.header {
            let bold = |name: &&str| comfy_table::Cell::new(name).add_attribute(Attribute::Bold);
            table.set_header(header.iter().map(bold).collect::<Vec<_>>());
        }
        for row in self.rows {
            table.add_row(row.into_iter().map(cell).collect::<Vec<_>>());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines = table.lines();
        lines.map(|line| line.trim_end().to_owned()).collect()
    }
}

fn terminal_width() -> Option<u16> {
    ratatui::crossterm::terminal::size()
        .ok()
        .map(|(width, _)| width)
        .filter(|width| *width >= 20)
}

fn cell(cell: Cell) -> comfy_table::Cell {
    let mut made = comfy_table::Cell::new(cell.text);
    if let Some(color) = cell.tone.color() {
        made = made.fg(color);
    }
    if cell.right {
        made = made.set_alignment(CellAlignment::Right);
    }
    made
}
