//! Converts rows of SQLite to values.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use crate::domain::invoice::Invoice;
use crate::store::StoreError;
use crate::store::cell::CellValue;
pub(super) use crate::store::packed::transaction;
use crate::store::packed::{self, Cells};

/// The only column that `invoice` reads: an array of the cells, in the order of the table of
/// columns. Each value that SQLite returns costs an allocation that is freed on another thread, so
/// the cells are packed.
macro_rules! packed_invoice {
    () => {
        concat!(
            "json_array(",
            invoice_columns!(),
            "'' || (SELECT json_group_array(json_array(",
            transaction_columns!(),
            "seen_at) ORDER BY happened_at, transaction_id) \
                      FROM transactions WHERE invoice_id = invoices.id))"
        )
    };
}
pub(super) use packed_invoice;

/// Reads an invoice from a row that begins with `packed_invoice!()`.
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

/// A column's value. Programs can store bytes that are not UTF-8; these are replaced, here and in
/// `Cells::packed`, so that one invalid row never blocks the others.
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
