//! One gate for all who ask in an account's name: the poller all day, the audit at night.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Limits, Permit, Throttle};

/// A shared `Throttle`.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<Throttle>>);

impl Gate {
    /// A gate that stands open, its bucket full.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self(Arc::new(Mutex::new(Throttle::new(limits, now))))
    }

    /// The gate itself. Not to be held over an `await`.
    pub fn lock(&self) -> MutexGuard<'_, Throttle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a permit for one who asks seldom, and would else wait for ever beside a busy poller.
    pub fn reserve(&self) -> Reservation {
        self.lock().reserved = true;
        Reservation { gate: self.clone() }
    }
}

/// The next permit, unless the account is stopped: probes are the poller's. Ends when dropped.
#[derive(Debug)]
pub struct Reservation {
    gate: Gate,
}

impl Reservation {
    /// As `Throttle::take`.
    pub fn take(&self, now: Duration) -> Result<Permit, Option<Duration>> {
        self.gate.lock().take_reserved(now)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.gate.lock().reserved = false;
    }
}
