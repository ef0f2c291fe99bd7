//! Asks which refunds make up the sum that an order says was returned.

use crate::clock::Clock;
use crate::domain::observation::ObservedOrder;
use crate::limit::SharedLimiter;
use crate::provider::{Provider, ProviderError};

/// Replaces the sum returned that `observed` tells by the refunds that make it up, with one more
/// request.
pub(super) async fn itemize(
    provider: &dyn Provider,
    limiter: &SharedLimiter,
    clock: &dyn Clock,
    observed: &mut ObservedOrder,
) -> Result<(), ProviderError> {
    let Some(list) = provider.lists_refunds() else {
        return Ok(());
    };
    let money = &mut observed.money;
    if money.sums.refunded.is_none() || !money.transactions.is_empty() {
        return Ok(());
    }
    limiter.lock().charge(clock.monotonic());
    money.transactions = list.refunds_of(&observed.order_id).await?;
    // Added up from the refunds, so that none is told twice: once by the sum, once by its id.
    money.sums.refunded = None;
    Ok(())
}
