//! Transactions: written with the decision that they led to, or kept until an invoice with their label
//! comes.

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row as _, SqlitePool};

use super::accounts;
use super::batch::{JsonRows, transaction_cells};
use super::connection::WriteConnection;
use super::row::{Cells, invoice, packed_invoice, transaction};
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::store::{SeenTransaction, StoreError};

/// A transaction and whose it is.
pub(super) struct Owned<'a> {
    pub(super) account: &'a AccountName,
    /// None: no invoice has its label.
    pub(super) invoice: Option<InvoiceId>,
    pub(super) transaction: &'a Transaction,
}

/// What is there already. An invoice that has it keeps it.
const UPDATE: &str = "
    UPDATE transactions
       SET invoice_id    = coalesce(invoice_id, new.value ->> 3),
           external_id   = new.value ->> 4,
           amount        = new.value ->> 5,
           currency      = new.value ->> 6,
           is_net        = new.value ->> 7,
           status        = new.value ->> 8,
           happened_at   = new.value ->> 9,
           daemon_writes = daemon_writes + 1
      FROM jsonb_each(?1) AS new
     WHERE account = new.value ->> 0 AND transaction_id = new.value ->> 1
       AND direction = new.value ->> 2";

const INSERT: &str = "
    INSERT INTO transactions (account, transaction_id, direction, invoice_id, external_id, amount,
                              currency, is_net, status, happened_at, seen_at, daemon_writes)
    SELECT new.value ->> 0, new.value ->> 1, new.value ->> 2, new.value ->> 3, new.value ->> 4,
           new.value ->> 5, new.value ->> 6, new.value ->> 7, new.value ->> 8, new.value ->> 9, ?2, 1
      FROM jsonb_each(?1) AS new
     WHERE NOT EXISTS (SELECT 1 FROM transactions
                        WHERE account = new.value ->> 0 AND transaction_id = new.value ->> 1
                          AND direction = new.value ->> 2)
     ORDER BY new.key";

/// The columns that `row::transaction` reads.
macro_rules! columns {
    () => {
        "transaction_id, direction, external_id, amount, currency, is_net, status, happened_at"
    };
}

/// A refund may bear no label, but the id of its payment.
const OF_NOBODY: &str = concat!(
    "WITH labelled (id) AS MATERIALIZED (
         SELECT transaction_id FROM json_each(?2) AS label
          CROSS JOIN transactions INDEXED BY transactions_of_nobody
             ON account = ?1 AND external_id = label.value
          WHERE invoice_id IS NULL)
     SELECT ",
    columns!(),
    " FROM (SELECT DISTINCT id FROM labelled) AS told CROSS JOIN transactions
        ON account = ?1 AND transaction_id = told.id
     WHERE invoice_id IS NULL ORDER BY happened_at, transaction_id, direction"
);

const OF_INVOICE: &str = concat!(
    "SELECT ",
    columns!(),
    ", seen_at FROM transactions WHERE invoice_id = ?1 ORDER BY happened_at, transaction_id"
);

/// `[transaction id, label]` each. A label goes before the payment of the same id.
const OWNERS: &str = concat!(
    "WITH told (place, transaction_id, label) AS MATERIALIZED (
         SELECT key, value ->> 0, value ->> 1 FROM json_each(?2)),
     labelled (place, invoice_id) AS MATERIALIZED (
         SELECT place, id FROM told CROSS JOIN invoices
             ON invoices.account = ?1 AND invoices.external_id = told.label),
     found (place, invoice_id) AS MATERIALIZED (
         SELECT place, invoice_id FROM labelled
         UNION ALL
         SELECT place, min(invoice_id) FROM told CROSS JOIN transactions
             ON transactions.account = ?1 AND transactions.transaction_id = told.transaction_id
          WHERE invoice_id IS NOT NULL AND place NOT IN (SELECT place FROM labelled)
          GROUP BY place)
     SELECT ",
    packed_invoice!(),
    ", place FROM found CROSS JOIN invoices ON invoices.id = found.invoice_id
      WHERE status NOT IN ('requested', 'rejected')
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
        let (account, invoice) = (owned.account, owned.invoice);
        rows.push(|rows| transaction_cells(rows, account, invoice, owned.transaction));
    }
    let rows = rows.finish();
    for statement in [UPDATE, INSERT] {
        sqlx::query(statement)
            .bind(&rows)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Where reading an account's ledger goes on.
pub(super) struct LedgerPlace<'a> {
    pub(super) account: &'a AccountName,
    pub(super) provider: &'a str,
    pub(super) place: &'a str,
}

/// Keeps transactions that no invoice explains, and the place behind them.
pub(super) async fn keep(
    writer: &mut WriteConnection,
    ledger: &LedgerPlace<'_>,
    of_nobody: &[Transaction],
    now: UnixMillis,
) -> Result<(), StoreError> {
    let account = ledger.account;
    let owned: Vec<Owned<'_>> = of_nobody
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

/// The invoices that transactions belong to, each with its transaction's index.
pub(super) async fn owners(
    readers: &SqlitePool,
    account: &AccountName,
    transactions: &[Transaction],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let told: Vec<Value> = transactions
        .iter()
        .map(|one| json!([one.id.0, one.external_id.as_ref().map(|label| &label.0)]))
        .collect();
    let rows = sqlx::query(OWNERS)
        .bind(&account.0)
        .bind(Value::Array(told).to_string())
        .fetch_all(readers)
        .await?;
    let keyed = |row: &SqliteRow| {
        let place: i64 = row.try_get(1)?;
        let index = usize::try_from(place).unwrap_or_default();
        Ok((index, invoice(row)?))
    };
    rows.iter().map(keyed).collect()
}

pub(super) async fn of_nobody(
    readers: &SqlitePool,
    account: &AccountName,
    labels: &[&ExternalId],
) -> Result<Vec<Transaction>, StoreError> {
    let labels: Vec<&str> = labels.iter().map(|label| label.0.as_str()).collect();
    let rows = sqlx::query(OF_NOBODY)
        .bind(&account.0)
        .bind(json!(labels).to_string())
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| transaction(&mut Cells::of(row)?))
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
        let mut cells = Cells::of(row)?;
        Ok(SeenTransaction {
            transaction: transaction(&mut cells)?,
            seen_at: cells.time()?.unwrap_or_default(),
        })
    };
    rows.iter().map(seen).collect()
}
