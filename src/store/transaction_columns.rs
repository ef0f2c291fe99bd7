//! The columns of `transactions`, each named once, like those of `invoices` in `columns`.

use super::cell::CellValue;
use super::json_rows::JsonRows;
use crate::domain::invoice::{AccountName, ExternalId, InvoiceId, TransactionId};
use crate::domain::money::Money;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus};
use crate::store::StoreError;

/// A transaction and its owner.
pub(super) struct Owned<'a> {
    pub(super) account: &'a AccountName,
    /// None if no invoice has its label.
    pub(super) invoice: Option<InvoiceId>,
    pub(super) transaction: &'a Transaction,
}

/// One column.
pub(super) struct TransactionColumn {
    pub(super) name: &'static str,
    /// Whether it is part of the key.
    pub(super) is_key: bool,
    pub(super) write: fn(&mut JsonRows, &Owned<'_>),
    read: fn(&mut Transaction, CellValue) -> Result<(), String>,
}

/// Never changed once set.
pub(super) const OWNER: &str = "invoice_id";

macro_rules! columns {
    (
        unread { $($unread:literal $unread_key:literal $write_unread:expr;)* }
        read { $($name:literal $key:literal $write:expr, $read:expr;)* }
    ) => {
        /// Columns that are written but not read, because the reader knows their values.
        const UNREAD: &[TransactionColumn] = &[$(TransactionColumn {
            name: $unread,
            is_key: $unread_key,
            write: $write_unread,
            read: |_, _| Ok(()),
        }),*];

        const READ: &[TransactionColumn] = &[$(TransactionColumn {
            name: $name,
            is_key: $key,
            write: $write,
            read: $read,
        }),*];

        /// The names of the columns that are read, as SQL with a comma after each.
        macro_rules! transaction_columns {
            () => {
                concat!($($name, ", "),*)
            };
        }
    };
}

columns! {
    unread {
        "account" true |rows, owned| rows.text(owned.account.0.as_str());
        "invoice_id" false |rows, owned| rows.number(owned.invoice.map(|id| id.0));
    }
    read {
        "transaction_id" true
            |rows, owned| rows.text(owned.transaction.id.0.as_str()),
            |row, cell| { row.id = TransactionId(cell.text().unwrap_or_default()); Ok(()) };
        "direction" true
            |rows, owned| rows.text(owned.transaction.direction.as_str()),
            |row, cell| { row.direction = known(cell, Direction::parse)?; Ok(()) };
        "external_id" false
            |rows, owned| rows.text(owned.transaction.external_id.as_ref().map(|id| id.0.as_str())),
            |row, cell| { row.external_id = cell.text().map(ExternalId); Ok(()) };
        "amount" false
            |rows, owned| rows.text(owned.transaction.amount.value.as_str()),
            |row, cell| { row.amount.value = cell.text().unwrap_or_default(); Ok(()) };
        "currency" false
            |rows, owned| rows.text(owned.transaction.amount.currency.as_str()),
            |row, cell| { row.amount.currency = cell.text().unwrap_or_default(); Ok(()) };
        "is_net" false
            |rows, owned| rows.number(i64::from(owned.transaction.is_net)),
            |row, cell| { row.is_net = cell.number()? == Some(1); Ok(()) };
        "status" false
            |rows, owned| rows.text(owned.transaction.status.as_str()),
            |row, cell| { row.status = known(cell, TransactionStatus::parse)?; Ok(()) };
        "happened_at" false
            |rows, owned| rows.time(Some(owned.transaction.happened_at)),
            |row, cell| { row.happened_at = cell.time()?.unwrap_or_default(); Ok(()) };
    }
}

impl TransactionColumn {
    /// All columns, in the order of the cells of a batch.
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        UNREAD.iter().chain(READ)
    }
}

/// Builds a transaction from its cells, which come in the order of `transaction_columns!()`.
pub(super) fn transaction_of(
    mut next: impl FnMut() -> Result<CellValue, StoreError>,
) -> Result<Transaction, StoreError> {
    let mut transaction = Transaction {
        id: TransactionId(String::new()),
        direction: Direction::In,
        external_id: None,
        amount: Money {
            value: String::new(),
            currency: String::new(),
        },
        is_net: false,
        status: TransactionStatus::Succeeded,
        happened_at: UnixMillis(0),
    };
    for column in READ {
        (column.read)(&mut transaction, next()?).map_err(|why| {
            let id = &transaction.id;
            StoreError::Unusable(format!("transactions.{} of {id}: {why}", column.name))
        })?;
    }
    Ok(transaction)
}

fn known<T>(cell: CellValue, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let word = cell.text().unwrap_or_default();
    parse(&word).ok_or_else(|| format!("unknown word '{word}'"))
}
