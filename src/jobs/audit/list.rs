//! The list, read page by page within the account's budget.

use std::collections::HashSet;
use std::time::Duration;

use super::{Audit, AuditError, AuditProgress, TRIES};
use crate::domain::list_reading::ListReading;
use crate::domain::observation::ObservedOrder;
use crate::limit::{Permit, StopReason};
use crate::provider::{ListItem, ListOrders, PageVisitor, ProviderError};
use crate::retry::Waits;

/// A stopped account is waited for so long: two of its rarest probes.
const PATIENCE: Duration = Duration::from_mins(10);
/// Between two tries to get a permit.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

impl Audit {
    /// Reads page by page until the list is known to be read whole.
    pub(super) async fn read_list(&self, reading: &mut AuditProgress) -> Result<(), AuditError> {
        let orders = self.orders().map_err(|why| self.no_list(why))?;
        let limit = orders.page_limit();
        let mut list = ListReading::new(self.count(orders).await?);
        let mut last_page = HashSet::new();
        while let Some(offset) = list.next() {
            let asked_at = self.clock.now();
            let page = self.page(offset, limit).await?;
            let ids = || page.iter().map(|order| order.order_id.0.clone());
            list.learn(page.len() as u64, ids().any(|id| !last_page.contains(&id)));
            last_page = ids().collect();
            reading.orders = list.orders();
            self.compare_page(page, asked_at, reading).await?;
        }
        Ok(())
    }

    /// How many orders there are; None where the provider does not tell: then only a page behind the
    /// last order shows that there are no more.
    async fn count(&self, orders: &dyn ListOrders) -> Result<Option<u64>, AuditError> {
        let permit = self.turn().await.map_err(|why| self.no_list(why))?;
        let outcome = orders.count().await;
        let settled = outcome.as_ref().map(|_| ());
        let now = self.clock.monotonic();
        self.limiter.lock().settle(&permit, settled, now);
        Ok(outcome.ok())
    }

    /// One page, within the budget, tried again when it could not be read.
    async fn page(&self, offset: u64, limit: u32) -> Result<Vec<ObservedOrder>, AuditError> {
        let mut waits = Waits::new(Duration::from_secs(1), 2.0, Duration::from_secs(30));
        for attempt in 1.. {
            let permit = self.turn().await.map_err(|why| self.no_list(why))?;
            let error = match self.ask(&permit, offset, limit).await {
                Ok(items) => return Ok(items),
                Err(error) => error,
            };
            if attempt >= TRIES || matches!(error, ProviderError::KeyRefused(_)) {
                return Err(self.no_list(error));
            }
            self.clock.sleep(waits.next_wait()).await;
        }
        unreachable!("the loop ends by return")
    }

    fn no_list(&self, error: ProviderError) -> AuditError {
        let account = self.account.clone();
        AuditError::ProviderError { account, error }
    }

    fn orders(&self) -> Result<&dyn ListOrders, ProviderError> {
        let none = || ProviderError::Refused("account has no order list".into());
        self.provider.lists().ok_or_else(none)
    }

    async fn ask(
        &self,
        permit: &Permit,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<ObservedOrder>, ProviderError> {
        let mut all = All(Vec::new());
        let outcome = self.orders()?.page(offset, limit, &mut all).await;
        let settled = outcome.as_ref().map(|_| ());
        let now = self.clock.monotonic();
        self.limiter.lock().settle(permit, settled, now);
        outcome.map(|_| all.0)
    }

    /// Waits twice as long as the rate asks for, so that half is left to others, then for a permit.
    /// While the account is stopped its poller probes it; that is waited for, but not for ever.
    async fn turn(&self) -> Result<Permit, ProviderError> {
        if let Some(rate) = self.rate() {
            let pause = Duration::from_secs_f64(2.0 / rate.max(0.01));
            self.clock.sleep(pause).await;
        }
        let reservation = self.limiter.reserve();
        let mut patience = PATIENCE;
        loop {
            let wait = match reservation.take(self.clock.monotonic()) {
                Ok(permit) => return Ok(permit),
                Err(wait) => wait.unwrap_or_default().max(SHORTEST_WAIT),
            };
            if let Some((reason, cause)) = self.stop() {
                if patience.is_zero() {
                    return Err(match reason {
                        StopReason::KeyRefused => ProviderError::KeyRefused(cause),
                        StopReason::Failing => ProviderError::Unreachable(cause),
                    });
                }
                patience = patience.saturating_sub(wait);
            }
            self.clock.sleep(wait).await;
        }
    }

    fn rate(&self) -> Option<f64> {
        self.limiter.lock().rate()
    }

    fn stop(&self) -> Option<(StopReason, String)> {
        let limiter = self.limiter.lock();
        limiter
            .stop_reason()
            .map(|reason| (reason, limiter.cause().to_owned()))
    }
}

/// Takes every item.
struct All(Vec<ObservedOrder>);

impl PageVisitor for All {
    fn wants(&mut self, _: &ListItem<'_>) -> bool {
        true
    }

    fn take(&mut self, _: u64, observed: ObservedOrder) {
        self.0.push(observed);
    }
}
