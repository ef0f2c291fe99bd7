//! How a command ends: exit codes, and the last words on stderr.

use std::io::Write as _;
use std::process::ExitCode;

use super::output::StdoutClosed;
use crate::config::ConfigError;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done,
    /// Something failed.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// An audit found differences.
    Differences,
    /// The configuration cannot be used; the unit file does not restart on it.
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

/// Says something to the person at the terminal. A closed stderr swallows it.
pub fn complain(words: &str) {
    let mut stderr = std::io::stderr().lock();
    for line in words.lines() {
        let _ = writeln!(stderr, "payrecond: {line}");
    }
}

/// The exit code an error stands for, after telling it.
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
