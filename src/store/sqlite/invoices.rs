//! Queries of one or many invoices with their events, and the two writes of a person.

use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::error::{CONSTRAINT, primary_code};
use super::row::{cells, invoice, packed_invoice};
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::state::Status;
use crate::store::{HistoryEvent, InvoiceQuery, NewInvoice, Reference, StoreError, packed};

/// Selects invoices through their accounts: the indexes begin with the account, and skipping
/// through the few names keeps a search without an account at a few reads.
macro_rules! each_account {
    () => {
        concat!(
            "WITH RECURSIVE names (name) AS (
                 SELECT min(account) FROM invoices
                 UNION ALL
                 SELECT (SELECT min(account) FROM invoices WHERE account > names.name)
                   FROM names WHERE names.name IS NOT NULL)
             SELECT ",
            packed_invoice!(),
            " FROM names CROSS JOIN invoices ON invoices.account = names.name"
        )
    };
}

pub(super) const BY_EXTERNAL_ID: &str = concat!(
    each_account!(),
    " WHERE external_id = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY id"
);

pub(super) const BY_ORDER_ID: &str = concat!(
    each_account!(),
    " WHERE order_id = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY id"
);

pub(super) const BY_TRANSACTION_ID: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM invoices
      WHERE id IN (SELECT transactions.invoice_id
                     FROM (SELECT DISTINCT account AS name FROM transactions) AS names
                     JOIN transactions ON transactions.account = names.name
                    WHERE transactions.transaction_id = ?1)
        AND (?2 IS NULL OR account = ?2) ORDER BY id"
);

/// Inserts an invoice, as a program would. A refusal explains the cause.
///
/// # Errors
/// The inner error is the database's refusal, to be shown unchanged.
pub(super) async fn insert(
    store: &SqliteStore,
    new: &NewInvoice,
) -> Result<Result<Invoice, String>, StoreError> {
    let mut writer = store.writer().await?;
    let connection = writer.begin().await?;
    let inserted: Result<i64, sqlx::Error> = sqlx::query_scalar(
        "INSERT INTO invoices (account, external_id, order_id, amount, currency, description,
                               timeout_seconds, options, metadata, status)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING id",
    )
    .bind(&new.account)
    .bind(&new.external_id)
    .bind(&new.order_id)
    .bind(&new.amount)
    .bind(&new.currency)
    .bind(&new.description)
    .bind(new.timeout_s)
    .bind(&new.options)
    .bind(&new.metadata)
    .bind(new.follow.then_some(Status::Pending.as_str()))
    .fetch_one(&mut *connection)
    .await;
    match inserted {
        Ok(id) => {
            writer.commit().await?;
            drop(writer);
            let mut found = find(store, &Reference::Id(InvoiceId(id)), None).await?;
            found
                .pop()
                .map(Ok)
                .ok_or_else(|| StoreError::Unusable("the new row was deleted".into()))
        }
        Err(error) => {
            writer.roll_back().await?;
            match error.as_database_error() {
                Some(refusal) if primary_code(refusal) == CONSTRAINT => {
                    Ok(Err(refusal.message().to_owned()))
                }
                _ => Err(error.into()),
            }
        }
    }
}

/// The invoices that a reference names: usually one; several accounts may share an external id.
pub(super) async fn find(
    store: &SqliteStore,
    reference: &Reference,
    account: Option<&AccountName>,
) -> Result<Vec<Invoice>, StoreError> {
    let account = account.map(|name| name.0.as_str());
    match reference {
        Reference::Id(id) => {
            let sql = concat!(
                "SELECT ",
                packed_invoice!(),
                " FROM invoices WHERE id = ?1 AND (?2 IS NULL OR account = ?2)"
            );
            let rows = sqlx::query(sql).bind(id.0).bind(account);
            invoices(&rows.fetch_all(&store.readers).await?)
        }
        Reference::Text(text) => {
            for sql in [BY_EXTERNAL_ID, BY_ORDER_ID, BY_TRANSACTION_ID] {
                let found = find_text(store, sql, text, account).await?;
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            Ok(Vec::new())
        }
    }
}

async fn find_text(
    store: &SqliteStore,
    sql: &'static str,
    text: &str,
    account: Option<&str>,
) -> Result<Vec<Invoice>, StoreError> {
    invoices(
        &sqlx::query(sql)
            .bind(text)
            .bind(account)
            .fetch_all(&store.readers)
            .await?,
    )
}

/// Invoices, newest first.
pub(super) async fn list(
    store: &SqliteStore,
    query: &InvoiceQuery,
) -> Result<Vec<Invoice>, StoreError> {
    let sql = concat!(
        "SELECT ",
        packed_invoice!(),
        " FROM invoices
          WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR account = ?2)
          ORDER BY id DESC LIMIT ?3"
    );
    let rows = sqlx::query(sql)
        .bind(query.status.map(Status::as_str))
        .bind(query.account.as_ref().map(|name| name.0.as_str()))
        .bind(query.limit)
        .fetch_all(&store.readers)
        .await?;
    invoices(&rows)
}

/// The events of an invoice that are still kept, oldest first.
pub(super) async fn history(
    store: &SqliteStore,
    invoice: &Invoice,
) -> Result<Vec<HistoryEvent>, StoreError> {
    let rows = sqlx::query(
        "SELECT seq, event_id, type, previous_status, status, created_at, payload
           FROM outbox WHERE account = ?1 AND external_id = ?2 ORDER BY seq",
    )
    .bind(&invoice.account.0)
    .bind(&invoice.external_id.0)
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(event).collect()
}

/// The newest events, newest first.
pub(super) async fn last_events(
    store: &SqliteStore,
    limit: u32,
) -> Result<Vec<HistoryEvent>, StoreError> {
    let rows = sqlx::query(
        "SELECT seq, event_id, type, previous_status, status, created_at, payload
           FROM outbox ORDER BY seq DESC LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(event).collect()
}

/// Requests a poll of an invoice as soon as the account's rate limit allows.
pub(super) async fn nudge(store: &SqliteStore, id: InvoiceId) -> Result<(), StoreError> {
    let mut writer = store.writer().await?;
    let connection = writer.begin().await?;
    sqlx::query("UPDATE invoices SET next_poll_at = 0 WHERE id = ?1")
        .bind(id.0)
        .execute(connection)
        .await?;
    writer.commit().await
}

pub(super) fn invoices(rows: &[SqliteRow]) -> Result<Vec<Invoice>, StoreError> {
    rows.iter().map(invoice).collect()
}

fn event(row: &SqliteRow) -> Result<HistoryEvent, StoreError> {
    packed::history_event(&mut cells(row)?)
}
