//! One limiter for all requests of an account: those of the poller and those of the audit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limiter::{Limiter, Permit};
use super::rate::Limits;

/// A shared `Limiter`.
#[derive(Clone, Debug)]
pub struct SharedLimiter(Arc<Mutex<Limiter>>);

impl SharedLimiter {
    /// A limiter with nothing in flight and a full bucket.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self(Arc::new(Mutex::new(Limiter::new(limits, now))))
    }

    /// A limiter with nothing in flight and an empty bucket.
    pub fn empty(limits: Limits, now: Duration) -> Self {
        Self(Arc::new(Mutex::new(Limiter::empty(limits, now))))
    }

    /// Locks the limiter. The guard must not be held over an `await`.
    pub fn lock(&self) -> MutexGuard<'_, Limiter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the next permit for a caller with few requests, which would otherwise never get one
    /// beside a busy poller.
    pub fn reserve(&self) -> Reservation {
        self.lock().reserved = true;
        Reservation {
            limiter: self.clone(),
        }
    }
}

/// A claim to the next permit, unless the account is stopped: probes are the poller's. Ends when
/// dropped.
#[derive(Debug)]
pub struct Reservation {
    limiter: SharedLimiter,
}

impl Reservation {
    /// Like `Limiter::take`.
    pub fn take(&self, now: Duration) -> Result<Permit, Option<Duration>> {
        self.limiter.lock().take_leaving(0, now)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.limiter.lock().reserved = false;
    }
}
