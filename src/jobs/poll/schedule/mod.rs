//! The schedule of one account: which invoices are due, and in which order they are polled. It has
//! one small entry for each invoice whose plan has come.
//!
//! A page that changes nothing writes no row, so the row's own plan stays in the past; the entry
//! holds when the order was last shown, and so when it is due again. Invoices that are not due have
//! no entry. After a restart all of them are due again.
//!
//! Fairness is implemented only here (`turns`). The order is: orders to be created, since customers
//! wait for their links; nudged invoices; the newest invoices; invoices whose polls fail. Every
//! fourth turn goes to the entry that has waited longest, so none starves, whatever the number of
//! invoices.
//!
//! Times are ticks of the monotonic clock, so a jump of the wall clock has no effect.

mod due;
mod entry;
mod key;
mod slots;
mod tick;
mod turns;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::RandomState;

use hashbrown::HashTable;

use self::entry::EntryState;
pub(super) use self::entry::{Entry, EntryKind, Trust};
use self::key::EntryKey;
use self::slots::Slots;
pub(super) use self::tick::{Tick, tick, tick_begin};
use crate::domain::invoice::{Invoice, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::store::DueRow;

/// The entries of one account.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    hasher: RandomState,
    entries: Slots,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    /// Resting entries by the latest time at which they become due.
    resting: BinaryHeap<Reverse<(Tick, u32)>>,
    /// Due entries, and some that no longer are.
    listed: Vec<u32>,
    counts: Counts,
    /// Number of turns used so far.
    turn: usize,
    /// Number of the last page begun.
    pages: u32,
}

/// Number of entries by state: counting a million at each turn would take too long.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    used: usize,
    due: usize,
    /// Due entries whose order is yet to be created. The kind of such an entry never changes.
    creations_due: usize,
    in_hand: usize,
}

impl Counts {
    /// Counts an entry in the state it has entered.
    fn enter(&mut self, entry: &Entry) {
        match entry.state {
            EntryState::Free | EntryState::Resting | EntryState::Borrowed => {}
            EntryState::Due => {
                self.due += 1;
                self.creations_due += usize::from(entry.kind == EntryKind::Create);
            }
            EntryState::InHand => self.in_hand += 1,
        }
    }

    /// Stops counting an entry in the state that it is about to leave.
    fn leave(&mut self, entry: &Entry) {
        match entry.state {
            EntryState::Free | EntryState::Resting | EntryState::Borrowed => {}
            EntryState::Due => {
                self.due -= 1;
                self.creations_due -= usize::from(entry.kind == EntryKind::Create);
            }
            EntryState::InHand => self.in_hand -= 1,
        }
    }
}

impl Schedule {
    // ------------------------------------------------------------------------ adding and removing

    /// Adds a row that is due at `now`. None if it has an entry already.
    pub(super) fn adopt(&mut self, row: &DueRow, now: Tick) -> Option<u32> {
        let key = self.key_of_row(row);
        if let Some(slot) = self.slot_of_key(key) {
            self.note_nudge(slot, row);
            return None;
        }
        let terms = self.terms_of(row);
        let mut entry = Entry::of(row, key, terms, now);
        if row.is_nudged() {
            entry.nudged_for = self.pages + 1;
        }
        let slot = self.insert(entry);
        self.list_due(slot);
        Some(slot)
    }

    /// Updates the entry of a row that was read again: only a nudge is new.
    fn note_nudge(&mut self, slot: u32, row: &DueRow) {
        let next_page = self.pages + 1;
        let entry = &mut self.entries[slot];
        if row.is_nudged() && entry.nudged_for == 0 && !entry.is_in_hand() {
            entry.nudged_for = next_page;
            if matches!(entry.kind, EntryKind::Open | EntryKind::Ended) {
                entry.kind = EntryKind::Row;
            }
            self.make_due(slot);
        }
    }

    /// Takes an invoice in hand, whether or not it is due. False if it already is in hand.
    pub(super) fn take_in_hand(&mut self, invoice: &Invoice, now: Tick) -> bool {
        let row = DueRow::of(invoice, UnixMillis(i64::MAX));
        let key = self.key_of_row(&row);
        if let Some(slot) = self.slot_of_key(key) {
            let is_free = !self.entries[slot].is_in_hand();
            if is_free {
                self.set_state(slot, EntryState::InHand);
            }
            return is_free;
        }
        let terms = self.terms_of(&row);
        let mut entry = Entry::of(&row, key, terms, now);
        entry.state = EntryState::Borrowed;
        self.insert(entry);
        true
    }

