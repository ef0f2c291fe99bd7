//! `run`: the daemon, in the foreground.

use anyhow::bail;
use clap::Args;

use super::Exit;
use super::session::Session;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Arguments {
    /// Take every invoice that is due now, drain the feed, end; exit 1 when some could not be asked
    #[arg(long)]
    once: bool,
}

#[expect(clippy::unused_async, reason = "the daemon is not joined yet")]
pub(super) async fn run(session: Session, arguments: Arguments) -> anyhow::Result<Exit> {
    let _ = (session.environment, arguments.once);
    bail!("not built yet")
}
