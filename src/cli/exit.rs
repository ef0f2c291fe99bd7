//! Exit codes and error messages.

use std::io::Write as _;
use std::process::ExitCode;

use super::output::StdoutClosed;
use crate::config::ConfigError;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Done,
    /// Failure.
    Failed,
    /// Wrong usage.
    Usage,
    /// The audit found differences.
    Differences,
    /// The configuration is not usable; the systemd unit does not restart on it.
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Differences => 3,
            Exit::Configuration => 78,
        })
    }
}

/// Prints a message to stderr. A closed stderr is ignored.
pub fn complain(words: &str) {
    let mut stderr = std::io::stderr().lock();
    for line in words.lines() {
        let _ = writeln!(stderr, "payrecond: {line}");
    }
}

/// Prints an error and returns its exit code.
pub(super) fn of_error(error: &anyhow::Error) -> Exit {
    if error.is::<StdoutClosed>() {
        return Exit::Done;
    }
    complain(&format!("{error:#}"));
    if error.is::<ConfigError>() {
        Exit::Configuration
    } else {
        Exit::Failed
    }
}
