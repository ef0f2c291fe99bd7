//! Queries of one or many invoices with their events, and the two writes of a person.

use sqlx::Row as _;

use super::PostgresStore;
use super::error::refusal;
use super::row::{cells, invoices, packed_invoice};
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::state::Status;
use crate::store::{HistoryEvent, InvoiceQuery, NewInvoice, Reference, StoreError, packed};

/// Selects invoices through their accounts: the indexes begin with the account, and skipping
/// through the few names keeps a search without an account at a few reads.
macro_rules! each_account {
    () => {
        concat!(
            "WITH RECURSIVE names (name) AS (
                 SELECT min(account) FROM payrecond.invoices
                 UNION ALL
                 SELECT (SELECT min(account) FROM payrecond.invoices WHERE account > names.name)
                   FROM names WHERE names.name IS NOT NULL)
             SELECT ",
            packed_invoice!(),
            " FROM names JOIN payrecond.invoices AS i ON i.account = names.name"
        )
    };
}

const BY_ID: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i WHERE i.id = $1 AND ($2::text IS NULL OR i.account = $2)"
);

const BY_EXTERNAL_ID: &str = concat!(
    each_account!(),
    " WHERE i.external_id = $1 AND ($2::text IS NULL OR i.account = $2) ORDER BY i.id"
);

const BY_ORDER_ID: &str = concat!(
    each_account!(),
    " WHERE i.order_id = $1 AND ($2::text IS NULL OR i.account = $2) ORDER BY i.id"
);

const BY_TRANSACTION_ID: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i
      WHERE i.id IN (SELECT known.invoice_id
                       FROM (SELECT DISTINCT account AS name FROM payrecond.transactions) AS names
                       JOIN payrecond.transactions AS known ON known.account = names.name
                      WHERE known.transaction_id = $1)
        AND ($2::text IS NULL OR i.account = $2) ORDER BY i.id"
);

const LIST: &str = concat!(
    "SELECT ",
    packed_invoice!(),
    " FROM payrecond.invoices AS i
      WHERE ($1::text IS NULL OR i.status = $1) AND ($2::text IS NULL OR i.account = $2)
      ORDER BY i.id DESC LIMIT $3"
);

const HISTORY: &str = "
    SELECT json_build_array(seq, event_id, type, previous_status, status, created_at,
                            payload)::text
      FROM payrecond.outbox WHERE account = $1 AND external_id = $2 ORDER BY seq";

const LAST_EVENTS: &str = "
    SELECT json_build_array(seq, event_id, type, previous_status, status, created_at,
                            payload)::text
      FROM payrecond.outbox ORDER BY seq DESC LIMIT $1";

/// Inserts an invoice, as a program would. Columns without a value keep their defaults.
pub(super) async fn insert(
    store: &PostgresStore,
    new: &NewInvoice,
) -> Result<Result<Invoice, String>, StoreError> {
    let statement = sqlx::query(
        "INSERT INTO payrecond.invoices (account, external_id, order_id, amount, currency,
                                         description, timeout_seconds, options, metadata, status)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
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
    .bind(new.follow.then_some(Status::Pending.as_str()));
    let rows = match store.connections.try_rows(statement).await? {
        Ok(rows) => rows,
        Err(error) => {
            return match refusal(&error) {
                Some(why) => Ok(Err(why)),
                None => Err(error.into()),
            };
        }
    };
    let id = rows.first().map(|row| row.try_get(0)).transpose()?;
    let id = Reference::Id(InvoiceId(id.unwrap_or_default()));
    let found = find(store, &id, None).await?.pop();
    found
        .map(Ok)
        .ok_or_else(|| StoreError::Unusable("the new row was deleted".into()))
}

/// The invoices that a reference names: usually one; several accounts may share an external id.
pub(super) async fn find(
    store: &PostgresStore,
    reference: &Reference,
    account: Option<&AccountName>,
) -> Result<Vec<Invoice>, StoreError> {
    let account = account.map(|name| name.0.as_str());
    match reference {
        Reference::Id(id) => {
            let statement = sqlx::query(BY_ID).bind(id.0).bind(account);
            invoices(&store.connections.rows(statement).await?)
        }
        // No id contains a NUL, and PostgreSQL accepts none as a parameter.
        Reference::Text(text) if text.contains('\0') => Ok(Vec::new()),
        Reference::Text(text) => {
            for sql in [BY_EXTERNAL_ID, BY_ORDER_ID, BY_TRANSACTION_ID] {
                let statement = sqlx::query(sql).bind(text).bind(account);
                let found = invoices(&store.connections.rows(statement).await?)?;
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            Ok(Vec::new())
        }
    }
}

/// Invoices, newest first.
pub(super) async fn list(
    store: &PostgresStore,
    query: &InvoiceQuery,
) -> Result<Vec<Invoice>, StoreError> {
    let statement = sqlx::query(LIST)
        .bind(query.status.map(Status::as_str))
        .bind(query.account.as_ref().map(|name| name.0.as_str()))
        .bind(i64::from(query.limit));
    invoices(&store.connections.rows(statement).await?)
}

/// The events of an invoice that are still kept, oldest first.
pub(super) async fn history(
    store: &PostgresStore,
    invoice: &Invoice,
) -> Result<Vec<HistoryEvent>, StoreError> {
    let statement = sqlx::query(HISTORY)
        .bind(&invoice.account.0)
        .bind(&invoice.external_id.0);
    let rows = store.connections.rows(statement).await?;
    let event = |row| packed::history_event(&mut cells(row)?);
    rows.iter().map(event).collect()
}

/// The newest events, newest first.
pub(super) async fn last_events(
    store: &PostgresStore,
    limit: u32,
) -> Result<Vec<HistoryEvent>, StoreError> {
    let statement = sqlx::query(LAST_EVENTS).bind(i64::from(limit));
    let rows = store.connections.rows(statement).await?;
    let event = |row| packed::history_event(&mut cells(row)?);
    rows.iter().map(event).collect()
}

/// Requests a poll of an invoice as soon as the account's rate limit allows.
pub(super) async fn nudge(store: &PostgresStore, id: InvoiceId) -> Result<(), StoreError> {
    let statement = sqlx::query("UPDATE payrecond.invoices SET next_poll_at = 0 WHERE id = $1");
    store.connections.rows(statement.bind(id.0)).await?;
    Ok(())
}
