//! Rows of SQLite to values.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use crate::domain::invoice::Invoice;
use crate::store::StoreError;
pub(super) use crate::store::packed::Cells;
pub(super) use crate::store::packed::transaction;
use crate::store::packed::{self, CellValue};

/// The one column that `invoice` reads: an array of the cells, in its order. Each value that SQLite
/// hands over costs an allocation freed on another thread, so a batch of rows comes packed.
macro_rules! packed_invoice {
    () => {
        "json_array(id, account, external_id, description, timeout_seconds, options, metadata, \
         status, reason, order_id, amount, currency, provider_status, order_number, \
         pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency, \
         fee_amount, net_amount, exchange_rate, received_amount, refunded_amount, refunded_at, \
         is_test, create_sent_at, ended_at, not_found_since, \
         version, created_at, updated_at, next_poll_at, last_polled_at, polls, failures, last_error, \
         '' || (SELECT json_group_array(json_array(transaction_id, direction, external_id, amount, \
                                                   currency, is_net, status, happened_at) \
                                        ORDER BY happened_at, transaction_id) \
                  FROM transactions WHERE invoice_id = invoices.id))"
    };
}
pub(super) use packed_invoice;

/// Reads one invoice from a row that begins with `packed_invoice!()`.
pub(super) fn invoice(row: &SqliteRow) -> Result<Invoice, StoreError> {
    packed::invoice(&mut packed_cells(row)?)
}

/// The columns of a row.
pub(super) fn cells(row: &SqliteRow) -> Result<Cells, StoreError> {
    let cells: Result<Vec<CellValue>, sqlx::Error> =
        (0..row.len()).map(|index| column(row, index)).collect();
    Ok(Cells::of(cells?))
}

/// What the first column packs into one array.
pub(super) fn packed_cells(row: &SqliteRow) -> Result<Cells, StoreError> {
    let bytes: &[u8] = row.try_get_unchecked(0)?;
    Cells::packed(bytes)
}

/// A column's value. Programs can store bytes that are no UTF-8; those are replaced, here as in
/// `Cells::packed`, so that one odd row never stops the others.
fn column(row: &SqliteRow, index: usize) -> Result<CellValue, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(CellValue::Null);
    }
    if value.type_info().name() == "INTEGER" {
        return Ok(CellValue::Number(row.try_get_unchecked(index)?));
    }
    let bytes: Vec<u8> = row.try_get_unchecked(index)?;
    Ok(CellValue::Text(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}
