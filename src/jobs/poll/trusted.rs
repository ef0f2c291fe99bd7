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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::domain::time::UnixMillis;
    use crate::limit::Limits;

    const NOW: Duration = Duration::from_secs(7);

    /// No time passes.
    struct StoppedClock;

    #[async_trait]
    impl Clock for StoppedClock {
        fn now(&self) -> UnixMillis {
            UnixMillis(0)
        }

        fn monotonic(&self) -> Duration {
            NOW
        }

        async fn sleep(&self, _duration: Duration) {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a request begins whose lease is certain until then.
    fn begins(trusted_until: Duration) -> bool {
        let limits = Limits {
            requests_per_second: 0.0,
            burst: 1,
            max_in_flight: 1,
        };
        let limiter = SharedLimiter::new(limits, Duration::ZERO);
        limiter.lock().trust_until(trusted_until);
        let has_begun = AtomicBool::new(false);
        let request = async { has_begun.store(true, Ordering::Relaxed) };
        let request = once_trusted(limiter, Arc::new(StoppedClock), request);
        tokio::pin!(request);
        let waker = std::task::Waker::noop();
        let _ = request.poll(&mut std::task::Context::from_waker(waker));
        has_begun.load(Ordering::Relaxed)
    }

    #[test]
    fn a_request_begins_only_while_the_lease_is_certain() {
        assert!(begins(NOW + CHECKED_EVERY));
        assert!(!begins(NOW), "it was allowed, and then came a pause");
    }
}
