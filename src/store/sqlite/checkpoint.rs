//! Checkpoints: copying the write-ahead log (the `-wal` file) into the database.
//!
//! A passive checkpoint after a commit copies everything that readers no longer need. SQLite starts
//! the log over when all of it is copied and no connection reads it. Where several programs read
//! and write without a pause, that moment never comes, and the log would grow without limit. So
//! from a certain size on, the checkpoint blocks writers until the current readers are done.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::open::{BUSY_TIMEOUT, patience};

/// SQLite's page size, which is never changed; one frame of the write-ahead log holds one page.
const PAGE_BYTES: u64 = 4096;
/// With this many frames, the log is checkpointed: 8 MiB.
const CHECKPOINT_FRAMES: i64 = 2048;
/// With this many frames, the log is forced to start over: 16 MiB.
const RESTART_FRAMES: i64 = 4096;
/// Maximum time that the restart waits for the write lock and then for readers, which block writers
/// meanwhile.
const RESTART_WITHIN: Duration = Duration::from_millis(500);
/// Minimum time between two checks of the log.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// First delay after the log could not start over; it doubles. A program that replicates the log
/// reads it all the time, and waiting for it blocks writers.
const TRY_AGAIN: Duration = Duration::from_millis(250);
const TRY_AGAIN_AT_THE_LATEST: Duration = Duration::from_mins(1);
/// A reader that blocks checkpoints for longer than this is reported.
const REPORTED_AFTER: Duration = Duration::from_secs(5);

/// A write-ahead log that cannot be checkpointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldWal {
    /// How long no more of it could be copied.
    pub held_for: Duration,
    /// Its size in bytes.
    pub bytes: u64,
}

impl fmt::Display for HeldWal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an open read transaction has blocked checkpoints for {} s; the write-ahead log has {} MiB and grows until the program ends it",
            self.held_for.as_secs(),
            self.bytes >> 20
        )
    }
}

#[derive(Clone, Copy)]
struct WalHold {
    since: Instant,
    checkpointed: i64,
    bytes: u64,
    is_reported: bool,
}

/// The state of the write-ahead log, kept up to date by the writer.
#[derive(Clone, Default)]
pub(super) struct WalState(Arc<Mutex<Option<WalHold>>>);

impl WalState {
    /// The log, if a reader has blocked checkpoints for too long.
    pub(super) fn held(&self) -> Option<HeldWal> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.map(|held| HeldWal {
            held_for: held.since.elapsed(),
            bytes: held.bytes,
        });
        held.filter(|held| held.held_for > REPORTED_AFTER)
    }

    /// Records that only `checkpointed` of `frames` could be copied.
    fn note(&self, frames: i64, checkpointed: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames - checkpointed < CHECKPOINT_FRAMES {
            if state.take().is_some_and(|held| held.is_reported) {
                tracing::info!("write-ahead log checkpointed again");
            }
            return;
        }
        let before = state.filter(|held| held.checkpointed == checkpointed);
        let held = state.insert(WalHold {
            since: before.map_or_else(Instant::now, |held| held.since),
            checkpointed,
            bytes: u64::try_from(frames).unwrap_or(0) * PAGE_BYTES,
            is_reported: before.is_some_and(|held| held.is_reported),
        });
        if !held.is_reported && held.since.elapsed() > REPORTED_AFTER {
            held.is_reported = true;
            tracing::warn!(
                wal_bytes = held.bytes,
                "open read transaction blocks checkpoints; the write-ahead log grows until the program ends it"
            );
        }
    }
}

/// Checkpoints when it is worthwhile.
#[derive(Default)]
pub(super) struct Checkpointer {
    pub(super) state: WalState,
    next_check: Option<Instant>,
    /// When to try the next restart, and the delay after it; None = the last one succeeded.
    next_try: Option<(Instant, Duration)>,
}

impl Checkpointer {
    /// Called after each commit. Runs a checkpoint if it is worthwhile, and costs almost nothing
    /// otherwise.
    pub(super) async fn tend(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let now = Instant::now();
        if self.next_check.is_some_and(|at| now < at) {
            return Ok(());
        }
        self.next_check = Some(now + CHECK_EVERY);
        let log = checkpoint(connection, "NOOP").await?;
        if log.frames - log.checkpointed < CHECKPOINT_FRAMES && log.frames < RESTART_FRAMES {
            self.state.note(log.frames, log.checkpointed);
            return Ok(());
        }
        let log = checkpoint(connection, "PASSIVE").await?;
        self.state.note(log.frames, log.checkpointed);
        // Otherwise a reader blocks the log, and writers would be blocked for nothing.
        let is_free = log.frames - log.checkpointed < CHECKPOINT_FRAMES;
        if log.frames >= RESTART_FRAMES && is_free {
            self.restart(connection).await?;
        }
        Ok(())
    }

    /// Makes the log start over with the next commit, if readers allow it.
    async fn restart(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let (not_before, wait) = self.next_try.unwrap_or((Instant::now(), TRY_AGAIN));
        if Instant::now() < not_before {
            return Ok(());
        }
        patience(connection, RESTART_WITHIN).await?;
        let log = checkpoint(connection, "RESTART").await?;
        patience(connection, BUSY_TIMEOUT).await?;
        let longer = (wait * 2).min(TRY_AGAIN_AT_THE_LATEST);
        self.next_try = log.is_busy.then(|| (Instant::now() + wait, longer));
        Ok(())
    }
}

/// Number of frames in the log, and how many of them are copied.
struct CheckpointResult {
    is_busy: bool,
    frames: i64,
    checkpointed: i64,
}

/// Runs a checkpoint in `mode` and returns the state of the log: `NOOP` does nothing, `PASSIVE`
/// copies what no reader needs, `RESTART` blocks writers until everything is copied and no reader
/// uses it.
async fn checkpoint(
    connection: &mut SqliteConnection,
    mode: &'static str,
) -> sqlx::Result<CheckpointResult> {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    let (is_busy, frames, checkpointed): (bool, i64, i64) =
        sqlx::query_as(AssertSqlSafe(statement))
            .fetch_one(connection)
            .await?;
    Ok(CheckpointResult {
        is_busy,
        frames,
        checkpointed,
    })
}
