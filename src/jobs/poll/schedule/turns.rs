//! The order in which due entries are polled: fairness is implemented only here.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::{Entry, EntryKind, Schedule, Tick, Trust};

/// Every so many turns, one goes to the entry overdue for longest.
const OVERDUE_SHARE: usize = 4;

impl Schedule {
    /// The due entries in the order of their turns, up to `most` of them.
    pub(in crate::jobs::poll) fn turns(&mut self, now: Tick, most: usize) -> Vec<u32> {
        self.turns_of(now, most, |_| true)
    }

    /// Like `turns`, for the entries that satisfy `is_one`.
    pub(in crate::jobs::poll) fn turns_of(
        &mut self,
        now: Tick,
        most: usize,
        is_one: impl Fn(&Entry) -> bool,
    ) -> Vec<u32> {
        self.due_slots(now);
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
            // Enough from either end for every turn.
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

    /// Counts used turns.
    pub(in crate::jobs::poll) fn count_used_turns(&mut self, turns: usize) {
        self.turn = self.turn.wrapping_add(turns);
    }
}
