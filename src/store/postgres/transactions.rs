//! Transactions: written with the decision that they caused, or kept until an invoice with their
//! label is inserted.

use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::batch::{self, TransactionRow};
use super::fence::fenced;
use super::row::{cells, packed_invoice, placed_invoice};
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::store::packed::transaction;
use crate::store::{SeenTransaction, StoreError, json_lists};

/// The transactions that are sent as parameter `$rows`; the only place that knows their short names.
macro_rules! movements {
    ($rows:literal) => {
        concat!(
            "SELECT sent_movements.n AS number, acc AS account, tid AS transaction_id, dir AS direction,
                    inv AS invoice_id, ext AS external_id, am AS amount, cu AS currency, is_net,
                    st AS status, at AS happened_at
               FROM json_to_recordset(",
            $rows,
            "::text::json) AS sent_movements (
                    n bigint, ord bigint, acc text, tid text, dir text, inv bigint, ext text,
                    am text, cu text, is_net bigint, st text, at bigint) "
        )
    };
}
pub(super) use movements;

/// Inserts the rows of `movement`, or updates existing ones: a transaction stays with the invoice that has
/// it, and is changed for no other.
macro_rules! write_transactions {
    ($now:literal) => {
        concat!(
            "INSERT INTO payrecond.transactions AS known (
                 account, transaction_id, direction, invoice_id, external_id, amount, currency,
                 is_net, status, happened_at, seen_at, daemon_writes)
             SELECT DISTINCT ON (account, transaction_id, direction)
                    account, transaction_id, direction, invoice_id, external_id, amount, currency,
                    is_net, status, happened_at, ",
            $now,
            ", 1 FROM movement ORDER BY account, transaction_id, direction, number DESC
             ON CONFLICT (account, transaction_id, direction) DO UPDATE
                SET invoice_id    = coalesce(known.invoice_id, EXCLUDED.invoice_id),
                    external_id   = EXCLUDED.external_id,
                    amount        = EXCLUDED.amount,
                    currency      = EXCLUDED.currency,
                    is_net        = EXCLUDED.is_net,
                    status        = EXCLUDED.status,
                    happened_at   = EXCLUDED.happened_at,
                    daemon_writes = known.daemon_writes + 1
              WHERE known.invoice_id IS NULL OR known.invoice_id = EXCLUDED.invoice_id
             RETURNING 1"
        )
    };
}
pub(super) use write_transactions;

