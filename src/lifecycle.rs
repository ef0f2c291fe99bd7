//! Signals, readiness, watchdog and status line.

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

/// The exit code after a second signal: exits at once without finishing anything.
const EXIT_AT_ONCE: i32 = 1;
/// A task without a heartbeat for this long is stalled. Its own delays are far shorter.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// How long a notification may take before it is left to its thread.
const NOTIFY_TIMEOUT: Duration = Duration::from_millis(250);
/// The longest time between two notifications.
const NOTIFY_EVERY: Duration = Duration::from_secs(5);

/// Cancels `stop` at the first SIGTERM or SIGINT and ends the process at the second; SIGHUP wakes
/// `reload`.
///
/// # Errors
/// If the signals cannot be listened to.
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
                    tracing::info!("SIGHUP received; reading API keys again");
                    reload.notify_waiters();
                    continue;
                }
            }
            if stop.is_cancelled() {
                std::process::exit(EXIT_AT_ONCE);
            }
            tracing::info!("stopping: finishing requests in flight; a second signal exits at once");
            stop.cancel();
        }
    });
    Ok(())
}

/// Notifies the service manager that polling has started. Does nothing without a service manager.
pub async fn ready(status: String) {
    notify_briefly(move || notify(&[NotifyState::Ready, NotifyState::Status(&status)])).await;
}

/// Notifies the service manager that the daemon is stopping, and why.
pub async fn stopping(status: String) {
    notify_briefly(move || notify(&[NotifyState::Stopping, NotifyState::Status(&status)])).await;
}

/// Pings the service manager's watchdog while every task has a recent heartbeat, and updates the status
/// line, whose text `status` gives. A stalled task is logged once; the manager decides what to do.
pub async fn notify_manager(
    clock: Arc<dyn Clock>,
    heartbeats: BTreeMap<String, Heartbeat>,
    status: impl Fn() -> String + Send,
) {
    let watchdog = sd_notify::watchdog_enabled();
    let interval = watchdog.map_or(NOTIFY_EVERY, |limit| NOTIFY_EVERY.min(limit / 4));
    let patience = watchdog.map_or(STALLED_AFTER, |limit| STALLED_AFTER.min(limit / 2));
    let mut last_status = String::new();
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
            // Awaited without a time limit, so that blocked threads cannot pile up.
            let _ = notify_in_thread(|| notify(&[NotifyState::Watchdog])).await;
        } else if hang != hanging {
            tracing::error!(
                tasks = hang.join(", "),
                "task stalled; withholding watchdog ping"
            );
        }
        hanging = hang;
        let words = status();
        if words != last_status {
            last_status.clone_from(&words);
            let _ = notify_in_thread(move || notify(&[NotifyState::Status(&words)])).await;
        }
        clock.sleep(interval).await;
    }
}

/// Runs a notification on its own thread, because a manager that does not read blocks it.
fn notify_in_thread(notification: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    tokio::task::spawn_blocking(notification)
}

/// Runs a notification and waits for it only briefly, since nothing depends on it.
async fn notify_briefly(notification: impl FnOnce() + Send + 'static) {
    let sent = tokio::time::timeout(NOTIFY_TIMEOUT, notify_in_thread(notification)).await;
    if sent.is_err() {
        tracing::debug!("service manager did not accept a notification in time");
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "service manager could not be notified");
    }
}
