//! Where several daemons share a database, its clock is the clock of all: a daemon whose own one is wrong
//! would poll new invoices too late, and write wrong times.

use std::sync::Arc;

use crate::clock::{Clock as _, CorrectedClock};
use crate::store::{Leases, StoreError};

/// A correction from this on is logged: smaller ones are those of any two clocks.
const TOLD_FROM_MS: u64 = 1000;

/// Corrects a clock by the database's.
pub struct DatabaseClock {
    leases: Option<Arc<dyn Leases>>,
    clock: Arc<CorrectedClock>,
}

impl DatabaseClock {
    /// For a database; one without leases is on this machine, and its clock is the same.
    pub fn new(leases: Option<Arc<dyn Leases>>, clock: Arc<CorrectedClock>) -> Self {
        Self { leases, clock }
    }

    /// One correction.
    ///
    /// # Errors
    /// If the database cannot be used; then the clock stays as it is.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let Some(leases) = &self.leases else {
            return Ok(());
        };
        let asked = self.clock.monotonic();
        let shown = leases.now().await?;
        let changed_ms = self.clock.correct(asked, shown);
        if changed_ms.unsigned_abs() >= TOLD_FROM_MS {
            tracing::warn!(
                changed_ms,
                "clock differs from the database's, which is used; set the machine's clock"
            );
        }
        Ok(())
    }
}
