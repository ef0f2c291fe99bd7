//! Retention: deletes events that every consumer has acknowledged, final invoices, and transactions
//! that belong to no invoice, once they are old enough. In turns, so that nobody waits for a long
//! write.

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
    /// Transactions of no invoice stay so long; None = for ever.
    pub transactions: Option<Duration>,
}

/// Rows deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Of the outbox.
    pub events: u64,
    /// With their transactions.
    pub invoices: u64,
    /// Of no invoice.
    pub transactions: u64,
}

impl Retention {
    /// Deletes all that may go. Each kind is tried, whatever becomes of the others; an error of any
    /// is the caller's.
    pub async fn run_once(&self) -> Result<Deleted, StoreError> {
        let events = self.delete(RowKind::Events, self.outbox).await;
        let invoices = self.delete(RowKind::Invoices, self.invoices).await;
        let transactions = self.delete(RowKind::Transactions, self.transactions).await;
        if events.is_err() {
            for error in [&invoices, &transactions]
                .into_iter()
                .filter_map(|r| r.as_ref().err())
            {
                tracing::warn!(%error, "other old rows could not be deleted");
            }
        }
        let deleted = Deleted {
            events: events?,
            invoices: invoices?,
            transactions: transactions?,
        };
        if deleted != Deleted::default() {
            let Deleted {
                events,
                invoices,
                transactions,
            } = deleted;
            tracing::info!(events, invoices, transactions, "old rows deleted");
        }
        Ok(deleted)
    }

    async fn delete(&self, rows: RowKind, age: Option<Duration>) -> Result<u64, StoreError> {
        let Some(age) = age else { return Ok(0) };
        let before = self.clock.now().minus(age);
        let mut all = 0;
        loop {
            let deleted = match rows {
                RowKind::Events => self.store.prune_outbox(before, ROWS_A_TURN).await?,
                RowKind::Invoices => self.store.prune_invoices(before, ROWS_A_TURN).await?,
                RowKind::Transactions => self.store.prune_transactions(before, ROWS_A_TURN).await?,
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
enum RowKind {
    Events,
    Invoices,
    Transactions,
}
