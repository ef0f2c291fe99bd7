//! Rows of `invoices` to values and back.

use std::vec::IntoIter;

use serde::{Deserialize, Deserializer, de};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use crate::domain::invoice::{
    AccountName, ExternalId, Facts, Invoice, InvoiceId, OrderId, Schedule, Wish,
};
use crate::domain::money::Money;
use crate::domain::sighting::Payment;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::StoreError;

/// The one column that `invoice` reads: an array of the cells, in its order. Each value that SQLite
/// hands over costs an allocation freed on another thread, so a batch of rows comes packed.
macro_rules! packed_invoice {
    () => {
        "json_array(id, account, external_id, description, timeout_seconds, options, metadata, \
         status, reason, order_id, amount, currency, provider_status, order_number, \
         pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency, \
         fee_amount, net_amount, exchange_rate, create_sent_at, ended_at, not_found_since, \
         version, created_at, updated_at, next_poll_at, last_polled_at, polls, failures, last_error)"
    };
}
pub(super) use packed_invoice;

/// Reads one invoice from a row that begins with `packed_invoice!()`.
pub(super) fn invoice(row: &SqliteRow) -> Result<Invoice, StoreError> {
    let mut cells = Cells::packed(row)?;
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

fn facts(cells: &mut Cells, id: InvoiceId) -> Result<Facts, StoreError> {
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
pub(super) struct Cells {
    left: IntoIter<Cell>,
}

enum Cell {
    Null,
    Number(i64),
    Text(String),
}

impl Cells {
    /// The columns of a row.
    pub(super) fn of(row: &SqliteRow) -> Result<Self, StoreError> {
        let cells: Result<Vec<Cell>, sqlx::Error> =
            (0..row.len()).map(|index| column(row, index)).collect();
        Ok(Self {
            left: cells?.into_iter(),
        })
    }

    /// What the first column packs into one array.
    pub(super) fn packed(row: &SqliteRow) -> Result<Self, StoreError> {
        let bytes: &[u8] = row.try_get_unchecked(0)?;
        let cells: Result<Vec<Cell>, serde_json::Error> = match str::from_utf8(bytes) {
            Ok(array) => serde_json::from_str(array),
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(bytes)),
        };
        let cells = cells.map_err(|error| StoreError::Unusable(format!("a row: {error}")))?;
        Ok(Self {
            left: cells.into_iter(),
        })
    }

    pub(super) fn text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next()? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Number(number) => Ok(Some(number.to_string())),
        }
    }

    pub(super) fn number(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next()? {
            Cell::Null => Ok(None),
            Cell::Number(number) => Ok(Some(number)),
            Cell::Text(text) => Err(StoreError::Unusable(format!(
                "a row has '{text}' where a number belongs"
            ))),
        }
    }

    pub(super) fn time(&mut self) -> Result<Option<UnixMillis>, StoreError> {
        Ok(self.number()?.map(UnixMillis))
    }

    fn next(&mut self) -> Result<Cell, StoreError> {
        self.left
            .next()
            .ok_or_else(|| StoreError::Unusable("a row ends early".into()))
    }
}

/// A column's value. Programs can store bytes that are no UTF-8; those are replaced, here as in
/// `Cells::packed`, so that one odd row never stops the others.
fn column(row: &SqliteRow, index: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    if value.type_info().name() == "INTEGER" {
        return Ok(Cell::Number(row.try_get_unchecked(index)?));
    }
    let bytes: Vec<u8> = row.try_get_unchecked(index)?;
    Ok(Cell::Text(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl de::Visitor<'_> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, an integer or null")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Cell, E> {
        let number = i64::try_from(number).map_err(E::custom)?;
        Ok(Cell::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }
}
