//! The reads and writes of an audit: findings, each recorded once, and adopted orders.

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::error::refusal;
use super::fence::fenced;
use super::row::{cells, place};
use crate::domain::audit::{AuditRow, Discrepancy, EVENT_TYPE};
use crate::domain::event;
use crate::domain::invoice::{AccountName, ExternalId, InvoiceId, OrderId};
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, json_lists, packed};

/// Attempts to record a finding whose invoice changes at the same time.
const FINDING_TRIES: u32 = 5;

macro_rules! packed_audit_row {
    () => {
        "json_build_array(i.id, i.external_id, i.order_id, i.status,
             CASE WHEN i.reason IS DISTINCT FROM 'contradiction' THEN i.provider_status END,
             i.amount, i.currency, i.received_amount, i.refunded_amount, i.refunded_at,
             (i.status = 'paid' AND i.paid_amount IS NULL)::int, i.created_at, i.updated_at)::text"
    };
}

/// By order id, else, where the invoice has none yet, by external id.
const ROWS_OF_ORDERS: &str = concat!(
    "WITH item AS MATERIALIZED (
         SELECT place - 1 AS place, value ->> 0 AS order_id, value ->> 1 AS external_id
           FROM json_array_elements($2::text::json) WITH ORDINALITY AS item (value, place))
     SELECT ",
    packed_audit_row!(),
    ", item.place FROM item CROSS JOIN LATERAL (
         SELECT * FROM payrecond.invoices
          WHERE account = $1 AND order_id = item.order_id LIMIT 1) AS i
     UNION ALL
     SELECT ",
    packed_audit_row!(),
    ", item.place FROM item CROSS JOIN LATERAL (
         SELECT * FROM payrecond.invoices
          WHERE account = $1 AND external_id = item.external_id LIMIT 1) AS i
      WHERE i.order_id IS NULL"
);

const ROWS_BY_ID: &str = concat!(
    "SELECT ",
    packed_audit_row!(),
    " FROM payrecond.invoices AS i WHERE i.id = ANY ($1)"
);

const ROWS_AFTER: &str = concat!(
    "SELECT ",
    packed_audit_row!(),
    " FROM payrecond.invoices AS i WHERE i.id > $2 AND (i.account = $1) IS TRUE ORDER BY i.id LIMIT $3"
);

/// A finding that was never recorded: `$3` its event's id, `$4` now, `$5` the epoch, `$6` its
/// invoice and `$7` the invoice's version, NULL without one; then the event.
const REPORT: &str = concat!(
    fenced!(),
    "moved AS (
         UPDATE payrecond.invoices
            SET version = version + 1, updated_at = greatest($4, updated_at + 1),
                daemon_writes = daemon_writes + 1
          WHERE id = $6 AND version = $7 AND EXISTS (SELECT 1 FROM allowed)
            AND NOT EXISTS (SELECT 1 FROM payrecond.findings WHERE event_id = $3)
      RETURNING 1),
     fresh AS (
         INSERT INTO payrecond.findings (event_id, said_at)
         SELECT $3, $4 FROM allowed
          WHERE $6::bigint IS NULL OR (SELECT count(*) FROM moved) > 0
         ON CONFLICT DO NOTHING RETURNING 1),
     turn AS MATERIALIZED (
         SELECT payrecond.take_outbox_turn()
           FROM (SELECT count(*) AS n FROM fresh) AS f WHERE f.n > 0),
     told AS (
         INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, external_id,
                                       order_id, status, previous_status, version, payload,
                                       created_at)
         SELECT o.seq, $3, $5, $8, $9, $10, $12, $13, $11, $11, $7 + 1, $14 || o.seq || $15, $4
           FROM (SELECT nextval('payrecond.outbox_seq') AS seq FROM turn) AS o
      RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed,
            EXISTS (SELECT 1 FROM payrecond.findings WHERE event_id = $3) AS known,
            (SELECT count(*) FROM told) AS told"
);

pub(super) async fn rows_of_orders(
    store: &PostgresStore,
    account: &AccountName,
    orders: &[ObservedOrder],
) -> Result<Vec<(usize, AuditRow)>, StoreError> {
    let keys = json_lists::order_keys(
        orders
            .iter()
            .map(|order| (&order.order_id, order.external_id.as_ref())),
    );
    let statement = sqlx::query(ROWS_OF_ORDERS).bind(&account.0).bind(keys);
    let rows = store.connections.rows(statement).await?;
    rows.iter()
        .map(|row| Ok((place(row)?, audit_row(row)?)))
        .collect()
}

pub(super) async fn rows_by_id(
    store: &PostgresStore,
    ids: &[InvoiceId],
) -> Result<Vec<AuditRow>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = store
        .connections
        .rows(sqlx::query(ROWS_BY_ID).bind(ids))
        .await?;
    rows.iter().map(audit_row).collect()
}

pub(super) async fn rows_after(
    store: &PostgresStore,
    account: &AccountName,
    after: InvoiceId,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let statement = sqlx::query(ROWS_AFTER)
        .bind(&account.0)
        .bind(after.0)
        .bind(i64::from(limit));
    let rows = store.connections.rows(statement).await?;
    rows.iter().map(audit_row).collect()
}

fn audit_row(row: &PgRow) -> Result<AuditRow, StoreError> {
    packed::audit_row(&mut cells(row)?)
}

