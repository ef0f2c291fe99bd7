//! The schedule of one account: which invoices are due, and whose turn it is. One small entry for
//! each invoice whose plan has come.
//!
//! A page that changes nothing writes no row, so the row's own plan stays in the past; when it was
//! last shown, and so when it is due again, stands here. Nothing due = nothing here. After a restart
//! all are simply due again.
//!
//! Fairness lives here and nowhere else (`turns`): orders to be created first, since customers wait
//! for their links, then what programs nudged, then the freshest invoices, those whose polls fail
//! behind the others; and every fourth turn is that of the one that has waited longest. So nobody starves, whatever the number of invoices.
//!
//! Times are ticks of the monotonic clock: a wall clock that jumps moves nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use hashbrown::HashTable;

use super::entry::{Entry, EntryKind, EntryState, Slots, Trust};
use crate::domain::invoice::{Invoice, InvoiceId};
use crate::domain::money::canonical;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::DueRow;

/// Hundredths of a second of the monotonic clock: enough for 490 days of running.
pub(super) type Tick = u32;

/// One turn in so many is that of the longest overdue.
const OVERDUE_SHARE: usize = 4;

/// What answers name an invoice by.
#[derive(Clone, Copy, Debug, Hash)]
enum EntryKey<'a> {
    Order(&'a str),
    /// Where the order's id is not known.
    External(&'a str),
    /// Where there is no order yet.
    Row(i64),
}

/// The entries of one account.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    hasher: RandomState,
    entries: Slots,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    /// Of each resting entry: at the latest when it becomes due.
    resting: BinaryHeap<Reverse<(Tick, u32)>>,
    /// Those that are due, and some that no longer are.
    listed: Vec<u32>,
    counts: Counts,
    /// Turns given out so far: whose the next one is.
    turn: usize,
    /// Pages begun so far, the number of the last one.
    pages: u32,
}

/// Entries by state: looking through a million at each turn would be too much.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    used: usize,
    due: usize,
    in_hand: usize,
}

impl Counts {
    fn of(&mut self, state: EntryState) -> Option<&mut usize> {
        match state {
            EntryState::Free | EntryState::Resting | EntryState::Borrowed => None,
            EntryState::Due => Some(&mut self.due),
            EntryState::InHand => Some(&mut self.in_hand),
        }
    }
}

impl Schedule {
    // ------------------------------------------------------------------------ in and out

    /// Takes in a row that is due at `now`. None when it is here already.
    pub(super) fn adopt(&mut self, row: &DueRow, now: Tick) -> Option<u32> {
        let key = self.key_of_row(row);
        if let Some(slot) = self.slot_of_key(key) {
            self.hear_again(slot, row);
            return None;
        }
        let terms = self.terms_of(row);
        let mut entry = Entry::of(row, key, terms, now);
        if row.is_nudged() {
            entry.nudged_for = self.pages + 1;
        }
        let slot = self.put(entry);
        self.list(slot);
        Some(slot)
    }

    /// A row that was read once more: only a nudge is observation.
    fn hear_again(&mut self, slot: u32, row: &DueRow) {
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

    /// Marks an invoice as being worked on, whether or not it is due. False when somebody does
    /// already.
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
        self.put(entry);
        true
    }

    /// Whether the invoice in hand in a slot is still named by what it was named by then. Else, as when
    /// the audit has learned its order's id meanwhile, it is taken in hand under its new name; false
    /// when somebody has it there already.
    pub(super) fn follow(&mut self, slot: u32, invoice: &Invoice, now: Tick) -> bool {
        if self.slot_of(invoice) == Some(slot) {
            return true;
        }
        self.remove(slot);
        self.take_in_hand(invoice, now)
    }

    /// Takes out the entry that an invoice had before its order's id was known.
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

