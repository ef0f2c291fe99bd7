//! One turn of a poller: read due rows, judge what pages showed, plan, begin what the limits allow,
//! and write.

use super::poller::Poller;
use crate::store::StoreError;

impl Poller {
    /// Does everything that can be done now.
    pub(super) async fn run_turn(&mut self) {
        if let Err(error) = self.refresh().await {
            let now = self.setup.clock.monotonic();
            let again = self.writer.database.note_failure(&error, now);
            self.queue.wait_until(again);
        }
        self.launch_requests();
        self.start_commit();
    }

    async fn refresh(&mut self) -> Result<(), StoreError> {
        let has_unmatched = !self.unmatched.is_empty() || self.has_ledger_work();
        let has_read = self.read_due_rows().await?;
        self.match_shown().await?;
        self.match_missing().await?;
        self.match_refunds().await?;
        self.plan_covered().await?;
        self.work_on_ledger().await?;
        if has_read || has_unmatched {
            self.writer.note_success();
        }
        let now = self.setup.clock.monotonic();
        if self.writer.is_full() || self.writer.database.must_wait(now) {
            return Ok(());
        }
        self.plan_requests();
        if !self.writer.database.is_failing() {
            self.begin_list_request().await?;
            self.begin_span_request().await?;
            self.begin_ledger_request().await?;
        }
        if self.writer.database.is_failing() && self.has_nothing_to_load() {
            self.writer.database.note_load();
            self.writer.note_success();
        }
        self.begin_load();
        Ok(())
    }
}
