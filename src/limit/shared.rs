//! One limiter for all who ask in an account's name: the poller all day, the audit at night.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limiter::{Limiter, Permit};
use super::rate::Limits;

/// A shared `Limiter`.
#[derive(Clone, Debug)]
pub struct SharedLimiter(Arc<Mutex<Limiter>>);

impl SharedLimiter {
    /// Nothing is under way, and the bucket is full.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self(Arc::new(Mutex::new(Limiter::new(limits, now))))
    }

    /// Nothing is under way, and the bucket is empty.
    pub fn empty(limits: Limits, now: Duration) -> Self {
        Self(Arc::new(Mutex::new(Limiter::empty(limits, now))))
    }

    /// The limiter itself. Not to be held over an `await`.
    pub fn lock(&self) -> MutexGuard<'_, Limiter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a permit for one who asks seldom, and would else wait for ever beside a busy poller.
    pub fn reserve(&self) -> Reservation {
        self.lock().reserved = true;
        Reservation {
            limiter: self.clone(),
        }
    }
}

/// The next permit, unless the account is stopped: probes are the poller's. Ends when dropped.
#[derive(Debug)]
pub struct Reservation {
    limiter: SharedLimiter,
}

impl Reservation {
    /// As `Limiter::take`.
    pub fn take(&self, now: Duration) -> Result<Permit, Option<Duration>> {
        self.limiter.lock().take_leaving(0, now)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.limiter.lock().reserved = false;
    }
}
