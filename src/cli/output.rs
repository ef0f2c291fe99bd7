//! Results for stdout: collected, sanitized for a terminal, written at once.
//!
//! No `println!` anywhere: it panics when the reader has closed stdout, which is a normal end.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use serde::Serialize;

use super::stdout;
use super::style::Style;
use super::table::Table;

/// stdout was closed by its reader.
#[derive(Debug, thiserror::Error)]
#[error("stdout was closed by its reader")]
pub(super) struct StdoutClosed;

/// A report being built.
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

    /// On one line, or formatted for a person at a terminal.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = if self.style.terminal {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        self.line(without_control(&text));
        Ok(())
    }

    /// Writes everything and flushes.
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

/// Escapes DEL, C1 and bidirectional formatting characters, which JSON allows and terminals
/// interpret. They occur only within strings, where an escape means the same.
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
    fn json_has_no_control_characters_and_the_same_value() {
        let json = "{\"a\":\"\u{9b}2J\u{202e}\u{7f}я\"}";
        let harmless = without_control(json);
        assert_eq!(harmless, r#"{"a":"\u009b2J\u202e\u007fя"}"#);
        let back: serde_json::Value = serde_json::from_str(&harmless).unwrap();
        assert_eq!(back["a"], "\u{9b}2J\u{202e}\u{7f}я");
    }
}
