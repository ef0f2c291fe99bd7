//! One entry of the schedule, and where a million of them stand: in blocks, since a vector that
//! doubles would hold them twice while it grows.

use std::ops::{Index, IndexMut};

use super::schedule::Tick;
use crate::domain::invoice::InvoiceId;
use crate::domain::planner::cover::By;
use crate::domain::planner::{Candidate, Place, Shapes};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::DueRow;

const UNKNOWN: u32 = u32::MAX;
/// Entries in a block.
const BLOCK: usize = 4096;

/// What is being done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    /// Nobody's: the slot can be used again.
    Free,
    /// Not due before its time.
    Resting,
    /// Due, and nothing has been done about it.
    Due,
    /// Being polled, or what was observed is being written.
    InHand,
    /// As `InHand`, of an invoice whose row is not due: a page told of it.
    Borrowed,
}

/// What may be done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// It has no order yet: to be created. No page tells of it.
    Create,
    /// Waits for money: a page that shows it open, on the same terms, is a poll and changes nothing.
    Open,
    /// Any poll of it writes its row: it has ended, or something about it is unsettled.
    Row,
    /// As `Row`, of one that has ended and about which nothing is unsettled.
    Ended,
    /// As `Row`, while its order's id is not known: it is found by its external id.
    Followed,
}

/// What polls of an entry came to, and how far the list is believed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// No poll ever brought an answer.
    New,
    /// Polled before.
    Known,
    /// Its last polls failed.
    Failing,
    /// What the list tells settles nothing: a request of its own does.
    Doubtful,
    /// A complete reading of the list did not show it.
    Missing,
}

/// One invoice in the schedule. A million of them must be small.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: InvoiceId,
    /// Fingerprint of what answers name it by.
    pub(super) key: u64,
    /// Fingerprint of what a page must show for nothing to have changed.
    pub(super) terms: u32,
    position: u32,
    created_s: u32,
    expiry_s: u32,
    /// When the provider last told of it, in whole seconds; 0 = never.
    known_s: u32,
    pub(super) due: Tick,
    /// The number of the last page that had been begun when it came in.
    pub(super) since_page: u32,
    /// A program asked for a poll: pages from this number on answer it. 0 = none did.
    pub(super) nudged_for: u32,
    pub(super) state: EntryState,
    pub(super) kind: EntryKind,
    pub(super) trust: Trust,
    /// Not where its creation time puts it.
    pub(super) is_misplaced: bool,
    /// Its slot stands in the heap of resting entries, and in the list of due ones.
    pub(super) in_heap: bool,
    pub(super) is_listed: bool,
}

impl Entry {
    /// The entry of a row that is due at `now`.
    pub(super) fn of(row: &DueRow, key: u64, terms: u32, now: Tick) -> Self {
        Self {
            id: row.id,
            key,
            terms,
            position: UNKNOWN,
            created_s: seconds(row.created_at.0),
            expiry_s: seconds(row.expiry.0.saturating_add(999)),
            known_s: row.polled_at.map_or(0, |at| seconds(at.0)),
            due: now,
            since_page: 0,
            nudged_for: 0,
            state: EntryState::Due,
            kind: kind_of(row),
            trust: match (row.fails, row.polled_at.is_some()) {
                (true, _) => Trust::Failing,
                (false, true) => Trust::Known,
                (false, false) => Trust::New,
            },
            is_misplaced: false,
            in_heap: false,
            is_listed: false,
        }
    }

    /// As the planner sees it, where these requests may be made.
    pub(super) fn candidate(&self, shapes: Shapes) -> Candidate {
        let is_settled_alone = matches!(self.trust, Trust::Doubtful | Trust::Missing);
        let by = if self.kind == EntryKind::Create
            || self.kind == EntryKind::Followed && shapes.page_limit == 0
        {
            By::Alone
        } else if self.kind == EntryKind::Followed {
            By::Page
        } else if is_settled_alone && shapes.has_fetches() {
            By::Alone
        } else {
            By::Any
        };
        let place = if let Some(position) = self.position() {
            Place::Shown(position)
        } else if self.is_misplaced || self.trust == Trust::Missing {
            Place::Elsewhere
        } else {
            Place::Guessed
        };
        Candidate {
            created_at: self.created_at(),
            place,
            by,
        }
    }

