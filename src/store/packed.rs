//! Rows as stores read them: a JSON array of cells for each row, so that one value crosses from the
//! database's library instead of forty.

use std::vec::IntoIter;

use serde::{Deserialize, Deserializer, de};

use super::{AccountRecord, DueRow, HistoryEvent, ListRecord, StoreError};
use crate::domain::account::AccountState;
use crate::domain::audit::AuditRow;
use crate::domain::invoice::{
    AccountName, ExternalId, Facts, Invoice, InvoiceId, OrderId, PollPlan, TransactionId, Wish,
};
use crate::domain::money::Money;
use crate::domain::observation::{Payment, Sums};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus};

/// Reads one invoice.
pub(super) fn invoice(cells: &mut Cells) -> Result<Invoice, StoreError> {
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
        facts: facts(cells, id)?,
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
            transaction(&mut Cells::of(cells))
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
    let status = status(cells, id)?;
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
/// positions, read at, read from, read to, caught up]`
pub(super) fn account_record(cells: &mut Cells) -> Result<AccountRecord, StoreError> {
    let name = AccountName(cells.text()?.unwrap_or_default());
    let provider = cells.text()?.unwrap_or_default();
    let word = cells.text()?.unwrap_or_default();
    let state = AccountState::parse(&word).ok_or_else(|| {
        let what = format!("accounts.state of {name}: unknown state '{word}'");
        StoreError::Unusable(what)
    })?;
    Ok(AccountRecord {
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
    })
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

/// The cells of a row, one after the other.
pub(super) struct Cells {
    left: IntoIter<CellValue>,
}

pub(super) enum CellValue {
    Null,
    Number(i64),
    Text(String),
}

impl Cells {
    pub(super) fn of(cells: Vec<CellValue>) -> Self {
        Self {
            left: cells.into_iter(),
        }
    }

    /// Reads an array. Bytes that are no UTF-8 are replaced.
    pub(super) fn packed(bytes: &[u8]) -> Result<Self, StoreError> {
        let cells: Result<Vec<CellValue>, serde_json::Error> = match str::from_utf8(bytes) {
            Ok(array) => serde_json::from_str(array),
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(bytes)),
        };
        Ok(Self::of(cells.map_err(|error| not_readable(&error))?))
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
