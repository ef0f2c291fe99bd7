//! One turn of a poller: read what became due, judge what pages showed, plan, begin what the limits
//! allow, write.

use super::poller::Poller;
use crate::store::StoreError;

impl Poller {
    /// Does all that can be done now.
    pub(super) async fn run_turn(&mut self) {
        if let Err(error) = self.refresh().await {
            let again = self.writer.fail(&error);
            self.queue.wait_until(again);
        }
        self.launch_requests();
        self.start_commit();
    }

    async fn refresh(&mut self) -> Result<(), StoreError> {
        let has_unmatched = !self.unmatched.is_empty();
        let has_read = self.read_due_rows().await?;
        self.match_shown().await?;
        self.match_missing().await?;
        if has_read || has_unmatched {
            self.writer.recovered();
        }
        let now = self.setup.clock.monotonic();
        if self.writer.is_full() || self.writer.must_wait(now) {
            return Ok(());
        }
        self.plan_requests();
        if !self.writer.is_failing() {
            self.begin_list_request().await?;
        }
        self.begin_load();
        if self.writer.is_failing() && !self.requests.loader.is_loading() {
            self.writer.loaded();
        }
        Ok(())
    }
}