    /// Whether somebody works on it.
    pub(super) fn is_in_hand(&self) -> bool {
        matches!(self.state, EntryState::InHand | EntryState::Borrowed)
    }

    /// Whether a page of this number tells all that was asked for: it was begun after the nudge.
    pub(super) fn is_answered_by(&self, page: u32) -> bool {
        self.nudged_for <= page
    }

    /// Whether a page that shows it soon will do: it is open, as far as is known, and its time is not
    /// over.
    pub(super) fn may_be_watched(&self, now: UnixMillis) -> bool {
        self.trust == Trust::Known && self.kind == EntryKind::Open && now < self.expiry()
    }

    /// When it was last seen, where a list of all payments since then tells all that can happen to it:
    /// it is open and its time is not over, or it has ended.
    pub(super) fn told_by_payments_since(&self, now: UnixMillis) -> Option<UnixMillis> {
        let is_told = match self.kind {
            EntryKind::Open => now < self.expiry(),
            EntryKind::Ended => true,
            EntryKind::Create | EntryKind::Row | EntryKind::Followed => false,
        };
        let is_known = self.trust == Trust::Known && self.known_s > 0;
        (is_told && is_known).then(|| UnixMillis(i64::from(self.known_s) * 1000))
    }

    /// It was seen at `now`.
    pub(super) fn note_seen_at(&mut self, now: UnixMillis) {
        self.known_s = seconds(now.0);
        if self.trust == Trust::New {
            self.trust = Trust::Known;
        }
    }

    /// Its place in the list, where a page has shown it.
    pub(super) fn position(&self) -> Option<u64> {
        (self.position != UNKNOWN).then_some(self.position.into())
    }

    pub(super) fn set_position(&mut self, position: Option<u64>) {
        let position = position.and_then(|position| u32::try_from(position).ok());
        self.position = position.unwrap_or(UNKNOWN);
    }

    pub(super) fn created_at(&self) -> UnixMillis {
        UnixMillis(i64::from(self.created_s) * 1000)
    }

    pub(super) fn expiry(&self) -> UnixMillis {
        UnixMillis(i64::from(self.expiry_s) * 1000)
    }
}

fn kind_of(row: &DueRow) -> EntryKind {
    match (row.status, &row.order_id) {
        (Status::Requested, _) => EntryKind::Create,
        (_, None) => EntryKind::Followed,
        (Status::Pending, Some(_)) if !row.unsettled && !row.is_nudged() => EntryKind::Open,
        (Status::Expired | Status::Cancelled, Some(_)) if !row.unsettled && !row.is_nudged() => {
            EntryKind::Ended
        }
        (
            Status::Pending
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review,
            Some(_),
        ) => EntryKind::Row,
    }
}

fn seconds(millis: i64) -> u32 {
    u32::try_from(millis.max(0) / 1000).unwrap_or(u32::MAX)
}

/// Entries by number.
#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Vec<Entry>>,
}

impl Slots {
    /// Puts an entry at the end and returns its number.
    pub(super) fn push(&mut self, entry: Entry) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            // A shop of a few orders needs no whole block.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let Some(block) = self.blocks.last_mut() else {
            return UNKNOWN;
        };
        block.push(entry);
        u32::try_from(before + block.len() - 1).unwrap_or(UNKNOWN)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        let slot = slot as usize;
        self.blocks.get(slot / BLOCK)?.get(slot % BLOCK)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        let slot = slot as usize;
        self.blocks.get_mut(slot / BLOCK)?.get_mut(slot % BLOCK)
    }
}

impl Index<u32> for Slots {
    type Output = Entry;

    fn index(&self, slot: u32) -> &Entry {
        &self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
    }
}

impl IndexMut<u32> for Slots {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
    }
}
