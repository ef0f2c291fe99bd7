//! Connections: how they are opened, and when one is dropped.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::access;
use super::checkpoint::{Checkpointer, WalState};
use super::fairness::WriteFairness;
use super::high_water;
use super::open::open_writer;
use super::place::{DatabasePlace, Numbers, WalWatch};
use crate::store::StoreError;

/// The only connection that writes. After an error it is dropped and opened again: the outcome of a
/// failed COMMIT is unknown, and only a new connection reads the actual state.
pub(super) struct WriteConnection {
    place: Arc<DatabasePlace>,
    open: Option<Open>,
    fairness: WriteFairness,
    checkpointer: Checkpointer,
}

struct Open {
    wal_watch: WalWatch,
    connection: SqliteConnection,
    /// True from BEGIN to the end of a transaction. If the transaction fails or its future is
    /// dropped, it stays true, and the connection is not used again.
    in_doubt: bool,
}

impl Open {
    /// Opens the database at its path and checks that it is still there afterwards.
    async fn of(place: &Arc<DatabasePlace>) -> Result<Self, StoreError> {
        place.require_in_place()?;
        access::require_writable(place.path())?;
        let mut connection = open_writer(place.path()).await?;
        let wal_watch = WalWatch::begin(place, &mut connection).await?;
        place.require_in_place()?;
        Ok(Self {
            wal_watch,
            connection,
            in_doubt: false,
        })
    }
}

impl WriteConnection {
    /// `beside_others`: how long the lock is left free between two transactions while other
    /// programs write.
    pub(super) fn new(place: &Arc<DatabasePlace>, beside_others: Duration) -> Self {
        Self {
            place: Arc::clone(place),
            open: None,
            fairness: WriteFairness::new(beside_others),
            checkpointer: Checkpointer::default(),
        }
    }

    /// The connection; opened at the first use and after a failure.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        Ok(&mut sound(&mut self.open, &self.place).await?.connection)
    }

    /// Begins a write transaction, to be ended by `commit` or `roll_back`. Nothing is written to a
    /// database that was replaced since it was opened.
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.place.require_in_place()?;
        let open = sound(&mut self.open, &self.place).await?;
        open.in_doubt = true;
        let others = sqlx::query_scalar("SELECT data_version FROM pragma_data_version")
            .fetch_one(&mut open.connection)
            .await?;
        self.fairness.wait(others).await;
        open.connection.execute("BEGIN IMMEDIATE").await?;
        self.fairness.began();
        let before = self.place.seen();
        let now = Numbers::of(&mut open.connection).await?;
        self.place.note(before.as_ref(), &now)?;
        Ok(&mut open.connection)
    }

    /// Like `begin`, for a transaction that assigns seqs. Refused if the side file has a higher
    /// one: if a copy was restored while no process ran, the first writer notices it.
    pub(super) async fn begin_events(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let place = Arc::clone(&self.place);
        let connection = self.begin().await?;
        if let Some(seen) = place.seen() {
            high_water::require_not_above(place.path(), &seen, place.is_settled()).await?;
        }
        Ok(connection)
    }

    /// Ends the transaction that `begin` began.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    /// Copies all committed data from the write-ahead log into the database.
    pub(super) async fn checkpoint(&mut self) -> Result<(), StoreError> {
        if let Some(open) = self.open.as_mut() {
            open.connection
                .execute("PRAGMA wal_checkpoint(PASSIVE)")
                .await?;
        }
        Ok(())
    }

    /// Rolls the transaction back.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, statement: &'static str) -> Result<(), StoreError> {
        if let Some(open) = self.open.as_mut() {
            open.connection.execute(statement).await?;
            self.fairness.ended();
            match self.checkpointer.tend(&mut open.connection).await {
                Ok(()) => open.in_doubt = false,
                // Committed data is safe; the next use opens a new connection.
                Err(error) => tracing::debug!(%error, "checkpoint failed"),
            }
        }
        Ok(())
    }

    /// Stores the highest assigned seq outside the database.
    pub(super) fn note_high_water(&self, epoch: &str, seq: i64) {
        self.place.note_seq(seq);
        high_water::raise(
            self.place.path(),
            &high_water::HighWater {
                epoch: epoch.to_owned(),
                seq,
            },
        );
    }

    /// The state of the write-ahead log.
    pub(super) fn wal(&self) -> WalState {
        self.checkpointer.state.clone()
    }

    /// Keeps the connection open until the process ends.
    pub(super) fn leave_open(&mut self) {
        std::mem::forget(self.open.take());
    }

    pub(super) async fn close(&mut self) {
        if let Some(Open {
            wal_watch,
            connection,
            ..
        }) = self.open.take()
        {
            drop(wal_watch);
            // A failed checkpoint at the end loses nothing: the WAL is read at the next start.
            let _ = connection.close().await;
        }
    }
}

async fn sound<'a>(
    open: &'a mut Option<Open>,
    place: &Arc<DatabasePlace>,
) -> Result<&'a mut Open, StoreError> {
    // A connection in doubt is dropped, not closed: closing would wait for a checkpoint on a file
    // that just failed.
    let sound = match open.take().filter(|open| !open.in_doubt) {
        Some(open) => open,
        None => Open::of(place).await?,
    };
    Ok(open.insert(sound))
}

/// The writer, for one use. A transaction left behind by an error or a dropped future ends with the
/// guard; otherwise its lock would block every program until the next write.
pub(super) struct WriterGuard<'a> {
    writer: MutexGuard<'a, WriteConnection>,
    in_use: &'a InUse,
}

impl<'a> WriterGuard<'a> {
    pub(super) fn of(writer: MutexGuard<'a, WriteConnection>, in_use: &'a InUse) -> Self {
        in_use.set(Some(Instant::now()));
        Self { writer, in_use }
    }
}

/// Since when the writer has been in use.
#[derive(Default)]
pub(super) struct InUse(Mutex<Option<Instant>>);

impl InUse {
    pub(super) fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Deref for WriterGuard<'_> {
    type Target = WriteConnection;

    fn deref(&self) -> &WriteConnection {
        &self.writer
    }
}

impl DerefMut for WriterGuard<'_> {
    fn deref_mut(&mut self) -> &mut WriteConnection {
        &mut self.writer
    }
}

impl Drop for WriterGuard<'_> {
    fn drop(&mut self) {
        self.writer.open.take_if(|open| open.in_doubt);
        self.in_use.set(None);
    }
}

pub(super) async fn change_counter(writer: &mut WriteConnection) -> Result<i64, StoreError> {
    let connection = writer.connection().await?;
    // data_version changes with other connections' commits, total_changes() with this one's.
    let (others, own): (i64, i64) =
        sqlx::query_as("SELECT data_version, total_changes() FROM pragma_data_version")
            .fetch_one(connection)
            .await?;
    Ok(others.wrapping_shl(32).wrapping_add(own))
}
