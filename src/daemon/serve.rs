//! Builds the HTTP server: its address, and its own database connections.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{DaemonError, Parts, database_options};
use crate::server::{ListenError, Server, Setup};

impl From<ListenError> for DaemonError {
    fn from(error: ListenError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Binds the configured address, if there is one, before anything else starts, so that an address
/// in use is reported at once.
pub(super) async fn bind(parts: &Parts) -> Result<Option<Server>, DaemonError> {
    let settings = &parts.config.server;
    match &settings.listen {
        Some(listen) => Ok(Some(Server::bind(listen, settings.allow_remote).await?)),
        None => Ok(None),
    }
}

/// Starts the server as one of the daemon's tasks.
pub(super) async fn start(
    server: Option<Server>,
    parts: &Parts,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), DaemonError> {
    if let Some(server) = server {
        let setup = setup(parts).await?;
        tracing::info!(place = server.place(), "HTTP server listening");
        tasks.spawn(server.run(setup, stop.clone()));
    }
    Ok(())
}

/// What the server needs. It has its own database connections, so that polling never waits for it.
async fn setup(parts: &Parts) -> Result<Setup, DaemonError> {
    let configured = parts.config.accounts.iter();
    Ok(Setup {
        store: database_options(&parts.config).open().await?,
        clock: Arc::clone(&parts.clock),
        metrics: parts.metrics.clone(),
        accounts: parts.accounts.iter().map(|a| a.meter.clone()).collect(),
        feeds: parts.feeds.clone(),
        heartbeats: parts.heartbeats.clone(),
        cadence: super::cadence(&parts.config),
        configured: configured.map(|a| (a.name.clone(), a.enabled)).collect(),
    })
}
