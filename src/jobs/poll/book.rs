//! The book of what is due: one small entry for each invoice whose plan has come and that pages of
//! the list may cover.
//!
//! A page that changes nothing writes no row, so the row's own plan stays in the past; when it was
//! last seen, and so when it is due again, stands here. Nothing due = nothing here. After a restart
//! all are simply due again.
//!
//! Times here are ticks of the monotonic clock: a wall clock that jumps moves nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use hashbrown::HashTable;

use super::entry::{Entry, Kind, Slots};
use crate::domain::invoice::InvoiceId;
use crate::domain::money::canonical;
use crate::store::DueRow;

/// Hundredths of a second of the monotonic clock: enough for 490 days of running.
pub(super) type Tick = u32;

/// The entries of one account.
#[derive(Debug, Default)]
pub(super) struct Book {
    hasher: RandomState,
    entries: Slots,
    free: Vec<u32>,
    by_order: HashTable<u32>,
    orderless: HashMap<InvoiceId, u32>,
    /// Of each entry that is not due: at the latest when it becomes so.
    heap: BinaryHeap<Reverse<(Tick, u32)>>,
    due: Vec<u32>,
    alive: usize,
}

impl Book {
    /// Takes in a row that is due at `now`. False when it is here already.
    pub(super) fn adopt(&mut self, row: &DueRow, now: Tick) -> bool {
        let order = row.order_id.as_ref().map(|id| self.order_hash(&id.0));
        let known = match order {
            Some(order) => self.slot_of_order(order),
            None => self.orderless.get(&row.id).copied(),
        };
        if let Some(slot) = known {
            self.hear_again(slot, row);
            return false;
        }
        let terms = self.terms_of(row);
        let entry = Entry::of(row, order.unwrap_or_default(), terms, now);
        let slot = self.put(entry);
        match order {
            Some(order) => {
                let entries = &self.entries;
                self.by_order
                    .insert_unique(order, slot, |&slot| entries[slot].order);
            }
            None => drop(self.orderless.insert(row.id, slot)),
        }
        self.due.push(slot);
        true
    }

    /// A row that was read once more: only a nudge is news.
    fn hear_again(&mut self, slot: u32, row: &DueRow) {
        let entry = &mut self.entries[slot];
        if row.is_nudged() && !entry.asked && !matches!(entry.kind, Kind::Nudged | Kind::Orderless)
        {
            entry.kind = Kind::Nudged;
            self.make_due(slot);
        }
    }

    fn put(&mut self, entry: Entry) -> u32 {
        self.alive += 1;
        if let Some(slot) = self.free.pop() {
            self.entries[slot] = entry;
            return slot;
        }
        self.entries.push(entry)
    }

    /// Takes an entry out: its row tells again when it is due.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entry_mut(slot) else {
            return;
        };
        entry.alive = false;
        entry.waits = false;
        let (order, id) = (entry.order, entry.id);
        let is_held = entry.in_heap || entry.listed;
        if self.orderless.remove(&id).is_none()
            && let Ok(found) = self.by_order.find_entry(order, |&other| other == slot)
        {
            found.remove();
        }
        self.alive -= 1;
        if self.alive == 0 {
            *self = Self {
                hasher: self.hasher.clone(),
                ..Self::default()
            };
        } else if !is_held {
            self.free.push(slot);
        }
    }

    pub(super) fn slot_of(&self, order_id: &str) -> Option<u32> {
        self.slot_of_order(self.order_hash(order_id))
    }

    /// The slot of an invoice of which the order may not be known.
    pub(super) fn slot_of_invoice(&self, id: InvoiceId, order_id: Option<&str>) -> Option<u32> {
        let by_order = order_id.and_then(|order_id| self.slot_of(order_id));
        by_order.or_else(|| self.orderless.get(&id).copied())
    }

    /// As `slot_of`, by `order_hash`.
    pub(super) fn slot_of_order(&self, order: u64) -> Option<u32> {
        let is_it = |&slot: &u32| self.entries[slot].order == order;
        self.by_order.find(order, is_it).copied()
    }

    pub(super) fn order_hash(&self, order_id: &str) -> u64 {
        self.hasher.hash_one(order_id)
    }

    /// The live entry in a slot.
    pub(super) fn entry(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot).filter(|entry| entry.alive)
    }

    pub(super) fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(slot).filter(|entry| entry.alive)
    }

    /// A page has shown it there.
    pub(super) fn place(&mut self, slot: u32, position: u64) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.set_position(Some(position));
            entry.misplaced = false;
            entry.lost = false;
        }
    }

    /// Its place is not what it was thought to be.
    pub(super) fn unplace(&mut self, slot: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.set_position(None);
            entry.misplaced = true;
        }
    }

    /// Not due before `due`.
    pub(super) fn put_off(&mut self, slot: u32, due: Tick) {
        let Some(entry) = self.entry_mut(slot) else {
            return;
        };
        entry.waits = false;
        entry.asked = false;
        let pushes = !entry.in_heap || due < entry.due;
        entry.due = due;
        entry.in_heap = true;
        if pushes {
            self.heap.push(Reverse((due, slot)));
        }
    }

    /// Due now, whatever was planned.
    pub(super) fn make_due(&mut self, slot: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.asked = false;
            entry.waits = true;
            if !std::mem::replace(&mut entry.listed, true) {
                self.due.push(slot);
            }
        }
    }

    /// Those that are due at `now`, in no order.
    pub(super) fn due(&mut self, now: Tick) -> &[u32] {
        let (entries, free) = (&mut self.entries, &mut self.free);
        self.due.retain(|&slot| {
            let entry = &mut entries[slot];
            entry.listed = entry.alive && entry.waits && !entry.asked;
            if !entry.alive && !entry.in_heap {
                free.push(slot);
            }
            entry.listed
        });
        while let Some(&Reverse((at, slot))) = self.heap.peek() {
            if at > now {
                break;
            }
            self.heap.pop();
            let entry = &mut self.entries[slot];
            if !entry.alive {
                if std::mem::take(&mut entry.in_heap) && !entry.listed {
                    self.free.push(slot);
                }
            } else if entry.waits || entry.asked {
                entry.in_heap = false;
            } else if entry.due > now {
                self.heap.push(Reverse((entry.due, slot)));
            } else {
                entry.in_heap = false;
                entry.waits = true;
                if !std::mem::replace(&mut entry.listed, true) {
                    self.due.push(slot);
                }
            }
        }
        &self.due
    }

    /// When the next entry becomes due, at the earliest.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    /// Whether nothing is due, as of the last call of `due`.
    pub(super) fn is_caught_up(&self) -> bool {
        self.due
            .iter()
            .all(|&slot| self.entry(slot).is_none_or(|e| !e.waits && !e.asked))
    }

    fn terms_of(&self, row: &DueRow) -> u32 {
        let amount = row.amount.as_ref();
        let amount = amount.map(|money| (money.value.as_str(), money.currency.as_str()));
        self.terms(Some(&row.external_id.0), amount)
    }

    /// A fingerprint of external id and amount: equal by value, equal here.
    pub(super) fn terms(&self, external_id: Option<&str>, amount: Option<(&str, &str)>) -> u32 {
        let amount = amount.and_then(|(value, currency)| canonical(value, currency));
        let hash = self.hasher.hash_one((external_id, amount));
        u32::try_from(hash >> 32).unwrap_or_default()
    }
}

