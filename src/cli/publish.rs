//! `publish`: the publisher alone, in the foreground.

use clap::Args;

use super::Exit;
use super::run::plain;
use super::session::Session;
use crate::daemon;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PublishArguments {
    /// Publish what is there, and exit; exit code 1 when it could not be published
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(session: Session, arguments: PublishArguments) -> anyhow::Result<Exit> {
    let Session {
        config,
        environment,
        ..
    } = session;
    daemon::publish(config, &environment, arguments.once)
        .await
        .map_err(plain)?;
    Ok(Exit::Done)
}
