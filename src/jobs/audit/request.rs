//! Requests of an audit: within half of the account's budget, tried again when they fail.

use std::time::Duration;

use super::{Audit, AuditError, TRIES};
use crate::limit::{Permit, StopReason};
use crate::provider::ProviderError;
use crate::retry::Waits;

/// A stopped account is waited for so long: two of its rarest probes.
const PATIENCE: Duration = Duration::from_mins(10);
/// Between two tries to get a permit.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

impl Audit {
    /// Makes a request until it is answered, within the budget.
    pub(super) async fn request<T, F>(&self, ask: impl Fn() -> F) -> Result<T, AuditError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let mut waits = Waits::new(Duration::from_secs(1), 2.0, Duration::from_secs(30));
        for attempt in 1.. {
            let error = match self.try_request(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt >= TRIES || matches!(error, ProviderError::KeyRefused(_)) {
                return Err(self.unreadable(error));
            }
            self.clock.sleep(waits.next_wait()).await;
        }
        unreachable!("the loop ends by return")
    }

    /// Makes a request once, within the budget.
    pub(super) async fn try_request<T, F>(&self, ask: &impl Fn() -> F) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let permit = self.turn().await?;
        let outcome = ask().await;
        let settled = outcome.as_ref().map(|_| ());
        let now = self.clock.monotonic();
        self.limiter.lock().settle(&permit, settled, now);
        outcome
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
