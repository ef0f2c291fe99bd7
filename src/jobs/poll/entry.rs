//! One entry of the book, and where a million of them stand: in blocks, since a vector that doubles
//! would hold them twice while it grows.

use std::ops::{Index, IndexMut};

use super::book::Tick;
use crate::domain::invoice::InvoiceId;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::DueRow;

const UNKNOWN: u32 = u32::MAX;
/// Entries in a block.
const BLOCK: usize = 4096;

/// What may be done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Waits for money: a page that shows it open, on the same terms, is a look and changes nothing.
    Open,
    /// Any look at it writes its row: it has ended, or something about it is unsettled.
    Row,
    /// As `Row`; a program asked, and gets a look of its own where the strategy allows one.
    Nudged,
    /// It has no order yet: no page tells of it.
    Orderless,
}

/// One due invoice. A million of them must be small.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "eight bytes of flags")]
pub(super) struct Entry {
    pub(super) id: InvoiceId,
    pub(super) order: u64,
    pub(super) terms: u32,
    position: u32,
    created_s: u32,
    expiry_s: u32,
    pub(super) due: Tick,
    pub(super) kind: Kind,
    pub(super) alive: bool,
    pub(super) in_heap: bool,
    /// Its slot stands in `Book::due`, whether or not it is due any more.
    pub(super) listed: bool,
    /// It is due, and nothing has been done about it.
    pub(super) waits: bool,
    /// A look of its own is under way.
    pub(super) asked: bool,
    /// Not where its creation time puts it.
    pub(super) misplaced: bool,
    /// A complete reading did not show it.
    pub(super) lost: bool,
    /// What the list says about it settles nothing.
    pub(super) doubtful: bool,
    /// No look ever brought an answer.
    pub(super) is_new: bool,
}

impl Entry {
    /// The entry of a row that is due at `now`.
    pub(super) fn of(row: &DueRow, order: u64, terms: u32, now: Tick) -> Self {
        Self {
            id: row.id,
            order,
            terms,
            position: UNKNOWN,
            created_s: seconds(row.created_at.0),
            expiry_s: seconds(row.expiry.0.saturating_add(999)),
            due: now,
            kind: kind_of(row),
            alive: true,
            in_heap: false,
            listed: true,
            waits: true,
            asked: false,
            misplaced: false,
            lost: false,
            doubtful: false,
            is_new: !row.looked_at,
        }
    }

    /// Whether pages are of no help, where single looks may be made.
    pub(super) fn wants_its_own_look(&self) -> bool {
        self.kind == Kind::Nudged || self.lost || self.doubtful
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

fn kind_of(row: &DueRow) -> Kind {
    match (row.status, &row.order_id) {
        (_, None) | (Status::Requested, _) => Kind::Orderless,
        _ if row.is_nudged() => Kind::Nudged,
        (Status::Pending, _) if !row.unsettled => Kind::Open,
        (
            Status::Pending
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review,
            _,
        ) => Kind::Row,
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
