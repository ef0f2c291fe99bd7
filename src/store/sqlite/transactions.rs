//! Transactions: written with the decision that they caused, or kept until an invoice with their
//! label is inserted.

use std::sync::LazyLock;

use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row as _, SqlitePool};

use super::accounts;
use super::connection::WriteConnection;
use super::row::{cells, invoice, packed_invoice, transaction};
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::store::json_rows::JsonRows;
use crate::store::transaction_columns::{OWNER, Owned, TransactionColumn};
use crate::store::{SeenTransaction, StoreError, json_lists};

/// Updates existing transactions. One stays with the invoice that has it, and is changed for no other.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let mut sets = vec!["daemon_writes = daemon_writes + 1".to_owned()];
    let mut owners = Vec::new();
    for (cell, column) in TransactionColumn::all().enumerate() {
        let name = column.name;
        if name == OWNER {
            sets.push(format!("{name} = coalesce({name}, new.value ->> {cell})"));
            owners.push(format!(
                "(transactions.{name} IS NULL OR transactions.{name} = new.value ->> {cell})"
            ));
        } else if !column.is_key {
            sets.push(format!("{name} = new.value ->> {cell}"));
        }
    }
    format!(
        "UPDATE transactions SET {} FROM jsonb_each(?1) AS new WHERE {} AND {}",
        sets.join(", "),
        same_key(),
        owners.join(" AND ")
    )
});

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = TransactionColumn::all().map(|column| column.name).collect();
    let cells = (0..names.len()).map(|cell| format!("new.value ->> {cell}"));
    format!(
        "INSERT INTO transactions ({}, seen_at, daemon_writes)
         SELECT {}, ?2, 1 FROM jsonb_each(?1) AS new
          WHERE NOT EXISTS (SELECT 1 FROM transactions WHERE {})
          ORDER BY new.key",
        names.join(", "),
        cells.collect::<Vec<_>>().join(", "),
        same_key()
    )
});

fn same_key() -> String {
    let keys = TransactionColumn::all().enumerate();
    let same = keys
        .filter(|(_, column)| column.is_key)
        .map(|(cell, column)| format!("transactions.{} = new.value ->> {cell}", column.name));
    same.collect::<Vec<_>>().join(" AND ")
}

/// A refund may bear no label, but the id of its payment.
const UNMATCHED: &str = concat!(
    "WITH labelled (id) AS MATERIALIZED (
         SELECT transaction_id FROM json_each(?2) AS label
          CROSS JOIN transactions INDEXED BY transactions_of_nobody
             ON account = ?1 AND external_id = label.value
          WHERE invoice_id IS NULL)
     SELECT ",
    transaction_columns!(),
    "seen_at FROM (SELECT DISTINCT id FROM labelled) AS told CROSS JOIN transactions
        ON account = ?1 AND transaction_id = told.id
     WHERE invoice_id IS NULL ORDER BY happened_at, transaction_id, direction"
);

const OF_INVOICE: &str = concat!(
    "SELECT ",
    transaction_columns!(),
    "seen_at FROM transactions WHERE invoice_id = ?1 ORDER BY happened_at, transaction_id"
);

/// Each value is `[transaction id, label]`. The invoice that has the transaction's id comes beside that
/// of the label, unless it is the same. One of the label that cannot be paid yet comes only beside it.
const OWNERS: &str = concat!(
    "WITH told (place, transaction_id, label) AS MATERIALIZED (
         SELECT key, value ->> 0, value ->> 1 FROM json_each(?2)),
     owned (place, invoice_id) AS MATERIALIZED (
         SELECT place, min(invoice_id) FROM told CROSS JOIN transactions
             ON transactions.account = ?1 AND transactions.transaction_id = told.transaction_id
          WHERE invoice_id IS NOT NULL
          GROUP BY place),
     found (place, invoice_id) AS MATERIALIZED (
         SELECT place, id FROM told CROSS JOIN invoices
             ON invoices.account = ?1 AND invoices.external_id = told.label
         UNION
         SELECT place, invoice_id FROM owned)
     SELECT ",
    packed_invoice!(),
    ", place FROM found CROSS JOIN invoices ON invoices.id = found.invoice_id
      WHERE status <> 'rejected'
        AND (status <> 'requested' OR place IN (SELECT place FROM owned))
      ORDER BY place"
);

/// Inserts or updates by account, id and direction.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    transactions: &[Owned<'_>],
    now: UnixMillis,
) -> Result<(), sqlx::Error> {
    if transactions.is_empty() {
        return Ok(());
    }
    let mut rows = JsonRows::new();
    for owned in transactions {
        rows.push(|rows| {
            for column in TransactionColumn::all() {
                (column.write)(rows, owned);
            }
        });
    }
    let rows = rows.finish();
    for statement in [&UPDATE, &INSERT] {
        sqlx::query(statement.as_str())
            .bind(&rows)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Where reading an account's ledger continues.
pub(super) struct LedgerPlace<'a> {
    pub(super) account: &'a AccountName,
    pub(super) provider: &'a str,
    pub(super) place: &'a str,
}

/// Stores transactions that match no invoice, and the position after them.
pub(super) async fn keep(
    writer: &mut WriteConnection,
    ledger: &LedgerPlace<'_>,
    unmatched: &[Transaction],
    now: UnixMillis,
) -> Result<(), StoreError> {
    let account = ledger.account;
    let owned: Vec<Owned<'_>> = unmatched
        .iter()
        .map(|transaction| Owned {
            account,
            invoice: None,
            transaction,
        })
        .collect();
    let connection = writer.begin().await?;
    write(connection, &owned, now).await?;
    accounts::make(connection, account, ledger.provider).await?;
    sqlx::query("UPDATE accounts SET list_positions = ?2, list_read_at = ?3 WHERE name = ?1")
        .bind(&account.0)
        .bind(ledger.place)
        .bind(now.0)
        .execute(connection)
        .await?;
    writer.commit().await
}

/// The invoices that transactions belong to, each with the index of its transaction.
pub(super) async fn owners(
    readers: &SqlitePool,
    account: &AccountName,
    transactions: &[Transaction],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let rows = sqlx::query(OWNERS)
        .bind(&account.0)
        .bind(json_lists::transaction_keys(transactions))
        .fetch_all(readers)
        .await?;
    let keyed = |row: &SqliteRow| {
        let place: i64 = row.try_get(1)?;
        let index = usize::try_from(place).unwrap_or_default();
        Ok((index, invoice(row)?))
    };
    rows.iter().map(keyed).collect()
}

pub(super) async fn unmatched(
    readers: &SqlitePool,
    account: &AccountName,
    labels: &[&ExternalId],
) -> Result<Vec<Transaction>, StoreError> {
    let labels: Vec<&str> = labels.iter().map(|label| label.0.as_str()).collect();
    let rows = sqlx::query(UNMATCHED)
        .bind(&account.0)
        .bind(json!(labels).to_string())
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| transaction(&mut cells(row)?))
        .collect()
}

pub(super) async fn of_invoice(
    readers: &SqlitePool,
    id: InvoiceId,
) -> Result<Vec<SeenTransaction>, StoreError> {
    let rows = sqlx::query(OF_INVOICE)
        .bind(id.0)
        .fetch_all(readers)
        .await?;
    let seen = |row: &SqliteRow| {
        let mut cells = cells(row)?;
        Ok(SeenTransaction {
            transaction: transaction(&mut cells)?,
            seen_at: cells.time()?.unwrap_or_default(),
        })
    };
    rows.iter().map(seen).collect()
}