/// The tick that a time of the monotonic clock falls in.
pub(super) fn tick(at: Duration) -> Tick {
    u32::try_from(at.as_millis() / 10).unwrap_or(u32::MAX)
}

/// When a tick begins.
pub(super) fn begins(tick: Tick) -> Duration {
    Duration::from_millis(u64::from(tick) * 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Money;
    use crate::domain::state::Status;
    use crate::domain::time::UnixMillis;

    fn row(n: i64) -> DueRow {
        DueRow {
            id: InvoiceId(n),
            external_id: format!("E{n}").as_str().into(),
            order_id: Some(format!("{n}").as_str().into()),
            amount: Some(Money {
                value: "1.00".into(),
                currency: "USD".into(),
            }),
            status: Status::Pending,
            created_at: UnixMillis(1_800_000_000_000),
            expiry: UnixMillis(1_800_000_900_000),
            next_poll_at: UnixMillis(1_800_000_000_000),
            looked_at: true,
            unsettled: false,
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 48, "{}", size_of::<Entry>());
    }

    #[test]
    fn what_was_put_off_is_due_again_in_time_and_once() {
        let mut book = Book::default();
        for n in 0..100 {
            assert!(book.adopt(&row(n), 10));
            assert!(!book.adopt(&row(n), 11), "adopted once");
        }
        let slots = book.due(10).to_vec();
        assert_eq!(slots.len(), 100);
        for &slot in &slots {
            book.put_off(slot, 100);
        }
        assert!(book.due(99).is_empty() && book.is_caught_up());
        for &slot in &slots[..50] {
            book.put_off(slot, 200);
        }
        assert_eq!(book.due(150).len(), 50, "a later plan replaces an earlier");
        for &slot in &slots {
            book.put_off(slot, 160);
        }
        assert_eq!(book.due(160).len(), 100, "so does an earlier one a later");
        assert_eq!(book.due(300).len(), 100);
    }

    #[test]
    fn slots_are_used_again_and_an_empty_book_holds_nothing() {
        let mut book = Book::default();
        for n in 0..10 {
            book.adopt(&row(n), 0);
        }
        for &slot in &book.due(0).to_vec() {
            book.put_off(slot, 50);
        }
        for n in 0..5 {
            let slot = book.slot_of(&n.to_string()).unwrap();
            book.remove(slot);
            assert_eq!(book.slot_of(&n.to_string()), None);
        }
        for n in 20..25 {
            book.adopt(&row(n), 10);
        }
        assert_eq!(book.due(10).len(), 5);
        assert_eq!(book.due(60).len(), 10);
        for n in (5..10).chain(20..25) {
            let slot = book.slot_of(&n.to_string()).unwrap();
            book.remove(slot);
        }
        assert!(book.entries.get(0).is_none());
    }

    #[test]
    fn terms_agree_by_value() {
        let book = Book::default();
        let terms = |id, value, currency| book.terms(Some(id), Some((value, currency)));
        assert_eq!(terms("A", "1.0", "TON"), terms("A", "1.00", "GRAM"));
        assert_ne!(terms("A", "1", "TON"), terms("B", "1", "TON"));
        assert_ne!(terms("A", "1", "TON"), book.terms(Some("A"), None));
    }

    #[test]
    fn a_nudge_of_a_known_invoice_is_heard() {
        let mut book = Book::default();
        book.adopt(&row(1), 0);
        let slot = book.due(0)[0];
        book.put_off(slot, 1000);
        let nudged = DueRow {
            next_poll_at: UnixMillis(0),
            ..row(1)
        };
        assert!(!book.adopt(&nudged, 5));
        assert_eq!(book.due(5), [slot]);
        assert_eq!(book.entry(slot).unwrap().kind, Kind::Nudged);
    }
}