/// Records each new finding. Returns how many were recorded.
pub(super) async fn record_findings(
    store: &PostgresStore,
    provider: &str,
    findings: &[Discrepancy],
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let mut told = 0;
    for finding in findings {
        for _ in 0..FINDING_TRIES {
            match report(store, provider, finding, now).await? {
                Reported::Now => told += 1,
                Reported::Before => {}
                Reported::Changed => continue,
            }
            break;
        }
    }
    Ok(told)
}

/// The outcome for a finding.
enum Reported {
    Now,
    Before,
    /// Its invoice was changed meanwhile.
    Changed,
}

async fn report(
    store: &PostgresStore,
    provider: &str,
    finding: &Discrepancy,
    now: UnixMillis,
) -> Result<Reported, StoreError> {
    let about = about(store, finding).await?;
    let next = about.map(|(_, status, version)| (status, version + 1));
    let epoch = store.place.epoch();
    let (head, tail) = event::discrepancy_payload_parts(finding, provider, next, now, epoch);
    let account = AccountName(finding.account.clone());
    let statement = sqlx::query(REPORT)
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(finding.event_id().to_string())
        .bind(now.0)
        .bind(epoch)
        .bind(about.map(|(id, ..)| id))
        .bind(about.map(|(_, _, version)| version))
        .bind(event::subject(store.subject_prefix(), &account, EVENT_TYPE))
        .bind(EVENT_TYPE)
        .bind(&finding.account)
        .bind(about.map(|(_, status, _)| status.as_str()))
        .bind(&finding.external_id)
        .bind(&finding.order_id)
        .bind(head)
        .bind(tail);
    let rows = match store.connections.try_rows(statement).await? {
        Ok(rows) => rows,
        // Another process recorded it at the same time: a version without its event is refused.
        Err(error) if refusal(&error).is_some() => return Ok(Reported::Changed),
        Err(error) => return Err(error.into()),
    };
    let row = store.allowed_row(rows)?;
    Ok(
        match (row.try_get::<i64, _>("told")?, row.try_get("known")?) {
            (0, true) => Reported::Before,
            (0, false) => Reported::Changed,
            _ => Reported::Now,
        },
    )
}

/// The invoice that a finding concerns: its id, status and version.
async fn about(
    store: &PostgresStore,
    finding: &Discrepancy,
) -> Result<Option<(i64, Status, i64)>, StoreError> {
    let Some(id) = finding.invoice else {
        return Ok(None);
    };
    let statement =
        sqlx::query("SELECT id, status, version::bigint FROM payrecond.invoices WHERE id = $1")
            .bind(id.0);
    let Some(row) = store.connections.row(statement).await? else {
        return Ok(None);
    };
    let word: String = row.try_get(1)?;
    let status = Status::parse(&word);
    let (id, version) = (row.try_get(0)?, row.try_get(2)?);
    Ok(status.map(|status| (id, status, version)))
}

const ADOPT_ORDERS: &str = "
    INSERT INTO payrecond.invoices (account, external_id, order_id, amount, currency)
    SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3
      FROM json_array_elements($2::text::json)
    ON CONFLICT DO NOTHING RETURNING order_id";

const ADOPT_LABELS: &str = "
    INSERT INTO payrecond.invoices (account, external_id, status)
    SELECT $1, value ->> 0, 'pending' FROM json_array_elements($2::text::json)
    ON CONFLICT DO NOTHING RETURNING external_id";

/// Adopts orders as invoices, and returns them. Orders whose keys are already used are left out.
pub(super) async fn adopt(
    store: &PostgresStore,
    account: &AccountName,
    orders: &[ObservedOrder],
) -> Result<Vec<OrderId>, StoreError> {
    let rows = json_lists::adoptable_orders(orders);
    let taken = take_in_all(store, ADOPT_ORDERS, account, rows).await?;
    Ok(taken.into_iter().map(OrderId).collect())
}

/// Adopts labels as invoices that wait for money, and returns them. Labels that are already used are
/// left out.
pub(super) async fn adopt_labels(
    store: &PostgresStore,
    account: &AccountName,
    labels: &[ExternalId],
) -> Result<Vec<ExternalId>, StoreError> {
    let rows = labels.iter().map(|label| json!([label.0])).collect();
    let taken = take_in_all(store, ADOPT_LABELS, account, rows).await?;
    Ok(taken.into_iter().map(ExternalId).collect())
}

/// If the database refuses a row, the rows are inserted one by one, so only that row is lost.
async fn take_in_all(
    store: &PostgresStore,
    statement: &'static str,
    account: &AccountName,
    rows: Vec<Value>,
) -> Result<Vec<String>, StoreError> {
    if let Some(all) = take_in(store, statement, account, &rows).await? {
        return Ok(all);
    }
    let mut taken = Vec::new();
    for row in rows {
        let alone = take_in(store, statement, account, &[row]).await?;
        taken.extend(alone.unwrap_or_default());
    }
    Ok(taken)
}

/// The ids or labels of the adopted rows; None if the database refused one, and so all.
async fn take_in(
    store: &PostgresStore,
    statement: &'static str,
    account: &AccountName,
    rows: &[Value],
) -> Result<Option<Vec<String>>, StoreError> {
    let statement = sqlx::query(statement)
        .bind(&account.0)
        .bind(json!(rows).to_string());
    match store.connections.try_rows(statement).await? {
        Ok(rows) => {
            let names = rows.iter().map(|row| Ok(row.try_get(0)?));
            names.collect::<Result<_, StoreError>>().map(Some)
        }
        Err(error) if refusal(&error).is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