    fn put(&mut self, mut entry: Entry) -> u32 {
        entry.since_page = self.pages;
        self.counts.used += 1;
        if let Some(count) = self.counts.of(entry.state) {
            *count += 1;
        }
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

    /// Takes an entry out: its row tells again when it is due.
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
            // What a million entries took is given back.
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

    // --------------------------------------------------------------------------- finding

    /// The slot of the order with this id.
    pub(super) fn slot_of_order(&self, order: &str) -> Option<u32> {
        self.slot_of_key(self.hash(EntryKey::Order(order)))
    }

    /// The slot that an order of the list belongs to, and the fingerprint of its id.
    pub(super) fn slot_in_list(
        &self,
        order: &str,
        external_id: Option<&str>,
    ) -> (Option<u32>, u64) {
        let hash = self.hash(EntryKey::Order(order));
        let by_order = self.slot_of_key(hash);
        let by_external = || self.slot_of_key(self.hash(EntryKey::External(external_id?)));
        (by_order.or_else(by_external), hash)
    }

    /// The slot of an invoice, as it was when it was read.
    pub(super) fn slot_of(&self, invoice: &Invoice) -> Option<u32> {
        let order = invoice.facts.order_id.as_ref().map(|id| id.0.as_str());
        let key = key(
            invoice.id.0,
            order,
            &invoice.external_id.0,
            invoice.facts.status,
        );
        self.slot_of_key(self.hash(key))
    }

    /// Fingerprint of an order's id.
    pub(super) fn order_hash(&self, order: &str) -> u64 {
        self.hash(EntryKey::Order(order))
    }

    fn key_of_row(&self, row: &DueRow) -> u64 {
        let order = row.order_id.as_ref().map(|id| id.0.as_str());
        self.hash(key(row.id.0, order, &row.external_id.0, row.status))
    }

    fn hash(&self, key: EntryKey<'_>) -> u64 {
        self.hasher.hash_one(key)
    }

    fn slot_of_key(&self, key: u64) -> Option<u32> {
        let is_it = |&slot: &u32| self.entries[slot].key == key;
        self.by_key.find(key, is_it).copied()
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

    /// A fingerprint of external id and amount: equal by value, equal here.
    pub(super) fn terms(&self, external_id: Option<&str>, amount: Option<(&str, &str)>) -> u32 {
        let amount = amount.and_then(|(value, currency)| canonical(value, currency));
        let hash = self.hasher.hash_one((external_id, amount));
        u32::try_from(hash >> 32).unwrap_or_default()
    }

    fn terms_of(&self, row: &DueRow) -> u32 {
        let amount = row.amount.as_ref();
        let amount = amount.map(|money| (money.value.as_str(), money.currency.as_str()));
        self.terms(Some(&row.external_id.0), amount)
    }

    // ----------------------------------------------------------------------------- pages

    /// A page is about to be asked for. Returns its number.
    pub(super) fn begin_page(&mut self) -> u32 {
        self.pages = self.pages.saturating_add(1);
        self.pages
    }

    /// A page has shown it there.
    pub(super) fn place(&mut self, slot: u32, position: u64) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.set_position(Some(position));
            entry.is_misplaced = false;
            if entry.trust == Trust::Missing {
                entry.trust = Trust::Known;
            }
        }
    }

    /// Its place is not what it was thought to be.
    pub(super) fn unplace(&mut self, slot: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.set_position(None);
            entry.is_misplaced = true;
        }
    }

    // ------------------------------------------------------------------------------ time

    fn set_state(&mut self, slot: u32, state: EntryState) {
        let before = std::mem::replace(&mut self.entries[slot].state, state);
        if let Some(count) = self.counts.of(before) {
            *count -= 1;
        }
        if let Some(count) = self.counts.of(state) {
            *count += 1;
        }
    }

    /// Not due before `due`.
    pub(super) fn put_off(&mut self, slot: u32, due: Tick) {
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

    /// Due now, whatever was planned.
    pub(super) fn make_due(&mut self, slot: u32) {
        if self.entry(slot).is_some() {
            self.set_state(slot, EntryState::Due);
            self.list(slot);
        }
    }

    /// Takes those that are still due in hand.
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

    /// What was observed of an entry in hand was written, or the row had changed meanwhile.
    pub(super) fn release(&mut self, slot: u32, is_written: bool) {
        if is_written {
            self.remove(slot);
        } else {
            self.make_due(slot);
        }
    }

    fn list(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.entries[slot].is_listed, true) {
            self.listed.push(slot);
        }
    }

    /// How many are due at `now`.
    pub(super) fn count_due(&mut self, now: Tick) -> usize {
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

    /// Those that are due at `now`, in no order.
    pub(super) fn due(&mut self, now: Tick) -> &[u32] {
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

    /// When the next entry becomes due, at the earliest.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.resting.peek().map(|&Reverse((at, _))| at)
    }

    /// Whether nothing is due or being polled, as of the last call of `count_due`.
    pub(super) fn is_caught_up(&self) -> bool {
        self.counts.due == 0 && self.counts.in_hand == 0
    }

    // --------------------------------------------------------------------------- fairness

    /// The due entries in the order of their turns, up to `most` of them.
    pub(super) fn turns(&mut self, now: Tick, most: usize) -> Vec<u32> {
        self.turns_of(now, most, |_| true)
    }

    /// As `turns`, of those for which `is_one` holds.
    pub(super) fn turns_of(
        &mut self,
        now: Tick,
        most: usize,
        is_one: impl Fn(&Entry) -> bool,
    ) -> Vec<u32> {
        self.due(now);
        let listed = self.listed.iter().copied();
        let mut overdue: Vec<u32> = listed.filter(|slot| is_one(&self.entries[*slot])).collect();
        let mut fresh = overdue.clone();
        let due = overdue.len();
        let waited = |slot: &u32| (self.entries[*slot].due, self.entries[*slot].id);
        let youth = |slot: &u32| {
            let entry = &self.entries[*slot];
            let is_nudged = entry.nudged_for > 0;
            let creates = entry.kind == EntryKind::Create;
            let works = entry.trust != Trust::Failing;
            Reverse((creates, is_nudged, works, entry.created_at(), entry.id))
        };
        if due > most {
            // Enough of either end for every turn.
            overdue.select_nth_unstable_by_key(most - 1, waited);
            overdue.truncate(most);
            fresh.select_nth_unstable_by_key(most - 1, youth);
            fresh.truncate(most);
        }
        overdue.sort_unstable_by_key(waited);
        fresh.sort_unstable_by_key(youth);
        let most = most.min(due);
        let mut taken = HashSet::with_capacity(most);
        let (mut fresh, mut overdue) = (fresh.into_iter(), overdue.into_iter());
        let mut turns = Vec::with_capacity(most);
        while turns.len() < most {
            let is_overdues = (self.turn + turns.len()) % OVERDUE_SHARE == OVERDUE_SHARE - 1;
            let is_new = |slot: &u32| taken.insert(*slot);
            let next = if is_overdues {
                overdue.find(is_new)
            } else {
                fresh.find(is_new)
            };
            let Some(slot) = next else { break };
            turns.push(slot);
        }
        turns
    }

    /// These turns were used.
    pub(super) fn used_turns(&mut self, turns: usize) {
        self.turn = self.turn.wrapping_add(turns);
    }
}

