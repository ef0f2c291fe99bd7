//! Checkpoints: copying the write-ahead log (the `-wal` file) into the database.
//!
//! What no reader needs any more is copied after a commit. SQLite starts the log over when all of it is
//! copied and nobody reads it; where several programs write and read without a pause that moment never
//! comes, and the log would grow for ever. So from a certain size on the checkpoint keeps writers out
//! until the readers of now are done.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::open::{BUSY_TIMEOUT, patience};

/// SQLite's page, which nothing here changes; one frame of the write-ahead log holds one.
const PAGE_BYTES: u64 = 4096;
/// From so many frames on they are copied: 8 MiB.
const CHECKPOINT_FRAMES: i64 = 2048;
/// From so many frames on the log is made to start over: 16 MiB.
const RESTART_FRAMES: i64 = 4096;
/// For so long it waits for its turn among the writers and then for readers, who keep writers out
/// meanwhile.
const READERS_MAY_TAKE: Duration = Duration::from_millis(500);
/// Least time between two checks of the log.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// The first wait after the log could not start over; each further one is twice as long. A program
/// that replicates the log reads it for as long as it runs, and waiting for it keeps writers out.
const TRY_AGAIN: Duration = Duration::from_millis(250);
const TRY_AGAIN_AT_THE_LATEST: Duration = Duration::from_mins(1);
/// A reader may hold on to the log for so long before it is named.
const READER_MAY_HOLD: Duration = Duration::from_secs(5);

/// A write-ahead log that cannot be checkpointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldWal {
    /// For how long no more of it could be copied.
    pub held_for: Duration,
    /// Its size in bytes.
    pub bytes: u64,
}

impl fmt::Display for HeldWal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a program has kept a read transaction open for {} s: the log has grown to {} MiB and \
             grows until it ends it",
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
    told: bool,
}

/// What the store tells of its write-ahead log; the writer keeps it up to date.
#[derive(Clone, Default)]
pub(super) struct WalState(Arc<Mutex<Option<WalHold>>>);

impl WalState {
    /// The log, when a reader has held on to it for too long.
    pub(super) fn held(&self) -> Option<HeldWal> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.map(|held| HeldWal {
            held_for: held.since.elapsed(),
            bytes: held.bytes,
        });
        held.filter(|held| held.held_for > READER_MAY_HOLD)
    }

    /// Takes note that of `frames` only `checkpointed` could be copied.
    fn note(&self, frames: i64, checkpointed: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames - checkpointed < CHECKPOINT_FRAMES {
            if state.take().is_some_and(|held| held.told) {
                tracing::info!("write-ahead log checkpointed again");
            }
            return;
        }
        let before = state.filter(|held| held.checkpointed == checkpointed);
        let held = state.insert(WalHold {
            since: before.map_or_else(Instant::now, |held| held.since),
            checkpointed,
            bytes: u64::try_from(frames).unwrap_or(0) * PAGE_BYTES,
            told: before.is_some_and(|held| held.told),
        });
        if !held.told && held.since.elapsed() > READER_MAY_HOLD {
            held.told = true;
            tracing::warn!(
                log_bytes = held.bytes,
                "a program keeps a read transaction open: the write-ahead log grows until it ends it"
            );
        }
    }
}

/// Checkpoints when it is worth it.
#[derive(Default)]
pub(super) struct Checkpointer {
    pub(super) state: WalState,
    next_check: Option<Instant>,
    /// When to try to start it over again, and the wait after that; None = the last try succeeded.
    next_try: Option<(Instant, Duration)>,
}

impl Checkpointer {
    /// To be called after each commit: checkpoints what is worth it. Costs next to nothing else.
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
        // Else a reader holds on to the log, and writers would be kept out for nothing.
        let nobody_holds_it = log.frames - log.checkpointed < CHECKPOINT_FRAMES;
        if log.frames >= RESTART_FRAMES && nobody_holds_it {
            self.restart(connection).await?;
        }
        Ok(())
    }

    /// Makes the log start over with the next commit, if readers let it.
    async fn restart(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let (not_before, wait) = self.next_try.unwrap_or((Instant::now(), TRY_AGAIN));
        if Instant::now() < not_before {
            return Ok(());
        }
        patience(connection, READERS_MAY_TAKE).await?;
        let log = checkpoint(connection, "RESTART").await?;
        patience(connection, BUSY_TIMEOUT).await?;
        let longer = (wait * 2).min(TRY_AGAIN_AT_THE_LATEST);
        self.next_try = log.is_busy.then(|| (Instant::now() + wait, longer));
        Ok(())
    }
}

/// Frames in the log, and how many of them are copied.
struct CheckpointResult {
    is_busy: bool,
    frames: i64,
    checkpointed: i64,
}

/// Does what `mode` says and tells how the log is: `NOOP` nothing, `PASSIVE` copy what nobody needs,
/// `RESTART` keep writers out until all is copied and read by nobody.
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