    /// Checks that the invoice in hand in a slot still has the same ids. If not, for example
    /// because the audit has learned its order's id, its entry is moved to the new key; false if
    /// that entry is in hand already.
    pub(super) fn follow_rename(&mut self, slot: u32, invoice: &Invoice, now: Tick) -> bool {
        if self.slot_of(invoice) == Some(slot) {
            return true;
        }
        self.remove(slot);
        self.take_in_hand(invoice, now)
    }

    /// Removes the entry that an invoice had before its order's id was known.
    pub(super) fn forget_old_name(&mut self, invoice: &Invoice) {
        let names = [
            EntryKey::External(&invoice.external_id.0),
            EntryKey::Row(invoice.id.0),
        ];
        for name in names {
            let slot = self.slot_of_key(self.hash(name));
            let is_old = |entry: &Entry| entry.id == invoice.id && !entry.is_in_hand();
            if let Some(slot) = slot.filter(|slot| self.entry(*slot).is_some_and(is_old)) {
                self.remove(slot);
            }
        }
    }

    /// Takes in hand those that are still due.
    pub(super) fn take_turns(&mut self, slots: &[u32]) -> Vec<(u32, InvoiceId)> {
        let mut turns = Vec::with_capacity(slots.len());
        for &slot in slots {
            let entry = self.entry(slot);
            if let Some(id) = entry.filter(|e| e.state == EntryState::Due).map(|e| e.id) {
                self.set_state(slot, EntryState::InHand);
                turns.push((slot, id));
            }
        }
        turns
    }

    /// Releases an entry whose observation was written, or whose row had changed meanwhile.
    pub(super) fn release(&mut self, slot: u32, is_written: bool) {
        if is_written {
            self.remove(slot);
        } else {
            self.make_due(slot);
        }
    }

    /// Number of entries.
    pub(in crate::jobs::poll) fn count(&self) -> usize {
        self.counts.used
    }

    fn insert(&mut self, mut entry: Entry) -> u32 {
        entry.since_page = self.pages;
        self.counts.used += 1;
        self.counts.enter(&entry);
        let key = entry.key;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot] = entry;
                slot
            }
            None => self.entries.push(entry),
        };
        let entries = &self.entries;
        self.by_key
            .insert_unique(key, slot, |&slot| entries[slot].key);
        slot
    }

    /// Removes an entry: the next plan is in its row.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entry(slot) else {
            return;
        };
        let key = entry.key;
        let is_held = entry.in_heap || entry.is_listed;
        self.set_state(slot, EntryState::Free);
        if let Ok(found) = self.by_key.find_entry(key, |&other| other == slot) {
            found.remove();
        }
        self.counts.used -= 1;
        if self.counts.used == 0 {
            // Frees the memory of a million entries.
            *self = Self {
                hasher: self.hasher.clone(),
                turn: self.turn,
                pages: self.pages,
                ..Self::default()
            };
        } else if !is_held {
            self.free.push(slot);
        }
    }

    /// The entry in a slot that is in use.
    pub(super) fn entry(&self, slot: u32) -> Option<&Entry> {
        let entry = self.entries.get(slot);
        entry.filter(|entry| entry.state != EntryState::Free)
    }

    pub(super) fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(slot);
        entry.filter(|entry| entry.state != EntryState::Free)
    }

    // ----------------------------------------------------------------------------- pages

    /// Assigns a number to a page that is about to be requested.
    pub(super) fn begin_page(&mut self) -> u32 {
        self.pages = self.pages.saturating_add(1);
        self.pages
    }

    /// Records the position at which a page showed it.
    pub(super) fn set_place(&mut self, slot: u32, position: u64) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.set_position(Some(position));
            entry.is_misplaced = false;
            if entry.trust == Trust::Missing {
                entry.trust = Trust::Known;
            }
        }
    }

    /// Forgets its position, which has proved wrong.
    pub(super) fn clear_place(&mut self, slot: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.set_position(None);
            entry.is_misplaced = true;
        }
    }
}

#[cfg(test)]
mod tests;
