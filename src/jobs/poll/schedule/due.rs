//! When entries are due: a heap of resting entries, and a list of due ones.

use std::cmp::Reverse;

use super::entry::EntryState;
use super::{Schedule, Tick};

impl Schedule {
    pub(super) fn set_state(&mut self, slot: u32, state: EntryState) {
        let entry = &mut self.entries[slot];
        self.counts.leave(entry);
        entry.state = state;
        self.counts.enter(entry);
    }

    /// Rests the entry until `due`.
    pub(in crate::jobs::poll) fn postpone(&mut self, slot: u32, due: Tick) {
        if self.entry(slot).is_none() {
            return;
        }
        self.set_state(slot, EntryState::Resting);
        let entry = &mut self.entries[slot];
        let pushes = !entry.in_heap || due < entry.due;
        entry.due = due;
        entry.in_heap = true;
        if pushes {
            self.resting.push(Reverse((due, slot)));
        }
    }

    /// Makes the entry due now, whatever its plan.
    pub(in crate::jobs::poll) fn make_due(&mut self, slot: u32) {
        if self.entry(slot).is_some() {
            self.set_state(slot, EntryState::Due);
            self.list_due(slot);
        }
    }

    pub(super) fn list_due(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.entries[slot].is_listed, true) {
            self.listed.push(slot);
        }
    }

    /// Number of entries due at `now`.
    pub(in crate::jobs::poll) fn count_due(&mut self, now: Tick) -> usize {
        while let Some(&Reverse((at, slot))) = self.resting.peek() {
            if at > now {
                break;
            }
            self.resting.pop();
            let entry = &mut self.entries[slot];
            match entry.state {
                EntryState::Resting if entry.due > now => {
                    self.resting.push(Reverse((entry.due, slot)));
                }
                EntryState::Resting => {
                    entry.in_heap = false;
                    self.make_due(slot);
                }
                EntryState::Due | EntryState::InHand | EntryState::Borrowed => {
                    entry.in_heap = false;
                }
                EntryState::Free => {
                    if std::mem::take(&mut entry.in_heap) && !entry.is_listed {
                        self.free.push(slot);
                    }
                }
            }
        }
        self.counts.due
    }

    /// The number of entries due at `now`, without those whose order is yet to be created.
    pub(in crate::jobs::poll) fn count_due_with_orders(&mut self, now: Tick) -> usize {
        self.count_due(now) - self.counts.creations_due
    }

    /// The entries due at `now`, in no order.
    pub(in crate::jobs::poll) fn due_slots(&mut self, now: Tick) -> &[u32] {
        self.count_due(now);
        let (entries, free) = (&mut self.entries, &mut self.free);
        self.listed.retain(|&slot| {
            let entry = &mut entries[slot];
            entry.is_listed = entry.state == EntryState::Due;
            if entry.state == EntryState::Free && !entry.in_heap {
                free.push(slot);
            }
            entry.is_listed
        });
        &self.listed
    }

    /// The earliest time at which the next entry becomes due.
    pub(in crate::jobs::poll) fn next_due(&self) -> Option<Tick> {
        self.resting.peek().map(|&Reverse((at, _))| at)
    }

    /// Whether nothing is due or being polled, as of the last call of `count_due`.
    pub(in crate::jobs::poll) fn is_caught_up(&self) -> bool {
        self.counts.due == 0 && self.counts.in_hand == 0
    }
}
