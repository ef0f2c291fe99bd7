//! The abilities of stdout and stderr.

use std::io::{self, IsTerminal as _};

use crate::config::Environment;

/// What the terminal supports.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_dumb_terminals_disable_colours() {
        let style = |pairs: &[(&str, &str)]| Style::of(true, &pairs.iter().copied().collect());
        assert!(style(&[]).colour && style(&[("NO_COLOR", "")]).colour);
        assert!(!style(&[("NO_COLOR", "1")]).colour && !style(&[("TERM", "dumb")]).colour);
        assert!(!Style::of(false, &Environment::default()).colour);
    }
}
