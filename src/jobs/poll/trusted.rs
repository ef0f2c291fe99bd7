//! Requests that wait until the account's lease is certain.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::limit::SharedLimiter;

/// How often it is checked whether the lease is certain again.
const CHECKED_EVERY: Duration = Duration::from_millis(250);

/// Makes a request once the lease is certainly held. A permit is taken earlier, and the process may be paused
/// in between: if the lease is lost meanwhile, the poller is aborted and the request is never made.
pub(super) async fn once_trusted<T>(
    limiter: SharedLimiter,
    clock: Arc<dyn Clock>,
    request: impl Future<Output = T>,
) -> T {
    while !is_trusted(&limiter, clock.as_ref()) {
        clock.sleep(CHECKED_EVERY).await;
    }
    request.await
}

fn is_trusted(limiter: &SharedLimiter, clock: &dyn Clock) -> bool {
    limiter.lock().is_trusted(clock.monotonic())
}
