//! Whether the database is available, judging by the last reads and writes.

use std::time::Duration;

use crate::retry::Waits;
use crate::store::StoreError;

/// What is known of the database. Times are of the monotonic clock.
#[derive(Debug)]
pub(super) struct DatabaseHealth {
    state: DatabaseState,
    retry_delays: Waits,
}

/// What failed last, if nothing has succeeded since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DatabaseState {
    /// It works; other programs may write until the next commit.
    Working { next_commit_at: Duration },
    /// A read or a commit failed.
    Failing { retry_at: Duration },
    /// A load of rows failed, which may also write: a successful read does not prove that it works
    /// again.
    LoadFailing { retry_at: Duration },
}

impl Default for DatabaseHealth {
    fn default() -> Self {
        Self {
            state: DatabaseState::Working {
                next_commit_at: Duration::ZERO,
            },
            retry_delays: Waits::of_database(),
        }
    }
}

impl DatabaseHealth {
    /// Whether the database is unavailable, so that no new requests should be made.
    pub(super) fn is_failing(&self) -> bool {
        match self.state {
            DatabaseState::Working { .. } => false,
            DatabaseState::Failing { .. } | DatabaseState::LoadFailing { .. } => true,
        }
    }

    /// The earliest time of the next commit.
    pub(super) fn not_before(&self) -> Duration {
        match self.state {
            DatabaseState::Working { next_commit_at: at }
            | DatabaseState::Failing { retry_at: at }
            | DatabaseState::LoadFailing { retry_at: at } => at,
        }
    }

    /// Whether it is too early to retry.
    pub(super) fn must_wait(&self, now: Duration) -> bool {
        self.is_failing() && now < self.not_before()
    }

    /// Records a failed read or commit. Returns the time of the retry, later each time.
    pub(super) fn note_failure(&mut self, error: &StoreError, now: Duration) -> Duration {
        let retry_at = self.next_retry(error, now);
        self.state = match self.state {
            DatabaseState::Working { .. } | DatabaseState::Failing { .. } => {
                DatabaseState::Failing { retry_at }
            }
            DatabaseState::LoadFailing { .. } => DatabaseState::LoadFailing { retry_at },
        };
        retry_at
    }

    /// Records a failed load. Returns the time of the retry.
    pub(super) fn note_load_failure(&mut self, error: &StoreError, now: Duration) -> Duration {
        let retry_at = self.next_retry(error, now);
        self.state = DatabaseState::LoadFailing { retry_at };
        retry_at
    }

    fn next_retry(&mut self, error: &StoreError, now: Duration) -> Duration {
        if let StoreError::LeaseLost(_) = error {
            // The database is well. This poller ends, and the new owner of the account observes the same again.
            tracing::debug!(%error, "nothing is written for an account of another daemon");
        } else if !self.is_failing() {
            tracing::error!(%error, "database unavailable; retrying");
        }
        now + self.retry_delays.next_wait()
    }

    /// Records a successful commit; other programs may write until `next_commit_at`.
    pub(super) fn note_commit(&mut self, next_commit_at: Duration) {
        self.recover(next_commit_at);
    }

    /// Records a successful load, or that none is left.
    pub(super) fn note_load(&mut self) {
        if let DatabaseState::LoadFailing { retry_at } = self.state {
            self.state = DatabaseState::Failing { retry_at };
        }
    }

    /// Records that everything tried has succeeded, and nothing is left to write.
    pub(super) fn note_success(&mut self) {
        if let DatabaseState::Failing { retry_at } = self.state {
            self.recover(retry_at);
        }
    }

    fn recover(&mut self, next_commit_at: Duration) {
        if self.is_failing() {
            tracing::info!("database available again");
        }
        self.retry_delays.reset();
        self.state = DatabaseState::Working { next_commit_at };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_load_failing(database: &DatabaseHealth) -> bool {
        matches!(database.state, DatabaseState::LoadFailing { .. })
    }

    #[test]
    fn a_successful_read_does_not_end_a_failed_load() {
        let error = StoreError::Unavailable("disk full".into());
        let mut database = DatabaseHealth::default();
        let at = database.note_load_failure(&error, Duration::ZERO);
        assert!(database.must_wait(Duration::ZERO) && !database.must_wait(at));
        database.note_success();
        assert!(is_load_failing(&database));
        let later = database.note_failure(&error, at);
        assert!(is_load_failing(&database) && later > at);
        database.note_load();
        assert!(database.is_failing() && !is_load_failing(&database));
        database.note_success();
        assert!(!database.is_failing());
    }

    #[test]
    fn a_commit_ends_every_failure() {
        let error = StoreError::Unavailable("disk full".into());
        let mut database = DatabaseHealth::default();
        database.note_load_failure(&error, Duration::ZERO);
        database.note_commit(Duration::from_secs(9));
        assert!(!database.is_failing());
        assert_eq!(database.not_before(), Duration::from_secs(9));
    }
}
