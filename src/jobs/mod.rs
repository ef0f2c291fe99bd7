//! The daemon's tasks, one file each. Each can be run once by hand; timers only trigger.

pub mod audit;
pub mod database_clock;
pub mod feed;
pub mod intake;
pub mod leases;
pub mod lending;
pub mod poll;
pub mod retention;
pub mod share;
pub mod unreadable;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Maximum sleep of a task, whatever its interval: a longer one would look like a hang.
pub const LONGEST_NAP: Duration = Duration::from_secs(5);

/// The sign of life of a task, updated at each turn, even if there was nothing to do. A task
/// without updates hangs; a provider that does not answer stops no updates.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Updates it at `now` of the monotonic clock.
    pub fn beat(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    /// Time since the last update.
    pub fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// Tells the feeds that events were committed, one after the other.
#[derive(Debug, Default)]
pub struct CommitSignal(Vec<Arc<Notify>>);

impl CommitSignal {
    /// A signal that wakes these feeds.
    pub fn new(feeds: Vec<Arc<Notify>>) -> Self {
        Self(feeds)
    }

    /// Wakes every feed, also one that is busy: it looks again.
    pub fn tell(&self) {
        for feed in &self.0 {
            feed.notify_one();
        }
    }
}

/// The status line of each task, in plain text, for a service manager.
#[derive(Clone, Debug, Default)]
pub struct StatusLines(Arc<Mutex<BTreeMap<String, String>>>);

impl StatusLines {
    /// Sets the line of `name`.
    pub fn put(&self, name: &str, words: impl Into<String>) {
        self.lines().insert(name.to_owned(), words.into());
    }

    /// All lines as one.
    pub fn words(&self) -> String {
        let lines = self.lines();
        let each: Vec<String> = lines
            .iter()
            .map(|(name, words)| format!("{name}: {words}"))
            .collect();
        each.join("; ")
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
