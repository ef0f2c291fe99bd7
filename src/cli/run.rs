//! `run`: the daemon, in the foreground.

use clap::Args;

use super::Exit;
use super::exit::complain;
use super::session::Session;
use crate::daemon::{self, DaemonError};
use crate::jobs::poll::PollCounts;

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
    let stdout = tokio::io::stdout();
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
    complain(&format!(
        "{could_not_ask} could not be asked, {left} are still due; `payrecond list` shows the last error of each"
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
