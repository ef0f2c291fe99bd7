//! Rows in the form that stores read: a JSON array of cells for each row, so that the database's
//! library returns one value instead of forty.

use std::vec::IntoIter;

use super::account::failures_from_value;
use super::cell::CellValue;
use super::columns::invoice_of;
use super::transaction_columns::transaction_of;
use super::{AccountRecord, DueRow, HistoryEvent, ListRecord, StoreError};
use crate::domain::account::AccountState;
use crate::domain::audit::AuditRow;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::money::Money;
use crate::domain::observation::Sums;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// Reads one invoice, of `invoice_columns!()` and an array of its transactions as text.
pub(super) fn invoice(cells: &mut Cells) -> Result<Invoice, StoreError> {
    let mut invoice = invoice_of(|| cells.next())?;
    if let Some(array) = cells.text()?.filter(|array| array != "[]") {
        invoice.transactions = transactions(&array)?;
    }
    Ok(invoice)
}

/// Reads an array of transactions, each an array of cells.
fn transactions(array: &str) -> Result<Vec<Transaction>, StoreError> {
    let rows: Vec<Vec<CellValue>> =
        serde_json::from_str(array).map_err(|error| not_readable(&error))?;
    rows.into_iter()
        .map(|cells| transaction(&mut Cells::of(cells)))
        .collect()
}

/// Reads a transaction, of `transaction_columns!()`.
pub(super) fn transaction(cells: &mut Cells) -> Result<Transaction, StoreError> {
    transaction_of(|| cells.next())
}

fn not_readable(error: &serde_json::Error) -> StoreError {
    StoreError::Unusable(format!("a row: {error}"))
}

/// `[id, external id, order id, amount, currency, status, created, expiry, next poll, last polled,
/// unsettled, fails, has error]`
pub(super) fn due_row(cells: &mut Cells) -> Result<DueRow, StoreError> {
    let id = InvoiceId(cells.number()?.unwrap_or_default());
    let external_id = ExternalId(cells.text()?.unwrap_or_default());
    let order_id = cells.text()?.map(OrderId);
    let (amount, currency) = (cells.text()?, cells.text()?);
    Ok(DueRow {
        id,
        external_id,
        order_id,
        amount: amount
            .zip(currency)
            .map(|(value, currency)| Money { value, currency }),
        status: status(cells, id)?,
        created_at: cells.time()?.unwrap_or_default(),
        expiry: cells.time()?.unwrap_or_default(),
        next_poll_at: cells.time()?.unwrap_or_default(),
        polled_at: cells.time()?,
        unsettled: cells.number()? == Some(1),
        fails: cells.number()? == Some(1),
        has_error: cells.number()? == Some(1),
    })
}

/// `[id, external id, order id, status, provider's status, amount, currency, received, refunded,
/// refunded at, lacks details, created, updated]`
pub(super) fn audit_row(cells: &mut Cells) -> Result<AuditRow, StoreError> {
    let id = InvoiceId(cells.number()?.unwrap_or_default());
    let external_id = ExternalId(cells.text()?.unwrap_or_default());
    let order_id = cells.text()?.map(OrderId);
    let status = status(cells, id)?;
    let provider_status = cells.text()?;
    let (amount, currency) = (cells.text()?, cells.text()?);
    let in_currency = |value: Option<String>| {
        value
            .zip(currency.clone())
            .map(|(value, currency)| Money { value, currency })
    };
    Ok(AuditRow {
        id,
        external_id,
        order_id,
        status,
        provider_status,
        amount: in_currency(amount),
        sums: Sums {
            received: in_currency(cells.text()?),
            refunded: in_currency(cells.text()?),
            refunded_at: cells.time()?,
        },
        lacks_details: cells.number()? == Some(1),
        created_at: cells.time()?.unwrap_or_default(),
        updated_at: cells.time()?.unwrap_or_default(),
    })
}

/// `[name, provider, state, since, resume, last success, last failure, last error, total, floor,
/// positions, read at, read from, read to, caught up, failures and refused key]`
pub(super) fn account_record(cells: &mut Cells) -> Result<AccountRecord, StoreError> {
    let name = AccountName(cells.text()?.unwrap_or_default());
    let provider = cells.text()?.unwrap_or_default();
    let word = cells.text()?.unwrap_or_default();
    let state = AccountState::parse(&word).ok_or_else(|| {
        let what = format!("accounts.state of {name}: unknown state '{word}'");
        StoreError::Unusable(what)
    })?;
    let mut record = AccountRecord {
        name,
        provider,
        state,
        state_since: cells.time()?.unwrap_or_default(),
        resume_at: cells.time()?,
        last_success_at: cells.time()?,
        last_failure_at: cells.time()?,
        last_error: cells.text()?,
        list: ListRecord {
            total: cells.number()?,
            floor: cells.number()?,
            positions: cells.text()?,
            read_at: cells.time()?,
            read_from: cells.number()?,
            read_to: cells.number()?,
            caught_up_at: cells.time()?,
        },
        failures: None,
        is_key_refused: false,
    };
    let (failures, key_refused) = failures_from_value(cells.text()?.as_deref());
    record.failures = failures;
    // The state alone, in a record of an earlier version.
    record.is_key_refused = key_refused || state == AccountState::KeyRefused;
    Ok(record)
}

/// `[seq, event id, type, previous status, status, created, payload]`
pub(super) fn history_event(cells: &mut Cells) -> Result<HistoryEvent, StoreError> {
    Ok(HistoryEvent {
        seq: cells.number()?.unwrap_or_default(),
        event_id: cells.text()?.unwrap_or_default(),
        event_type: cells.text()?.unwrap_or_default(),
        previous_status: cells.text()?,
        status: cells.text()?,
        created_at: cells.time()?.unwrap_or_default(),
        payload: cells.text()?.unwrap_or_default(),
    })
}

fn status(cells: &mut Cells, id: InvoiceId) -> Result<Status, StoreError> {
    let word = cells.text()?.unwrap_or_default();
    Status::parse(&word).ok_or_else(|| {
        StoreError::Unusable(format!("invoices.status of {id}: unknown status '{word}'"))
    })
}

/// The cells of a row, in order.
pub(super) struct Cells {
    left: IntoIter<CellValue>,
}

impl Cells {
    pub(super) fn of(cells: Vec<CellValue>) -> Self {
        Self {
            left: cells.into_iter(),
        }
    }

    /// Parses an array. Invalid UTF-8 is replaced.
    pub(super) fn packed(bytes: &[u8]) -> Result<Self, StoreError> {
        let cells: Result<Vec<CellValue>, serde_json::Error> = match str::from_utf8(bytes) {
            Ok(array) => serde_json::from_str(array),
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(bytes)),
        };
        Ok(Self::of(cells.map_err(|error| not_readable(&error))?))
    }

    pub(super) fn text(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.next()?.text())
    }

    pub(super) fn number(&mut self) -> Result<Option<i64>, StoreError> {
        let cell = self.next()?;
        cell.number()
            .map_err(|why| StoreError::Unusable(format!("a row has {why}")))
    }

    pub(super) fn time(&mut self) -> Result<Option<UnixMillis>, StoreError> {
        Ok(self.number()?.map(UnixMillis))
    }

    fn next(&mut self) -> Result<CellValue, StoreError> {
        self.left
            .next()
            .ok_or_else(|| StoreError::Unusable("row with missing columns".into()))
    }
}
