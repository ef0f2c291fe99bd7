//! What a database must do for payrecond. One method is one transaction, and no SQL type crosses.
//!
//! `Store` is what the daemon's jobs need, `Reports` what people and pages need, and `Database` an
//! open database, which is both. Only `DatabaseOptions` knows which database it is; no code outside
//! this module names it. Each implementation of `Store` joins the suite in
//! `tests/it/store/conformance.rs` with one line.

#[macro_use]
mod columns;
#[macro_use]
mod transaction_columns;

mod account;
mod cell;
mod copied_tables;
mod database;
mod feed_record;
mod jobs;
mod json_lists;
mod json_rows;
mod leases;
mod location;
mod overdue;
mod packed;
pub mod postgres;
mod reports;
mod rows;
pub mod sqlite;
mod takeover;

use std::path::Path;

pub use account::{AccountRecord, BudgetAsk, ListRecord};
pub use copied_tables::TakenOver;
pub use database::{
    ChangeWatch, Copied, Database, DatabaseOptions, LostRows, Migrated, Role, RoleHold,
};
pub use feed_record::{FeedFailure, FeedRecord};
pub use jobs::Store;
pub use leases::{Lease, Leases, Presence, process_name};
pub use location::{DatabaseLocation, ServerLocation};
pub use overdue::overdue_since;
pub use reports::{
    COUNTED_UP_TO, DetectTimes, HistoryEvent, InvoiceQuery, Lag, NewInvoice, OutboxEntry, Overdue,
    Overview, Reference, Reports,
};
pub use rows::{
    Consumer, DueRow, InsertPlace, LAG_ALARM, ListBeginning, QueuePlace, SeenTransaction,
    StoredEvent, Written,
};

/// Errors of a database, by what the caller should do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, full or unreadable at present: retry later.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// Invalid content, or not a payrecond database: a person must act.
    #[error("{0}")]
    Unusable(String),
    /// Other files or older content replaced the open database: exit, and start again with what is
    /// there now.
    #[error("{0}")]
    Replaced(String),
    /// Another daemon has taken over what the write was for: nothing was written.
    #[error("{0}")]
    LeaseLost(String),
}

impl StoreError {
    /// Adds the name of the database.
    pub(crate) fn at(self, place: impl AsRef<Path>) -> Self {
        let place = place.as_ref().display();
        match self {
            Self::Unavailable(text) => Self::Unavailable(format!("{place}: {text}")),
            Self::Unusable(text) => Self::Unusable(format!("{place}: {text}")),
            Self::Replaced(text) => Self::Replaced(text),
            Self::LeaseLost(text) => Self::LeaseLost(text),
        }
    }
}
