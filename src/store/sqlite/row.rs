//! Rows of `invoices` to values and back.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::domain::invoice::{
    AccountName, ExternalId, Facts, Invoice, InvoiceId, OrderId, Schedule, Wish,
};
use crate::domain::money::Money;
use crate::domain::sighting::Payment;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::StoreError;

/// The columns `invoice` reads, in its order.
macro_rules! invoice_columns {
    () => {
        "id, account, external_id, description, timeout_seconds, options, metadata, \
         status, reason, order_id, amount, currency, provider_status, order_number, \
         pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency, \
         fee_amount, net_amount, exchange_rate, create_sent_at, ended_at, not_found_since, \
         version, created_at, updated_at, next_poll_at, last_polled_at, polls, failures, last_error"
    };
}
pub(super) use invoice_columns;

/// Reads one invoice from a row of `invoice_columns!()`.
pub(super) fn invoice(row: &SqliteRow) -> Result<Invoice, StoreError> {
    let mut cells = Cells { row, next: 0 };
    let id = InvoiceId(cells.number()?.unwrap_or_default());
    let invoice = Invoice {
        id,
        account: AccountName(cells.text()?.unwrap_or_default()),
        external_id: ExternalId(cells.text()?.unwrap_or_default()),
        wish: Wish {
            description: cells.text()?,
            timeout_s: cells.number()?.unwrap_or_default(),
            options: cells.text()?,
        },
        metadata: cells.text()?,
        facts: facts(&mut cells, id)?,
        version: cells.number()?.unwrap_or_default(),
        created_at: UnixMillis(cells.number()?.unwrap_or_default()),
        updated_at: UnixMillis(cells.number()?.unwrap_or_default()),
        schedule: Schedule {
            next_poll_at: cells.time()?,
            last_polled_at: cells.time()?,
            polls: cells.number()?.unwrap_or_default(),
            failures: cells.number()?.unwrap_or_default(),
            last_error: cells.text()?,
        },
    };
    Ok(invoice)
}

fn facts(cells: &mut Cells<'_>, id: InvoiceId) -> Result<Facts, StoreError> {
    let word = cells.text()?.unwrap_or_default();
    let status = Status::parse(&word).ok_or_else(|| {
        StoreError::Unusable(format!("invoices.status of {id}: '{word}' is no status"))
    })?;
    let reason = cells.text()?;
    let order_id = cells.text()?.map(OrderId);
    let (amount, currency) = (cells.text()?, cells.text()?);
    Ok(Facts {
        status,
        reason,
        order_id,
        amount: amount
            .zip(currency)
            .map(|(value, currency)| Money { value, currency }),
        provider_status: cells.text()?,
        order_number: cells.text()?,
        pay_link: cells.text()?,
        direct_pay_link: cells.text()?,
        expires_at: cells.time()?,
        paid_at: cells.time()?,
        payment: Payment {
            value: cells.text()?,
            currency: cells.text()?,
            fee: cells.text()?,
            net: cells.text()?,
            exchange_rate: cells.text()?,
        },
        create_sent_at: cells.time()?,
        ended_at: cells.time()?,
        not_found_since: cells.time()?,
    })
}

/// The cells of a row, one after the other.
pub(super) struct Cells<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(super) fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    /// From the column of this index on.
    pub(super) fn from_column(row: &'r SqliteRow, next: usize) -> Self {
        Self { row, next }
    }

    /// A text cell. Programs can store bytes that are no UTF-8; those are replaced, so that one odd
    /// row never stops the others.
    pub(super) fn text(&mut self) -> Result<Option<String>, StoreError> {
        let bytes: Option<Vec<u8>> = self.row.try_get_unchecked(self.step())?;
        Ok(bytes.map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    }

    pub(super) fn number(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(self.row.try_get_unchecked(self.step())?)
    }

    pub(super) fn time(&mut self) -> Result<Option<UnixMillis>, StoreError> {
        Ok(self.number()?.map(UnixMillis))
    }

    fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }
}
