//! Requests the refunds that make up the refunded sum of an order.

use crate::clock::Clock;
use crate::domain::observation::ObservedOrder;
use crate::limit::SharedLimiter;
use crate::provider::{Provider, ProviderError};

/// Whether an order reports a refunded sum without the refunds that make it up.
pub(super) fn needs_refunds(observed: &ObservedOrder) -> bool {
    let money = &observed.money;
    money.sums.refunded.is_some() && money.transactions.is_empty()
}

/// Replaces the refunded sum in `observed` by the individual refunds, with one more request.
pub(super) async fn itemize(
    provider: &dyn Provider,
    limiter: &SharedLimiter,
    clock: &dyn Clock,
    observed: &mut ObservedOrder,
) -> Result<(), ProviderError> {
    let Some(list) = provider.lists_refunds() else {
        return Ok(());
    };
    if !needs_refunds(observed) {
        return Ok(());
    }
    let money = &mut observed.money;
    limiter.lock().charge(clock.monotonic());
    money.transactions = list.refunds_of(&observed.order_id).await?;
    // The sum follows from the refunds, so that none is counted twice: by the sum and by its id.
    money.sums.refunded = None;
    Ok(())
}
