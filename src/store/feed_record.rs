//! What is known of a feed that another process delivers.

use serde::{Deserialize, Serialize};

use crate::domain::time::UnixMillis;
use crate::words;

/// Why a feed does not deliver. The process that delivers records it in a row of `meta`, for programs
/// that only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFailure {
    /// When it stopped.
    pub since: UnixMillis,
    /// The last error.
    pub error: String,
}

/// The value of a failure's row.
#[derive(Serialize, Deserialize)]
struct StoredFailure {
    since: i64,
    error: String,
}

/// What the database knows of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedRecord {
    /// Whether a process has the consumer; None where that cannot be found out.
    pub is_held: Option<bool>,
    /// Why events are not delivered; None if the last attempt succeeded.
    pub failure: Option<FeedFailure>,
}

impl FeedFailure {
    /// The key of its row.
    pub(super) fn key(consumer: &str) -> String {
        format!("feed_failure:{consumer}")
    }

    /// The value of the row; empty for no failure, since rows of `meta` are never deleted.
    pub(super) fn to_value(failure: Option<&Self>) -> String {
        let stored = failure.map(|failure| StoredFailure {
            since: failure.since.0,
            error: failure.error.clone(),
        });
        let json = stored.and_then(|stored| serde_json::to_string(&stored).ok());
        json.unwrap_or_default()
    }

    /// Parses the value of a row. An invalid value counts as no failure.
    pub(super) fn from_value(value: Option<&str>) -> Option<Self> {
        let stored: StoredFailure = serde_json::from_str(value?).ok()?;
        Some(Self {
            since: UnixMillis(stored.since),
            error: stored.error,
        })
    }
}

impl FeedRecord {
    /// The state of the feed, as a word for programs.
    pub fn state(&self) -> &'static str {
        match (&self.failure, self.is_held) {
            (Some(_), _) => "stopped",
            (None, Some(true)) => "delivering",
            (None, Some(false)) => "absent",
            (None, None) => "unknown",
        }
    }

    /// The state of the feed, for people.
    pub fn describe(&self, now: UnixMillis) -> String {
        match (&self.failure, self.is_held) {
            (Some(failure), _) => {
                let stopped = words::span(now.since(failure.since));
                format!("stopped for {stopped}: {}", failure.error)
            }
            (None, Some(true)) => "a process delivers".to_owned(),
            (None, Some(false)) => "no process delivers".to_owned(),
            (None, None) => "unknown whether a process delivers".to_owned(),
        }
    }
}