fn key<'a>(id: i64, order: Option<&'a str>, external_id: &'a str, status: Status) -> EntryKey<'a> {
    match (order, status) {
        (Some(order), _) => EntryKey::Order(order),
        (None, Status::Requested) => EntryKey::Row(id),
        (
            None,
            Status::Pending
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review,
        ) => EntryKey::External(external_id),
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
    use crate::domain::invoice::{Facts, PollPlan, Wish};
    use crate::domain::money::Money;

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
            created_at: UnixMillis(1_800_000_000_000 + n * 1000),
            expiry: UnixMillis(1_800_000_900_000),
            next_poll_at: UnixMillis(1_800_000_000_000),
            polled_at: Some(UnixMillis(1_800_000_000_000)),
            unsettled: false,
            fails: false,
        }
    }

    fn ids(schedule: &Schedule, slots: &[u32]) -> Vec<i64> {
        let id = |&slot: &u32| schedule.entry(slot).unwrap().id.0;
        slots.iter().map(id).collect()
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 56, "{}", size_of::<Entry>());
    }

    #[test]
    fn what_was_put_off_is_due_again_in_time_and_once() {
        let mut schedule = Schedule::default();
        for n in 0..100 {
            assert!(schedule.adopt(&row(n), 10).is_some());
            assert!(schedule.adopt(&row(n), 11).is_none(), "adopted once");
        }
        let slots = schedule.due(10).to_vec();
        assert_eq!(slots.len(), 100);
        for &slot in &slots {
            schedule.put_off(slot, 100);
        }
        assert!(schedule.due(99).is_empty() && schedule.is_caught_up());
        for &slot in &slots[..50] {
            schedule.put_off(slot, 200);
        }
        assert_eq!(
            schedule.due(150).len(),
            50,
            "a later plan replaces an earlier"
        );
        for &slot in &slots {
            schedule.put_off(slot, 160);
        }
        assert_eq!(
            schedule.due(160).len(),
            100,
            "so does an earlier one a later"
        );
        assert_eq!(schedule.due(300).len(), 100);
    }

    #[test]
    fn slots_are_used_again_and_an_empty_schedule_holds_nothing() {
        let mut schedule = Schedule::default();
        for n in 0..10 {
            schedule.adopt(&row(n), 0);
        }
        for &slot in &schedule.due(0).to_vec() {
            schedule.put_off(slot, 50);
        }
        for n in 0..5 {
            let slot = schedule.slot_of_order(&n.to_string()).unwrap();
            schedule.remove(slot);
            assert_eq!(schedule.slot_of_order(&n.to_string()), None);
        }
        for n in 20..25 {
            schedule.adopt(&row(n), 10);
        }
        assert_eq!(schedule.due(10).len(), 5);
        assert_eq!(schedule.due(60).len(), 10);
        for n in (5..10).chain(20..25) {
            let slot = schedule.slot_of_order(&n.to_string()).unwrap();
            schedule.remove(slot);
        }
        assert!(schedule.entries.get(0).is_none());
    }

    #[test]
    fn terms_agree_by_value() {
        let schedule = Schedule::default();
        let terms = |id, value, currency| schedule.terms(Some(id), Some((value, currency)));
        assert_eq!(terms("A", "1.0", "TON"), terms("A", "1.00", "GRAM"));
        assert_ne!(terms("A", "1", "TON"), terms("B", "1", "TON"));
        assert_ne!(terms("A", "1", "TON"), schedule.terms(Some("A"), None));
    }

    #[test]
    fn a_nudge_makes_due_and_is_answered_by_later_pages_alone() {
        let mut schedule = Schedule::default();
        schedule.adopt(&row(1), 0);
        let slot = schedule.due(0)[0];
        schedule.put_off(slot, 1000);
        let page = schedule.begin_page();
        let nudged = DueRow {
            next_poll_at: UnixMillis(0),
            ..row(1)
        };
        assert_eq!(schedule.adopt(&nudged, 5), None);
        assert_eq!(schedule.due(5), [slot]);
        let later = schedule.begin_page();
        let entry = schedule.entry(slot).unwrap();
        assert_eq!(entry.kind, EntryKind::Row, "its row has to be written");
        assert!(!entry.is_answered_by(page) && entry.is_answered_by(later));
    }

    #[test]
    fn every_fourth_turn_is_that_of_the_longest_overdue() {
        let mut schedule = Schedule::default();
        // The oldest invoices have waited longest.
        for n in 0..8 {
            schedule.adopt(&row(n), 10 + u32::try_from(n).unwrap());
        }
        let turns = schedule.turns(100, 100);
        assert_eq!(ids(&schedule, &turns), [7, 6, 5, 0, 4, 3, 2, 1]);
        let some = schedule.turns(100, 5);
        assert_eq!(ids(&schedule, &some), [7, 6, 5, 0, 4]);
        schedule.used_turns(3);
        let later = schedule.turns(100, 1);
        assert_eq!(ids(&schedule, &later), [0], "the fourth turn");
    }

    #[test]
    fn orders_to_be_created_come_first_and_yet_starve_nobody() {
        let mut schedule = Schedule::default();
        for n in 0..8 {
            let requested = DueRow {
                order_id: None,
                status: Status::Requested,
                ..row(n)
            };
            schedule.adopt(&requested, 20);
        }
        for n in 100..102 {
            schedule.adopt(&row(n), 10);
        }
        let turns = schedule.turns(30, 9);
        assert_eq!(ids(&schedule, &turns), [7, 6, 5, 100, 4, 3, 2, 101, 1]);
    }

    #[test]
    fn an_invoice_whose_order_was_learned_meanwhile_leaves_no_entry_behind() {
        let mut schedule = Schedule::default();
        let followed = DueRow {
            order_id: None,
            ..row(1)
        };
        let slot = schedule.adopt(&followed, 0).unwrap();
        let turns = schedule.take_turns(&[slot]);
        assert_eq!(turns, [(slot, InvoiceId(1))]);
        let known = invoice(&row(1));
        assert!(schedule.follow(slot, &known, 0), "it has another name now");
        assert_eq!(schedule.slot_in_list("77", Some("E1")).0, None);
        let renamed = schedule.slot_of(&known).unwrap();
        schedule.release(renamed, true);
        assert!(schedule.is_caught_up() && schedule.count_due(10) == 0);

        let slot = schedule.adopt(&followed, 0);
        assert!(slot.is_some());
        schedule.forget_old_name(&known);
        assert_eq!(schedule.count_due(10), 0);
    }

    fn invoice(row: &DueRow) -> Invoice {
        let mut facts = Facts::bare(row.status);
        facts.order_id.clone_from(&row.order_id);
        facts.amount.clone_from(&row.amount);
        Invoice {
            id: row.id,
            account: "default".into(),
            external_id: row.external_id.clone(),
            wish: Wish::default(),
            facts,
            transactions: Vec::new(),
            schedule: PollPlan::default(),
            version: 0,
            metadata: None,
            created_at: row.created_at,
            updated_at: row.created_at,
        }
    }

    #[test]
    fn those_that_fail_come_after_the_others_and_yet_have_their_turns() {
        let mut schedule = Schedule::default();
        for n in 0..8 {
            let failing = DueRow {
                fails: n > 3,
                ..row(n)
            };
            schedule.adopt(&failing, if n == 6 { 10 } else { 20 });
        }
        let turns = schedule.turns(30, 8);
        assert_eq!(ids(&schedule, &turns), [3, 2, 1, 6, 0, 7, 5, 4]);
    }

    #[test]
    fn an_order_that_the_shop_made_is_found_by_its_external_id() {
        let mut schedule = Schedule::default();
        let followed = DueRow {
            order_id: None,
            ..row(1)
        };
        let slot = schedule.adopt(&followed, 0);
        assert_eq!(schedule.slot_in_list("77", Some("E1")).0, slot);
        assert_eq!(schedule.slot_in_list("77", Some("E2")).0, None);
        assert_eq!(schedule.slot_of_order("1"), None);
    }
}
