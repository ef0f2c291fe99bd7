//! Folding the database's log (the `-wal` file) into the database.
//!
//! What no reader needs any more is folded in after a commit. The log begins anew when all of it is
//! folded in and nobody reads it; where several programs write and read without a pause that moment
//! never comes, and it would grow for ever. So from a certain size on the moment is made, by keeping
//! writers out for as long as the readers of now need.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::connection::{BUSY_TIMEOUT, patience};

/// SQLite's page, which nothing here changes; one frame of the log holds one.
const PAGE_BYTES: u64 = 4096;
/// So much is folded in at once: 8 MiB.
const FOLD_FRAMES: i64 = 2048;
/// From here on the log is made to begin anew: 16 MiB.
const RENEW_FRAMES: i64 = 4096;
/// For so long it waits for its turn among the writers and then for readers, who keep writers out
/// meanwhile.
const READERS_MAY_TAKE: Duration = Duration::from_millis(500);
/// Least time between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The first wait after the log could not begin anew; each further one is twice as long. A program
/// that replicates the log reads it for as long as it runs, and waiting for it keeps writers out.
const TRY_AGAIN: Duration = Duration::from_millis(250);
const TRY_AGAIN_AT_THE_LATEST: Duration = Duration::from_mins(1);
/// A reader may hold on to the log for so long before it is named.
const READER_MAY_HOLD: Duration = Duration::from_secs(5);

/// A log that cannot be folded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLog {
    /// For how long no more of it could be folded in.
    pub held_for: Duration,
    /// Its size in bytes.
    pub bytes: u64,
}

impl fmt::Display for HeldLog {
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
struct Held {
    since: Instant,
    folded: i64,
    bytes: u64,
    told: bool,
}

/// What the store tells of its log; the writer keeps it up to date.
#[derive(Clone, Default)]
pub(super) struct LogState(Arc<Mutex<Option<Held>>>);

impl LogState {
    /// The log, when a reader has held on to it for too long.
    pub(super) fn held(&self) -> Option<HeldLog> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.map(|held| HeldLog {
            held_for: held.since.elapsed(),
            bytes: held.bytes,
        });
        held.filter(|held| held.held_for > READER_MAY_HOLD)
    }

    /// Takes note that of `frames` only `folded` could be folded in.
    fn note(&self, frames: i64, folded: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames - folded < FOLD_FRAMES {
            if state.take().is_some_and(|held| held.told) {
                tracing::info!("the database's log is folded in again");
            }
            return;
        }
        let before = state.filter(|held| held.folded == folded);
        let held = state.insert(Held {
            since: before.map_or_else(Instant::now, |held| held.since),
            folded,
            bytes: u64::try_from(frames).unwrap_or(0) * PAGE_BYTES,
            told: before.is_some_and(|held| held.told),
        });
        if !held.told && held.since.elapsed() > READER_MAY_HOLD {
            held.told = true;
            tracing::warn!(
                log_bytes = held.bytes,
                "a program keeps a read transaction open: the database's log grows until it ends it"
            );
        }
    }
}

/// When to look at the log again.
#[derive(Default)]
pub(super) struct Log {
    pub(super) state: LogState,
    next_look: Option<Instant>,
    /// When to try to begin it anew again, and the wait after that; None = the last try succeeded.
    next_try: Option<(Instant, Duration)>,
}

impl Log {
    /// To be called after each commit: folds in what is worth it. Costs next to nothing else.
    pub(super) async fn tend(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let now = Instant::now();
        if self.next_look.is_some_and(|at| now < at) {
            return Ok(());
        }
        self.next_look = Some(now + LOOK_EVERY);
        let log = checkpoint(connection, "NOOP").await?;
        if log.frames - log.folded < FOLD_FRAMES && log.frames < RENEW_FRAMES {
            self.state.note(log.frames, log.folded);
            return Ok(());
        }
        let log = checkpoint(connection, "PASSIVE").await?;
        self.state.note(log.frames, log.folded);
        // Else a reader holds on to the log, and writers would be kept out for nothing.
        let nobody_holds_it = log.frames - log.folded < FOLD_FRAMES;
        if log.frames >= RENEW_FRAMES && nobody_holds_it {
            self.renew(connection).await?;
        }
        Ok(())
    }

    /// Makes the log begin anew with the next commit, if readers let it.
    async fn renew(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
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

/// Frames in the log, and how many of them are folded in.
struct CheckpointResult {
    is_busy: bool,
    frames: i64,
    folded: i64,
}

/// Looks at the log and does what `mode` says: `NOOP` nothing, `PASSIVE` fold in what nobody needs,
/// `RESTART` keep writers out until all is folded in and read by nobody.
async fn checkpoint(
    connection: &mut SqliteConnection,
    mode: &'static str,
) -> sqlx::Result<CheckpointResult> {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    let (is_busy, frames, folded): (bool, i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
        .fetch_one(connection)
        .await?;
    Ok(CheckpointResult {
        is_busy,
        frames,
        folded,
    })
}
