//! Retention: deletes events that every consumer has acknowledged, final invoices, and transactions
//! without an invoice, once they are old enough. Short transactions keep other writers from
//! waiting.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// Rows deleted in one transaction.
const ROWS_PER_TRANSACTION: u32 = 2000;
/// Pause between two transactions, for other writers.
const PAUSE: Duration = Duration::from_millis(20);

/// The retention task.
pub struct Retention {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Minimum age of events to be deleted; None = keep forever.
    pub outbox: Option<Duration>,
    /// Age of final invoices to be deleted; None = keep forever.
    pub invoices: Option<Duration>,
    /// Age of transactions without an invoice to be deleted; None = keep forever.
    pub transactions: Option<Duration>,
}

/// Numbers of deleted rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Rows of the outbox.
    pub events: u64,
    /// Invoices, with their transactions.
    pub invoices: u64,
    /// Transactions without an invoice.
    pub transactions: u64,
}

impl Retention {
    /// Deletes everything old enough. Each kind is tried even if another one fails; then the error
    /// is returned.
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
                RowKind::Events => {
                    self.store
                        .prune_outbox(before, ROWS_PER_TRANSACTION)
                        .await?
                }
                RowKind::Invoices => {
                    self.store
                        .prune_invoices(before, ROWS_PER_TRANSACTION)
                        .await?
                }
                RowKind::Transactions => {
                    self.store
                        .prune_transactions(before, ROWS_PER_TRANSACTION)
                        .await?
                }
            };
            all += deleted;
            if deleted < u64::from(ROWS_PER_TRANSACTION) {
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
