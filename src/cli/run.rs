//! `run`: the daemon in the foreground.

use clap::Args;

use super::exit::complain;
use super::session::Session;
use super::{Exit, stdout};
use crate::config::ConfigError;
use crate::daemon::{self, DaemonError};
use crate::jobs::poll::PollCounts;
use crate::words;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct RunArguments {
    /// Poll everything that is due now, write the feed, and exit; exit code 1 when some requests failed
    #[arg(long)]
    once: bool,
}

/// The hint for a start that fails with the defaults.
const NO_FILE: &str = "no configuration file was found, so the defaults are in force; `payrecond init` writes a \
                       file, `payrecond demo` needs none";

pub(super) async fn run(session: Session, arguments: RunArguments) -> anyhow::Result<Exit> {
    let has_file = session.config.source.is_some();
    let outcome = run_daemon(session, arguments).await;
    if let Err(error) = &outcome
        && error.is::<ConfigError>()
        && !has_file
    {
        complain(NO_FILE);
    }
    outcome
}

async fn run_daemon(session: Session, arguments: RunArguments) -> anyhow::Result<Exit> {
    let Session {
        config,
        environment,
        ..
    } = session;
    let stdout = stdout::open();
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
        failed_requests,
        left,
    } = counts;
    tracing::info!(answered, failed = failed_requests, left, "pass completed");
    if failed_requests + left == 0 {
        return Ok(Exit::Done);
    }
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    complain(&format!(
        "{} failed and {} are still due; `payrecond show REF` has the last error of an invoice",
        words::counted(count(failed_requests), "request"),
        words::counted(count(left), "invoice"),
    ));
    Ok(Exit::Failed)
}

/// Keeps a configuration error as such, because it has its own exit code.
pub(super) fn plain(error: DaemonError) -> anyhow::Error {
    match error {
        DaemonError::Configuration(error) => error.into(),
        error @ (DaemonError::Store(_) | DaemonError::Failed(_)) => error.into(),
    }
}
