//! Converts rows to values: the cells of a row, and the invoices and transactions built from them.

use std::vec::IntoIter;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use super::cell::CellValue;
use super::columns::invoice_of;
use super::transaction_columns::transaction_of;
use crate::domain::invoice::Invoice;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::store::StoreError;

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
    let mut cells = Cells::packed(row)?;
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
        .map(|cells| {
            let mut cells = Cells {
                left: cells.into_iter(),
            };
            transaction(&mut cells)
        })
        .collect()
}

/// Reads a transaction whose cells are `transaction_columns!()`.
pub(super) fn transaction(cells: &mut Cells) -> Result<Transaction, StoreError> {
    transaction_of(|| cells.next())
}

fn not_readable(error: &serde_json::Error) -> StoreError {
    StoreError::Unusable(format!("a row: {error}"))
}

/// The cells of a row, in order.
pub(super) struct Cells {
    left: IntoIter<CellValue>,
}

impl Cells {
    /// The columns of a row.
    pub(super) fn of(row: &SqliteRow) -> Result<Self, StoreError> {
        let cells: Result<Vec<CellValue>, sqlx::Error> =
            (0..row.len()).map(|index| column(row, index)).collect();
        Ok(Self {
            left: cells?.into_iter(),
        })
    }

    /// The cells packed in the first column.
    pub(super) fn packed(row: &SqliteRow) -> Result<Self, StoreError> {
        let bytes: &[u8] = row.try_get_unchecked(0)?;
        let cells: Result<Vec<CellValue>, serde_json::Error> = match str::from_utf8(bytes) {
            Ok(array) => serde_json::from_str(array),
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(bytes)),
        };
        let cells = cells.map_err(|error| not_readable(&error))?;
        Ok(Self {
            left: cells.into_iter(),
        })
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
