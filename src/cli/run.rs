//! `run`: the daemon, in the foreground.

use std::path::Path;

use clap::Args;
use tokio::io::AsyncWrite;

use super::Exit;
use super::exit::complain;
use super::session::Session;
use crate::daemon::{self, DaemonError};
use crate::jobs::poll::PollCounts;
use crate::words;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Arguments {
    /// Take every invoice that is due now, drain the feed, end; exit 1 when some could not be asked
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(session: Session, arguments: Arguments) -> anyhow::Result<Exit> {
    let Session {
        config,
        environment,
        ..
    } = session;
    // What goes to a stdout that was never open would be lost, and look delivered.
    let stdout: Box<dyn AsyncWrite + Unpin + Send> = if was_closed() {
        // Its other end is gone already.
        Box::new(tokio::io::duplex(1).0)
    } else {
        Box::new(tokio::io::stdout())
    };
    if !arguments.once {
        daemon::run(config, &environment, stdout)
            .await
            .map_err(plain)?;
        return Ok(Exit::Done);
    }
    let counts = daemon::run_once(config, &environment, stdout)
        .await
        .map_err(plain)?;
    let PollCounts {
        answered,
        could_not_ask,
        left,
    } = counts;
    tracing::info!(answered, could_not_ask, left, "one pass done");
    if could_not_ask + left == 0 {
        return Ok(Exit::Done);
    }
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    complain(&format!(
        "{} brought no answer, {} still due; `payrecond list` shows the last error of each",
        words::counted(count(could_not_ask), "request"),
        words::counted(count(left), "invoice"),
    ));
    Ok(Exit::Failed)
}

/// A configuration error stays one: it has an exit code of its own.
pub(super) fn plain(error: DaemonError) -> anyhow::Error {
    match error {
        DaemonError::Configuration(error) => error.into(),
        error @ (DaemonError::Store(_) | DaemonError::Failed(_)) => error.into(),
    }
}

/// Whether stdout was closed when the process began. The standard library then puts a /dev/null
/// there, open for reading as well, which no shell's `>/dev/null` is.
fn was_closed() -> bool {
    const ACCESS_MODE: u32 = 0b11;
    const READ_AND_WRITE: u32 = 0b10;
    let flags = || {
        let info = std::fs::read_to_string("/proc/self/fdinfo/1").ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(flags.trim(), 8).ok()
    };
    std::fs::read_link("/proc/self/fd/1").is_ok_and(|file| file == Path::new("/dev/null"))
        && flags().is_some_and(|flags| flags & ACCESS_MODE == READ_AND_WRITE)
}
