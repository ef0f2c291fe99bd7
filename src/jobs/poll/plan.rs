//! Passes due entries to the planner in the order of their turns.

use std::sync::Arc;

use super::page::lock;
use super::poller::Poller;
use super::schedule::{Entry, EntryKind, tick};
use crate::domain::planner::cover::By;

impl Poller {
    pub(super) fn plan_requests(&mut self) {
        let shapes = self.shapes();
        let now = self.setup.clock.monotonic();
        let wall = self.setup.clock.now();
        let shared = Arc::clone(&self.shared);
        let schedule = &mut lock(&shared).schedule;
        let count = schedule.count_due(tick(now));
        if count == 0 {
            self.planner.clear();
            self.spans.clear_due();
            return;
        }
        // A page covers more entries if all due entries are known first.
        let waits_for_more = self.queue.has_more() && shapes.page_limit > 0;
        if waits_for_more || !self.planner.wants_plan(count, now) {
            return;
        }
        let most = self.planner.most_planned();
        let mut due = if self.requests.ledger.is_some() {
            // A reading of the ledger polls all others.
            schedule.turns_of(tick(now), most, |entry| entry.kind == EntryKind::Create)
        } else if self.planner.sweeps(count, now) {
            let is_alone = |e: &Entry| e.candidate(shapes).by == By::Alone;
            let alone = schedule.turns_of(tick(now), most, is_alone);
            if self.planner.is_sweeping() {
                self.planner.plan_beside_sweep(&alone, now, count);
                return;
            }
            // Then the entries that no page shows, in the order of their turns.
            let mut due = schedule.due_slots(tick(now)).to_vec();
            due.retain(|slot| schedule.entry(*slot).is_some_and(|e| !is_alone(e)));
            due.splice(..0, alone);
            due
        } else {
            schedule.turns(tick(now), most)
        };
        due.retain(|slot| {
            // After its expiry, a list that still shows the order open is not trusted.
            let may_wait = schedule.entry(*slot).filter(|e| e.may_be_watched(wall));
            let position = may_wait.and_then(Entry::position);
            let until = position.and_then(|at| self.planner.watched_until(at, now));
            if let Some(until) = until {
                schedule.postpone(*slot, tick(until));
            }
            until.is_none()
        });
        let due = self.plan_spans(due, schedule, now);
        let view = |slot| Some(schedule.entry(slot)?.candidate(shapes));
        self.planner.plan(&due, &view, now, count);
    }
}
