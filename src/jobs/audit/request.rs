//! Requests of an audit: within half of the account's budget, tried again when they fail.

use std::time::Duration;

use super::budget::{LoanObstacle, PATIENCE};
use super::{Audit, AuditError, TRIES};
use crate::limit::{Permit, StopReason};
use crate::provider::ProviderError;
use crate::retry::Waits;

/// Between two tries to get a permit.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
/// Between two looks at what the daemon lends.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl Audit {
    /// Makes a request until it is answered, within the budget.
    pub(super) async fn request<T, F>(&self, ask: impl Fn() -> F) -> Result<T, AuditError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let mut waits = Waits::new(Duration::from_secs(1), 2.0, Duration::from_secs(30));
        for attempt in 1.. {
            let error = match self.try_request(&ask).await? {
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
    pub(super) async fn try_request<T, F>(
        &self,
        ask: &impl Fn() -> F,
    ) -> Result<Result<T, ProviderError>, AuditError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let permit = self.turn().await?;
        let outcome = ask().await;
        let settled = outcome.as_ref().map(|_| ());
        let now = self.clock.monotonic();
        self.limiter.lock().settle(&permit, settled, now);
        if let (Err(error), Some(borrowed)) = (&outcome, &self.borrowed) {
            borrowed.tell_of(error).await;
        }
        Ok(outcome)
    }

    /// Waits for a permit. Of a shared budget it waits twice as long as the rate asks for, so that half
    /// is left to others; a borrowed one is that half. While the account is stopped its poller probes
    /// it; that is waited for, but not for ever.
    async fn turn(&self) -> Result<Permit, AuditError> {
        if self.borrowed.is_none()
            && let Some(rate) = self.rate()
        {
            let pause = Duration::from_secs_f64(2.0 / rate.max(0.01));
            self.clock.sleep(pause).await;
        }
        let reservation = self.limiter.reserve();
        let mut waited = Duration::ZERO;
        loop {
            self.await_loan().await?;
            let wait = match reservation.take(self.clock.monotonic()) {
                Ok(permit) => return Ok(permit),
                Err(wait) => wait.unwrap_or_default().max(SHORTEST_WAIT),
            };
            if let Some((reason, cause)) = self.stop() {
                if waited >= PATIENCE {
                    return Err(self.unreadable(match reason {
                        StopReason::KeyRefused => ProviderError::KeyRefused(cause),
                        StopReason::Failing => ProviderError::Unreachable(cause),
                    }));
                }
                waited += wait;
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Waits until the daemon has lent a part of the budget, and makes requests itself.
    async fn await_loan(&self) -> Result<(), AuditError> {
        let Some(borrowed) = &self.borrowed else {
            return Ok(());
        };
        let mut waited = Duration::ZERO;
        while let Some(obstacle) = borrowed.obstacle().await? {
            borrowed.report(&obstacle);
            if waited >= obstacle.patience() {
                return Err(obstacle.into_error(&self.account));
            }
            let wait = match obstacle {
                LoanObstacle::Held(wait) => wait.max(SHORTEST_WAIT),
                LoanObstacle::Stopped { .. }
                | LoanObstacle::NotLent
                | LoanObstacle::NothingToLend => ASK_AGAIN,
            };
            waited = waited.saturating_add(wait);
            self.clock.sleep(wait).await;
        }
        Ok(())
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