/// `$3` the transactions, `$4` now, `$5` the account, `$6` its provider, `$7` the position.
const KEEP: &str = concat!(
    fenced!(),
    "movement AS MATERIALIZED (",
    movements!("$3"),
    "WHERE EXISTS (SELECT 1 FROM allowed)),
     kept AS (",
    write_transactions!("$4"),
    "),
     read AS (
         INSERT INTO payrecond.accounts AS known (name, provider, list_positions, list_read_at)
         SELECT $5, $6, $7, $4 FROM allowed
         ON CONFLICT (name) DO UPDATE
            SET list_positions = EXCLUDED.list_positions, list_read_at = EXCLUDED.list_read_at
         RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed,
            (SELECT count(*) FROM kept) + (SELECT count(*) FROM read) AS written"
);

macro_rules! packed_transaction {
    () => {
        concat!(
            "json_build_array(",
            transaction_columns!(),
            "seen_at)::text"
        )
    };
}

/// A refund may have no label, but the id of its payment.
const UNMATCHED: &str = concat!(
    "SELECT ",
    packed_transaction!(),
    " FROM payrecond.transactions
      WHERE account = $1 AND invoice_id IS NULL AND transaction_id IN (
                SELECT transaction_id FROM payrecond.transactions
                 WHERE account = $1 AND external_id = ANY ($2) AND invoice_id IS NULL)
      ORDER BY happened_at, transaction_id, direction"
);

const OF_INVOICE: &str = concat!(
    "SELECT ",
    packed_transaction!(),
    " FROM payrecond.transactions WHERE invoice_id = $1 ORDER BY happened_at, transaction_id"
);

/// Each value is `[transaction id, label]`. The invoice that has the transaction's id comes beside that
/// of the label, unless it is the same. One of the label that cannot be paid yet comes only beside it.
const OWNERS: &str = concat!(
    "WITH told AS MATERIALIZED (
         SELECT place - 1 AS place, value ->> 0 AS transaction_id, value ->> 1 AS label
           FROM json_array_elements($2::text::json) WITH ORDINALITY AS told (value, place)),
     owned AS MATERIALIZED (
         SELECT told.place, known.invoice_id FROM told CROSS JOIN LATERAL (
             SELECT min(invoice_id) AS invoice_id FROM payrecond.transactions
              WHERE account = $1 AND transaction_id = told.transaction_id) AS known
          WHERE known.invoice_id IS NOT NULL),
     found AS MATERIALIZED (
         SELECT told.place, i.id AS invoice_id FROM told CROSS JOIN LATERAL (
             SELECT id FROM payrecond.invoices
              WHERE account = $1 AND external_id = told.label LIMIT 1) AS i
         UNION
         SELECT place, invoice_id FROM owned)
     SELECT ",
    packed_invoice!(),
    ", place FROM found JOIN payrecond.invoices AS i ON i.id = found.invoice_id
      WHERE i.status <> 'rejected'
        AND (i.status <> 'requested' OR place IN (SELECT place FROM owned))
      ORDER BY place"
);

/// Where reading an account's ledger continues.
pub(super) struct LedgerReadTo<'a> {
    pub(super) account: &'a AccountName,
    pub(super) provider: &'a str,
    pub(super) place: &'a str,
}

/// Stores transactions that match no invoice, and the position after them.
pub(super) async fn keep(
    store: &PostgresStore,
    ledger: &LedgerReadTo<'_>,
    unmatched: &[Transaction],
    now: UnixMillis,
) -> Result<(), StoreError> {
    let rows: Vec<TransactionRow<'_>> = unmatched
        .iter()
        .enumerate()
        .map(|(n, one)| TransactionRow::of((n, 0), ledger.account, None, one))
        .collect();
    let statement = sqlx::query(KEEP)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(batch::json(&rows))
        .bind(now.0)
        .bind(&ledger.account.0)
        .bind(ledger.provider)
        .bind(ledger.place);
    store.fenced_row(statement).await?;
    Ok(())
}

/// The invoices that transactions belong to, each with the index of its transaction.
pub(super) async fn owners(
    store: &PostgresStore,
    account: &AccountName,
    transactions: &[Transaction],
) -> Result<Vec<(usize, Invoice)>, StoreError> {
    let statement = sqlx::query(OWNERS)
        .bind(&account.0)
        .bind(json_lists::transaction_keys(transactions));
    let rows = store.connections.rows(statement).await?;
    rows.iter().map(placed_invoice).collect()
}

pub(super) async fn unmatched(
    store: &PostgresStore,
    account: &AccountName,
    labels: &[&ExternalId],
) -> Result<Vec<Transaction>, StoreError> {
    let labels: Vec<&str> = labels.iter().map(|label| label.0.as_str()).collect();
    let statement = sqlx::query(UNMATCHED).bind(&account.0).bind(labels);
    let rows = store.connections.rows(statement).await?;
    rows.iter()
        .map(|row| transaction(&mut cells(row)?))
        .collect()
}

pub(super) async fn of_invoice(
    store: &PostgresStore,
    id: InvoiceId,
) -> Result<Vec<SeenTransaction>, StoreError> {
    let rows = store
        .connections
        .rows(sqlx::query(OF_INVOICE).bind(id.0))
        .await?;
    let seen = |row: &PgRow| {
        let mut cells = cells(row)?;
        Ok(SeenTransaction {
            transaction: transaction(&mut cells)?,
            seen_at: cells.time()?.unwrap_or_default(),
        })
    };
    rows.iter().map(seen).collect()
}
