//! What the last owner of an account left to the next one.

use std::time::Duration;

use futures::future::try_join;

use crate::clock::Clock;
use crate::domain::invoice::AccountName;
use crate::jobs::lending::LONGEST_LOAN;
use crate::limit::{Limiter, Limits};
use crate::store::{Store, StoreError};

/// Read under a new lease, before the first request.
pub(super) struct PriorState {
    /// Why the provider refused the key.
    refused_key: Option<String>,
    /// What is left of a wait that the provider asked for.
    wait: Option<Duration>,
    /// What is left of a loan of a part of the rate limit to another process.
    loan: Duration,
}

impl PriorState {
    pub(super) async fn read(
        store: &dyn Store,
        account: &AccountName,
        clock: &dyn Clock,
    ) -> Result<Self, StoreError> {
        let (record, lent_until) =
            try_join(store.account(account), store.budget_grant(account)).await?;
        let now = clock.now();
        let refused = record.as_ref().filter(|record| record.is_key_refused);
        Ok(Self {
            refused_key: refused.map(|record| record.last_error.clone().unwrap_or_default()),
            wait: record
                .and_then(|record| record.resume_at)
                .map(|at| at.since(now)),
            loan: lent_until.map_or(Duration::ZERO, |until| until.since(now)),
        })
    }

    pub(super) fn apply(self, limiter: &mut Limiter, limits: Limits, now: Duration) {
        limiter.take_over(limits, self.refused_key, self.wait, now);
        if limits.can_lend() {
            limiter.lend_until(now.saturating_add(self.loan.min(LONGEST_LOAN)), now);
        }
    }
}
