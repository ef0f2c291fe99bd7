//! Retention: deletes events that every consumer has acknowledged, and final invoices, once they
//! are old enough. In turns, so that nobody waits for a long write.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// Rows deleted in one transaction.
const ROWS_A_TURN: u32 = 2000;
/// Pause between two, for others who write.
const PAUSE: Duration = Duration::from_millis(20);

/// The duty.
pub struct Retention {
    /// Where.
    pub store: Arc<dyn Store>,
    /// By whose clock.
    pub clock: Arc<dyn Clock>,
    /// Events stay so long at least; None = for ever.
    pub outbox: Option<Duration>,
    /// Final invoices stay so long; None = for ever.
    pub invoices: Option<Duration>,
}

impl Retention {
    /// Deletes all that may go. Returns events and invoices deleted.
    pub async fn run_once(&self) -> Result<(u64, u64), StoreError> {
        let (mut events, mut invoices) = (0, 0);
        if let Some(age) = self.outbox {
            let before = self.clock.now().minus(age);
            loop {
                let deleted = self.store.prune_outbox(before, ROWS_A_TURN).await?;
                events += deleted;
                if deleted < u64::from(ROWS_A_TURN) {
                    break;
                }
                self.clock.sleep(PAUSE).await;
            }
        }
        if let Some(age) = self.invoices {
            let before = self.clock.now().minus(age);
            loop {
                let deleted = self.store.prune_invoices(before, ROWS_A_TURN).await?;
                invoices += deleted;
                if deleted < u64::from(ROWS_A_TURN) {
                    break;
                }
                self.clock.sleep(PAUSE).await;
            }
        }
        if events + invoices > 0 {
            tracing::info!(events, invoices, "old rows deleted");
        }
        Ok((events, invoices))
    }
}
