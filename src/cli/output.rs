//! What goes to stdout: gathered, made harmless for a terminal, written at once.
//!
//! No `println!` anywhere: it panics when the reader has gone, which is an end like any other.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::stdout;
use super::table::Table;
use crate::config::Environment;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether it is a terminal at all.
    pub(super) terminal: bool,
    /// Whether it may have colours.
    pub(super) colour: bool,
}

impl Style {
    pub(super) fn of_stdout(environment: &Environment) -> Self {
        Self::of(io::stdout().is_terminal(), environment)
    }

    pub(super) fn of_stderr(environment: &Environment) -> Self {
        Self::of(io::stderr().is_terminal(), environment)
    }

    fn of(terminal: bool, environment: &Environment) -> Self {
        let refused = environment.get("NO_COLOR").is_some_and(|v| !v.is_empty())
            || environment.get("TERM").is_some_and(|term| term == "dumb");
        Self {
            terminal,
            colour: terminal && !refused,
        }
    }
}

/// The reader of stdout has gone: nobody wants the rest.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stdout has gone")]
pub(super) struct StdoutClosed;

/// A report under way.
pub(super) struct Output {
    style: Style,
    text: String,
}

impl Output {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            text: String::new(),
        }
    }

    pub(super) fn line(&mut self, words: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{words}");
    }

    pub(super) fn heading(&mut self, words: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let bold = anstyle::Style::new().bold();
        if self.style.colour {
            self.line(format_args!("{bold}{words}{bold:#}"));
        } else {
            self.line(words);
        }
    }

    pub(super) fn table(&mut self, table: Table) {
        for line in table.lines(self.style) {
            self.line(line);
        }
    }

    /// One line, or laid out for a person at a terminal.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = if self.style.terminal {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        self.line(without_control(&text));
        Ok(())
    }

    /// Writes it all and flushes.
    pub(super) fn send(self) -> anyhow::Result<()> {
        stdout::require_writable()?;
        let mut stdout = io::stdout().lock();
        let sent = stdout
            .write_all(self.text.as_bytes())
            .and_then(|()| stdout.flush());
        match sent {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
            Err(error) => Err(anyhow::Error::new(error).context("stdout")),
            Ok(()) => Ok(()),
        }
    }
}

/// JSON leaves DEL, C1 and the characters that turn the direction of writing as they are; terminals
/// obey them. They stand within strings only, where an escape means the same.
fn without_control(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                let _ = write!(harmless, "\\u{:04x}", u32::from(c));
            }
            c => harmless.push(c),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_nothing_a_terminal_obeys_and_still_says_the_same() {
        let json = "{\"a\":\"\u{9b}2J\u{202e}\u{7f}я\"}";
        let harmless = without_control(json);
        assert_eq!(harmless, r#"{"a":"\u009b2J\u202e\u007fя"}"#);
        let back: serde_json::Value = serde_json::from_str(&harmless).unwrap();
        assert_eq!(back["a"], "\u{9b}2J\u{202e}\u{7f}я");
    }

    #[test]
    fn no_color_and_dumb_terminals_are_heeded() {
        let style = |pairs: &[(&str, &str)]| Style::of(true, &pairs.iter().copied().collect());
        assert!(style(&[]).colour && style(&[("NO_COLOR", "")]).colour);
        assert!(!style(&[("NO_COLOR", "1")]).colour && !style(&[("TERM", "dumb")]).colour);
        assert!(!Style::of(false, &Environment::default()).colour);
    }
}
