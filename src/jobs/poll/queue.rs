//! Reads the queue of plans from the database into the schedule: due rows, inserted rows, and
//! nudged rows.

use std::time::Duration;

use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::jobs::LONGEST_NAP;
use crate::store::{DueRow, InsertPlace, ListBeginning, QueuePlace, Store, StoreError};

/// Rows read at a time.
const CHUNK: u32 = 2_000;
/// Plans within this time are read again: their writer may have committed late.
const LAG: Duration = Duration::from_secs(2);
/// How often older plans are read again: a writer that waited for the lock commits a plan up to ten
/// seconds old.
const READ_BACK_EVERY: Duration = Duration::from_secs(10);
const READ_BACK: Duration = Duration::from_secs(30);

const LAST_ID: InvoiceId = InvoiceId(i64::MAX);

/// The progress of reading the queue.
#[derive(Debug, Default)]
pub(super) struct QueueReader {
    /// Whether anything was read yet.
    begun: bool,
    /// All plans up to here have been read.
    cursor: QueuePlace,
    /// In a round of reading nudges: nudges up to this id have been read.
    nudges_to: Option<InvoiceId>,
    highest_id: InvoiceId,
    /// What was committed up to here has been read.
    committed_to: InsertPlace,
    /// Whether more rows can be read now.
    goes_on: bool,
    /// Nothing is due before this time, unless a program writes to the database.
    not_before: Duration,
    /// When the cursor is next set back.
    read_back_at: Duration,
}

/// The result of one read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) rows: Vec<DueRow>,
    /// At the first read: the stored knowledge of the account's list.
    pub(super) beginning: Option<ListBeginning>,
}

impl QueueReader {
    /// Whether there is something to read at `now`.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.goes_on || now >= self.not_before
    }

    /// Whether all due rows were read.
    pub(super) fn has_read_all(&self) -> bool {
        self.begun && !self.goes_on
    }

    /// Whether more rows can be read now.
    pub(super) fn has_more(&self) -> bool {
        self.goes_on
    }

    /// When to read again, if no program writes to the database.
    pub(super) fn not_before(&self) -> Duration {
        self.not_before
    }

    /// All plans up to this time have been read.
    pub(super) fn read_to(&self) -> UnixMillis {
        self.cursor.at
    }

    /// Shortens the pause, because something may be due at `at`.
    pub(super) fn read_again_at(&mut self, at: Duration) {
        self.not_before = self.not_before.min(at);
    }

    /// Reads nothing before `at`, because the database failed.
    pub(super) fn wait_until(&mut self, at: Duration) {
        self.not_before = at;
    }

    /// Occasionally moves the cursor back to read plans that were committed late.
    pub(super) fn step_back(&mut self, wall: UnixMillis, now: Duration) {
        if !self.goes_on && now >= self.read_back_at {
            self.read_back_at = now + READ_BACK_EVERY;
            let back = QueuePlace {
                at: wall.minus(READ_BACK).max(UnixMillis(0)),
                id: LAST_ID,
            };
            self.cursor = self.cursor.min(back);
        }
    }

    /// Reads the next rows that are due at `wall`. `takes_new`: also rows inserted since the last
    /// read.
    pub(super) async fn read(
        &mut self,
        store: &dyn Store,
        account: &AccountName,
        wall: UnixMillis,
        takes_new: bool,
    ) -> Result<Taken, StoreError> {
        self.step_back_to_late_commits(store, account).await?;
        let beginning = store.list_beginning(account).await?;
        let mut rows = Vec::new();
        let mut highest_id = beginning.highest_id;
        let mut nudges_to = None;
        if self.begun {
            let nudged = self.read_nudged(store, account).await?;
            nudges_to = last_of_full(&nudged);
            rows.extend(nudged);
            highest_id = self.highest_id;
            if beginning.highest_id > self.highest_id && takes_new {
                let after = self.highest_id;
                let new = store.inserted_after(account, after, CHUNK).await?;
                let last = new.last().map_or(after, |row| row.id);
                highest_id = match last_of_full(&new) {
                    Some(last) => last,
                    None => beginning.highest_id.max(last),
                };
                rows.extend(new.into_iter().filter(|row| row.next_poll_at <= wall));
            }
        } else {
            // Otherwise the newest rows would come after a million overdue ones.
            let newest = InvoiceId((highest_id.0 - i64::from(CHUNK)).max(0));
            let new = store.inserted_after(account, newest, CHUNK).await?;
            rows.extend(new.into_iter().filter(|row| row.next_poll_at <= wall));
        }
        let due = store.due_after(account, self.cursor, wall, CHUNK).await?;
        // Recorded once everything is read, and used before anything else can fail: rows skipped
        // here are not read again.
        let is_first = !std::mem::replace(&mut self.begun, true);
        self.highest_id = highest_id;
        self.nudges_to = nudges_to;
        let is_full = last_of_full(&due).is_some();
        self.goes_on = is_full || nudges_to.is_some();
        self.cursor = match due.last() {
            Some(last) if is_full => QueuePlace {
                at: last.next_poll_at,
                id: last.id,
            },
            Some(_) | None => QueuePlace {
                at: wall.minus(LAG).max(UnixMillis(0)),
                id: LAST_ID,
            },
        };
        rows.extend(due);
        Ok(Taken {
            rows,
            beginning: is_first.then_some(beginning),
        })
    }

    /// Goes back to the plans of rows that were committed late, however late.
    async fn step_back_to_late_commits(
        &mut self,
        store: &dyn Store,
        account: &AccountName,
    ) -> Result<(), StoreError> {
        let earliest = store
            .committed_since(account, &mut self.committed_to)
            .await?;
        if let Some(earliest) = earliest {
            let before = QueuePlace {
                at: UnixMillis(earliest.0 - 1),
                id: LAST_ID,
            };
            self.cursor = self.cursor.min(before);
        }
        Ok(())
    }

    /// Reads nudges, which are plans for time 0, before the cursor.
    async fn read_nudged(
        &self,
        store: &dyn Store,
        account: &AccountName,
    ) -> Result<Vec<DueRow>, StoreError> {
        let after = match self.nudges_to {
            Some(id) => QueuePlace {
                at: UnixMillis(0),
                id,
            },
            None => QueuePlace {
                at: UnixMillis(-1),
                id: LAST_ID,
            },
        };
        store.due_after(account, after, UnixMillis(0), CHUNK).await
    }

    /// After the last rows: pauses until the next plan.
    pub(super) async fn rest_until_next_plan(
        &mut self,
        store: &dyn Store,
        account: &AccountName,
        wall: UnixMillis,
        (now, at_least): (Duration, Duration),
    ) -> Result<(), StoreError> {
        let next = store.next_plan(account, wall).await?;
        let until_next = next.map_or(LONGEST_NAP, |at| at.since(wall));
        // Plans at short intervals are read together.
        let rest = until_next.clamp(at_least.min(LONGEST_NAP), LONGEST_NAP);
        self.not_before = now + rest;
        Ok(())
    }
}

/// The last id of a full chunk, after which more may follow.
fn last_of_full(rows: &[DueRow]) -> Option<InvoiceId> {
    let last = rows.last().filter(|_| rows.len() == CHUNK as usize)?;
    Some(last.id)
}
