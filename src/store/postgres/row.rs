//! Converts rows of PostgreSQL to values. The first column of each is an array of cells.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::domain::invoice::Invoice;
use crate::store::packed::{self, Cells};
use crate::store::{DueRow, StoreError};

/// The only column that `invoice` reads, of the table `i`.
macro_rules! packed_invoice {
    () => {
        concat!(
            "json_build_array(",
            invoice_columns!(),
            "(SELECT json_agg(json_build_array(",
            transaction_columns!(),
            "seen_at) ORDER BY happened_at, transaction_id) \
                FROM payrecond.transactions WHERE invoice_id = i.id)::text)::text"
        )
    };
}
pub(super) use packed_invoice;

/// The only column that `due_row` reads, of the table `i`.
macro_rules! packed_due_row {
    () => {
        "json_build_array(i.id, i.external_id, i.order_id, i.amount, i.currency, i.status, \
         i.created_at, coalesce(i.expires_at, i.created_at + i.timeout_seconds::bigint * 1000), \
         i.next_poll_at, i.last_polled_at, \
         (i.reason IS NOT NULL OR i.failures <> 0 OR i.not_found_since IS NOT NULL)::int, \
         (i.failures <> 0)::int, (i.last_error IS NOT NULL)::int)::text"
    };
}
pub(super) use packed_due_row;

/// The cells packed in the first column.
pub(super) fn cells(row: &PgRow) -> Result<Cells, StoreError> {
    let array: &str = row.try_get(0)?;
    Cells::packed(array.as_bytes())
}

pub(super) fn invoice(row: &PgRow) -> Result<Invoice, StoreError> {
    packed::invoice(&mut cells(row)?)
}

pub(super) fn invoices(rows: &[PgRow]) -> Result<Vec<Invoice>, StoreError> {
    rows.iter().map(invoice).collect()
}

/// An invoice, and in the second column its index among the requested ones.
pub(super) fn placed_invoice(row: &PgRow) -> Result<(usize, Invoice), StoreError> {
    Ok((place(row)?, invoice(row)?))
}

pub(super) fn place(row: &PgRow) -> Result<usize, StoreError> {
    let place: i64 = row.try_get(1)?;
    Ok(usize::try_from(place).unwrap_or_default())
}

pub(super) fn due_rows(rows: &[PgRow]) -> Result<Vec<DueRow>, StoreError> {
    let row = |row| packed::due_row(&mut cells(row)?);
    rows.iter().map(row).collect()
}
