//! Rows of `invoices` to values and back.

use std::vec::IntoIter;

use serde::{Deserialize, Deserializer, de};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use crate::domain::invoice::{
    AccountName, ExternalId, Facts, Invoice, InvoiceId, OrderId, PollPlan, TransactionId, Wish,
};
use crate::domain::money::Money;
use crate::domain::observation::{Payment, Sums};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus};
use crate::store::StoreError;

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
    let mut cells = Cells::packed(row)?;
    let id = InvoiceId(cells.number()?.unwrap_or_default());
    let mut invoice = Invoice {
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
        transactions: Vec::new(),
        version: cells.number()?.unwrap_or_default(),
        created_at: UnixMillis(cells.number()?.unwrap_or_default()),
        updated_at: UnixMillis(cells.number()?.unwrap_or_default()),
        schedule: PollPlan {
            next_poll_at: cells.time()?,
            last_polled_at: cells.time()?,
            polls: cells.number()?.unwrap_or_default(),
            failures: cells.number()?.unwrap_or_default(),
            last_error: cells.text()?,
        },
    };
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

/// `[transaction_id, direction, external_id, amount, currency, is_net, status, happened_at]`
pub(super) fn transaction(cells: &mut Cells) -> Result<Transaction, StoreError> {
    let id = TransactionId(cells.text()?.unwrap_or_default());
    let unknown = |column: &str, word: &str| {
        StoreError::Unusable(format!(
            "transactions.{column} of {id}: unknown word '{word}'"
        ))
    };
    let way = cells.text()?.unwrap_or_default();
    let direction = Direction::parse(&way).ok_or_else(|| unknown("direction", &way))?;
    let external_id = cells.text()?.map(ExternalId);
    let amount = Money {
        value: cells.text()?.unwrap_or_default(),
        currency: cells.text()?.unwrap_or_default(),
    };
    let is_net = cells.number()? == Some(1);
    let word = cells.text()?.unwrap_or_default();
    let status = TransactionStatus::parse(&word).ok_or_else(|| unknown("status", &word))?;
    Ok(Transaction {
        id,
        direction,
        external_id,
        amount,
        is_net,
        status,
        happened_at: cells.time()?.unwrap_or_default(),
    })
}

fn not_readable(error: &serde_json::Error) -> StoreError {
    StoreError::Unusable(format!("a row: {error}"))
}

fn facts(cells: &mut Cells, id: InvoiceId) -> Result<Facts, StoreError> {
    let word = cells.text()?.unwrap_or_default();
    let status = Status::parse(&word).ok_or_else(|| {
        StoreError::Unusable(format!("invoices.status of {id}: unknown status '{word}'"))
    })?;
    let reason = cells.text()?;
    let order_id = cells.text()?.map(OrderId);
    let (amount, currency) = (cells.text()?, cells.text()?);
    let in_currency = |value: Option<String>| {
        value
            .zip(currency.clone())
            .map(|(value, currency)| Money { value, currency })
    };
    Ok(Facts {
        status,
        reason,
        order_id,
        amount: in_currency(amount),
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
        sums: Sums {
            received: in_currency(cells.text()?),
            refunded: in_currency(cells.text()?),
            refunded_at: cells.time()?,
        },
        is_test: cells.number()? == Some(1),
        create_sent_at: cells.time()?,
        ended_at: cells.time()?,
        not_found_since: cells.time()?,
    })
}

/// The cells of a row, one after the other.
pub(super) struct Cells {
    left: IntoIter<CellValue>,
}

enum CellValue {
    Null,
    Number(i64),
    Text(String),
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

    /// What the first column packs into one array.
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
        match self.next()? {
            CellValue::Null => Ok(None),
            CellValue::Text(text) => Ok(Some(text)),
            CellValue::Number(number) => Ok(Some(number.to_string())),
        }
    }

    pub(super) fn number(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next()? {
            CellValue::Null => Ok(None),
            CellValue::Number(number) => Ok(Some(number)),
            CellValue::Text(text) => Err(StoreError::Unusable(format!(
                "a row has '{text}' where a number belongs"
            ))),
        }
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

impl<'de> Deserialize<'de> for CellValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellValueVisitor)
    }
}

struct CellValueVisitor;

impl de::Visitor<'_> for CellValueVisitor {
    type Value = CellValue;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, an integer or null")
    }

    fn visit_unit<E>(self) -> Result<CellValue, E> {
        Ok(CellValue::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<CellValue, E> {
        Ok(CellValue::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<CellValue, E> {
        let number = i64::try_from(number).map_err(E::custom)?;
        Ok(CellValue::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<CellValue, E> {
        Ok(CellValue::Text(text.to_owned()))
    }
}
