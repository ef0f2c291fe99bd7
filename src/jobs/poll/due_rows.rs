//! Adds due rows from the queue to the schedule.

use std::sync::Arc;
use std::time::Duration;

use super::page::lock;
use super::poller::Poller;
use super::schedule::tick;
use crate::domain::listing::Positions;
use crate::store::{DueRow, ListBeginning, StoreError};

/// After a start, payments recorded without amounts are completed if they are not older than this
/// and not more than this many; the audit completes the rest.
const COMPLETED_WITHIN: Duration = Duration::from_hours(24);
const LACKING_MOST: u32 = 500;
/// Minimum pause between reads where every poll writes its row anyway, so that waiting for more due
/// rows saves nothing.
const SHORTEST_REST: Duration = Duration::from_millis(5);

impl Poller {
    /// Reads rows that became due. Returns whether the database was read.
    pub(super) async fn read_due_rows(&mut self) -> Result<bool, StoreError> {
        let now = self.setup.clock.monotonic();
        if !self.queue.is_due(now) {
            return Ok(false);
        }
        let (store, account) = (self.setup.store.as_ref(), &self.setup.account);
        let wall = self.pass.once.unwrap_or_else(|| self.setup.clock.now());
        let takes_new = self.pass.once.is_none();
        if takes_new {
            self.queue.step_back(wall, now);
        }
        let taken = self.queue.read(store, account, wall, takes_new).await?;
        self.adopt_rows(&taken.rows, now);
        if let Some(beginning) = taken.beginning {
            self.restore_list_state(beginning).await?;
        }
        if !self.queue.has_more() {
            let (store, account) = (self.setup.store.as_ref(), &self.setup.account);
            let at_least = if self.shapes().page_limit > 0 {
                self.setup.settings.intake_interval
            } else {
                SHORTEST_REST
            };
            let rest = self
                .queue
                .rest_until_next_plan(store, account, wall, (now, at_least));
            rest.await?;
        }
        Ok(true)
    }

    /// Restores what the previous run knew of the list, and the payments that it recorded without
    /// amounts.
    async fn restore_list_state(&mut self, beginning: ListBeginning) -> Result<(), StoreError> {
        let text = beginning.positions.unwrap_or_default();
        self.spans.restore(&text);
        if let Some(ledger) = &mut self.requests.ledger {
            ledger.restore(&text);
        }
        self.plan_ledger_watch();
        if self.shapes().page_limit == 0 {
            return Ok(());
        }
        self.planner.listing.positions = Positions::parse(&text);
        let lately = self.setup.clock.now().minus(COMPLETED_WITHIN);
        let (store, account) = (&self.setup.store, &self.setup.account);
        let lacking = store.without_amounts(account, lately, LACKING_MOST).await?;
        let now = self.setup.clock.monotonic();
        for (order, created_at) in lacking {
            self.planner
                .want_details(&order.0, Some(created_at), None, now);
        }
        Ok(())
    }

    fn adopt_rows(&mut self, rows: &[DueRow], now: Duration) {
        let shared = Arc::clone(&self.shared);
        let mut shared = lock(&shared);
        let mut orders_to_come = false;
        for row in rows {
            if row.is_nudged() || row.polled_at.is_none() {
                self.planner.expect_urgent();
            }
            let Some(slot) = shared.schedule.adopt(row, tick(now)) else {
                continue;
            };
            let Some(order_id) = &row.order_id else {
                if let Some(ledger) = &mut self.requests.ledger {
                    ledger.check_new(row.id);
                }
                orders_to_come = true;
                continue;
            };
            // If a page showed it recently: its next page compares it again.
            if let Some(position) = shared.forget_seen(&order_id.0) {
                shared.schedule.set_place(slot, position);
            }
        }
        if orders_to_come {
            // An order seen before may belong to them: the list shows it by their external id.
            shared.forget_all_seen();
        }
    }

    /// Reads again in `wait`, because something is due then; a longer pause ends early if the
    /// database is available.
    pub(super) fn read_again_in(&mut self, wait: Duration) {
        if !self.writer.database.is_failing() {
            let at = self.setup.clock.monotonic() + wait;
            self.queue.read_again_at(at);
        }
    }

    /// The number of due entries.
    pub(super) fn count_due_now(&self) -> u64 {
        let now = tick(self.setup.clock.monotonic());
        lock(&self.shared).schedule.count_due(now) as u64
    }
}
