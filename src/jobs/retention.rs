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
    /// Deletes all that may go. Returns events and invoices deleted. Both are tried, whatever
    /// becomes of the other; an error of either is the caller's.
    pub async fn run_once(&self) -> Result<(u64, u64), StoreError> {
        let outcomes = (
            self.delete(Rows::Events, self.outbox).await,
            self.delete(Rows::Invoices, self.invoices).await,
        );
        if let (Err(_), Err(error)) = &outcomes {
            tracing::warn!(%error, "old invoices could not be deleted either");
        }
        let (events, invoices) = (outcomes.0?, outcomes.1?);
        if events + invoices > 0 {
            tracing::info!(events, invoices, "old rows deleted");
        }
        Ok((events, invoices))
    }

    async fn delete(&self, rows: Rows, age: Option<Duration>) -> Result<u64, StoreError> {
        let Some(age) = age else { return Ok(0) };
        let before = self.clock.now().minus(age);
        let mut all = 0;
        loop {
            let deleted = match rows {
                Rows::Events => self.store.prune_outbox(before, ROWS_A_TURN).await?,
                Rows::Invoices => self.store.prune_invoices(before, ROWS_A_TURN).await?,
            };
            all += deleted;
            if deleted < u64::from(ROWS_A_TURN) {
                return Ok(all);
            }
            self.clock.sleep(PAUSE).await;
        }
    }
}

#[derive(Clone, Copy)]
enum Rows {
    Events,
    Invoices,
}
