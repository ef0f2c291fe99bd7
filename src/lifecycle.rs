//! The process and those who manage it: signals in, readiness, watchdog and status out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::jobs::Heartbeat;

/// Exit code of a second signal: at once, nothing finished.
const EXIT_AT_ONCE: i32 = 1;
/// A duty that has not turned for so long hangs. Its own waits are far shorter.
const HANGS_AFTER: Duration = Duration::from_mins(1);
/// A manager that does not listen is waited for so long.
const TOLD_WITHIN: Duration = Duration::from_millis(250);
/// Status and watchdog are told this often at least.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Cancels `stop` at the first SIGTERM or SIGINT and ends the process at the second; SIGHUP wakes
/// `reload`.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn watch_signals(stop: CancellationToken, reload: Arc<Notify>) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                _ = hup.recv() => {
                    tracing::info!("SIGHUP: the keys are read again");
                    reload.notify_waiters();
                    continue;
                }
            }
            if stop.is_cancelled() {
                std::process::exit(EXIT_AT_ONCE);
            }
            tracing::info!("stopping: finishing what is under way; a second signal ends at once");
            stop.cancel();
        }
    });
    Ok(())
}

/// Tells the service manager that polling has begun. Without one this does nothing.
pub async fn ready(status: String) {
    tell_soon(move || tell(&[NotifyState::Ready, NotifyState::Status(&status)])).await;
}

/// Tells the service manager that the end has begun, and why.
pub async fn stopping(status: String) {
    tell_soon(move || tell(&[NotifyState::Stopping, NotifyState::Status(&status)])).await;
}

/// Feeds the service manager's watchdog as long as every duty turns, and keeps the status line, which
/// `status` words.
/// A duty that hangs is said aloud once; the rest is the manager's.
pub async fn tell_manager(
    clock: Arc<dyn Clock>,
    heartbeats: BTreeMap<String, Heartbeat>,
    status: impl Fn() -> String + Send,
) {
    let watchdog = sd_notify::watchdog_enabled();
    let interval = watchdog.map_or(TELL_EVERY, |limit| TELL_EVERY.min(limit / 4));
    let patience = watchdog.map_or(HANGS_AFTER, |limit| HANGS_AFTER.min(limit / 2));
    let mut told = String::new();
    let mut hanging: Vec<String> = Vec::new();
    loop {
        let now = clock.monotonic();
        let silent = |beat: &Heartbeat| beat.silent_for(now) > patience;
        let hang: Vec<String> = heartbeats
            .iter()
            .filter(|(_, beat)| silent(beat))
            .map(|(name, _)| name.clone())
            .collect();
        if hang.is_empty() {
            // Awaited however long it takes, or blocked threads would pile up.
            let _ = tell_apart(|| tell(&[NotifyState::Watchdog])).await;
        } else if hang != hanging {
            tracing::error!(
                duties = hang.join(", "),
                "no turn for too long: the watchdog is not fed"
            );
        }
        hanging = hang;
        let words = status();
        if words != told {
            told.clone_from(&words);
            let _ = tell_apart(move || tell(&[NotifyState::Status(&words)])).await;
        }
        clock.sleep(interval).await;
    }
}

/// On a thread of its own: a manager that does not listen blocks whoever tells it something.
fn tell_apart(telling: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    tokio::task::spawn_blocking(telling)
}

/// The same, waited for a moment only: the rest does not depend on it.
async fn tell_soon(telling: impl FnOnce() + Send + 'static) {
    let told = tokio::time::timeout(TOLD_WITHIN, tell_apart(telling)).await;
    if told.is_err() {
        tracing::debug!("the service manager does not listen");
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
