//! Transactions: written with the decision that they led to, or kept until an invoice with their label
//! comes.

use serde_json::json;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::batch::{JsonRows, transaction_cells};
use super::connection::WriteConnection;
use super::row::{Cells, transaction};
use crate::domain::invoice::{AccountName, ExternalId, InvoiceId};
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

const OF_NOBODY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM json_each(?2) AS label CROSS JOIN transactions INDEXED BY transactions_of_nobody
        ON account = ?1 AND external_id = label.value
     WHERE invoice_id IS NULL ORDER BY happened_at, transaction_id"
);

const OF_INVOICE: &str = concat!(
    "SELECT ",
    columns!(),
    ", seen_at FROM transactions WHERE invoice_id = ?1 ORDER BY happened_at, transaction_id"
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

/// Keeps transactions that no invoice explains.
pub(super) async fn record(
    writer: &mut WriteConnection,
    account: &AccountName,
    transactions: &[Transaction],
    now: UnixMillis,
) -> Result<(), StoreError> {
    let owned: Vec<Owned<'_>> = transactions
        .iter()
        .map(|transaction| Owned {
            account,
            invoice: None,
            transaction,
        })
        .collect();
    let connection = writer.begin().await?;
    write(connection, &owned, now).await?;
    writer.commit().await
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
