//! The reads and writes of an audit: findings, each recorded once, and adopted orders.

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row as _, SqlitePool};

use super::connection::WriteConnection;
use super::error::{CONSTRAINT, primary_code};
use super::row::cells;
use super::schema::highest_seq;
use crate::domain::audit::{AuditRow, Discrepancy, EVENT_TYPE};
use crate::domain::event;
use crate::domain::invoice::{AccountName, ExternalId, InvoiceId, OrderId};
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, json_lists, packed};

macro_rules! audit_columns {
    () => {
        "invoices.id, external_id, order_id, status,
         CASE WHEN reason IS NOT 'contradiction' THEN provider_status END,
         amount, currency, received_amount, refunded_amount, refunded_at,
         status = 'paid' AND paid_amount IS NULL, created_at, updated_at"
    };
}

/// By order id, else, where the invoice has none yet, by external id.
const ROWS_OF_ORDERS: &str = concat!(
    "SELECT item.key, ",
    audit_columns!(),
    " FROM json_each(?2) AS item CROSS JOIN invoices
        ON invoices.account = ?1 AND invoices.order_id = item.value ->> 0
     UNION ALL
     SELECT item.key, ",
    audit_columns!(),
    " FROM json_each(?2) AS item CROSS JOIN invoices
        ON invoices.account = ?1 AND invoices.external_id = item.value ->> 1
       AND invoices.order_id IS NULL"
);

const ROWS_BY_ID: &str = concat!(
    "SELECT 0, ",
    audit_columns!(),
    " FROM json_each(?1) AS item CROSS JOIN invoices ON invoices.id = item.value"
);

const ROWS_AFTER: &str = concat!(
    "SELECT 0, ",
    audit_columns!(),
    " FROM invoices WHERE id > ?2 AND account = ?1 ORDER BY id LIMIT ?3"
);

pub(super) async fn rows_of_orders(
    readers: &SqlitePool,
    account: &AccountName,
    orders: &[ObservedOrder],
) -> Result<Vec<(usize, AuditRow)>, StoreError> {
    let keys = json_lists::order_keys(
        orders
            .iter()
            .map(|order| (&order.order_id, order.external_id.as_ref())),
    );
    let rows = sqlx::query(ROWS_OF_ORDERS)
        .bind(&account.0)
        .bind(keys)
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| {
            let key: i64 = row.try_get(0)?;
            Ok((usize::try_from(key).unwrap_or_default(), audit_row(row)?))
        })
        .collect()
}

pub(super) async fn rows_by_id(
    readers: &SqlitePool,
    ids: &[InvoiceId],
) -> Result<Vec<AuditRow>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(ROWS_BY_ID)
        .bind(json!(ids).to_string())
        .fetch_all(readers)
        .await?;
    rows.iter().map(audit_row).collect()
}

pub(super) async fn rows_after(
    readers: &SqlitePool,
    account: &AccountName,
    after: InvoiceId,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let rows = sqlx::query(ROWS_AFTER)
        .bind(&account.0)
        .bind(after.0)
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter().map(audit_row).collect()
}

/// The first column is the place of the order that was asked for.
fn audit_row(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    let mut cells = cells(row)?;
    cells.number()?;
    packed::audit_row(&mut cells)
}

/// Records each new finding. Returns how many were recorded.
pub(super) async fn say(
    writer: &mut WriteConnection,
    prefix: &str,
    provider: &str,
    findings: &[Discrepancy],
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let connection = writer.begin_events().await?;
    let epoch: String = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
        .fetch_one(&mut *connection)
        .await?;
    let mut said = 0;
    for finding in findings {
        let event_id = finding.event_id().to_string();
        let new = sqlx::query("INSERT OR IGNORE INTO findings (event_id, said_at) VALUES (?1, ?2)")
            .bind(&event_id)
            .bind(now.0)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        if new == 1 {
            append(connection, (prefix, provider, &epoch), finding, now).await?;
            said += 1;
        }
    }
    let seq = highest_seq(connection).await?;
    writer.commit().await?;
    if said > 0 {
        writer.note_high_water(&epoch, seq);
    }
    Ok(said)
}

async fn append(
    connection: &mut SqliteConnection,
    (prefix, provider, epoch): (&str, &str, &str),
    finding: &Discrepancy,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let invoice: Option<(i64, String, i64)> = match finding.invoice {
        Some(id) => {
            sqlx::query_as("SELECT id, status, version FROM invoices WHERE id = ?1")
                .bind(id.0)
                .fetch_optional(&mut *connection)
                .await?
        }
        None => None,
    };
    let about = invoice
        .as_ref()
        .and_then(|(_, word, version)| Status::parse(word).map(|status| (status, version + 1)));
    let seq = highest_seq(connection).await? + 1;
    let account = AccountName(finding.account.clone());
    let status = about.map(|(status, _)| status.as_str());
    sqlx::query(
        "INSERT INTO outbox (seq, event_id, epoch, subject, type, account, external_id, order_id,
                             status, previous_status, version, payload, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12)",
    )
    .bind(seq)
    .bind(finding.event_id().to_string())
    .bind(epoch)
    .bind(event::subject(prefix, &account, EVENT_TYPE))
    .bind(EVENT_TYPE)
    .bind(&finding.account)
    .bind(&finding.external_id)
    .bind(&finding.order_id)
    .bind(status)
    .bind(about.map(|(_, version)| version))
    .bind(event::discrepancy_payload(
        finding,
        provider,
        about,
        now,
        (seq, epoch),
    ))
    .bind(now.0)
    .execute(&mut *connection)
    .await?;
    if let (Some((id, ..)), Some((_, version))) = (invoice, about) {
        sqlx::query(
            "UPDATE invoices
                SET version = ?2, updated_at = max(?3, updated_at + 1),
                    daemon_writes = daemon_writes + 1
              WHERE id = ?1",
        )
        .bind(id)
        .bind(version)
        .bind(now.0)
        .execute(connection)
        .await?;
    }
    Ok(())
}

const ADOPT_ORDERS: &str = "
    INSERT OR IGNORE INTO invoices (account, external_id, order_id, amount, currency)
    SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)
    RETURNING order_id";

const ADOPT_LABELS: &str = "
    INSERT OR IGNORE INTO invoices (account, external_id, status)
    SELECT ?1, value ->> 0, 'pending' FROM json_each(?2)
    RETURNING external_id";

/// Adopts orders as invoices, and returns them. Orders whose keys are already used are left out.
pub(super) async fn adopt(
    writer: &mut WriteConnection,
    account: &AccountName,
    orders: &[ObservedOrder],
) -> Result<Vec<OrderId>, StoreError> {
    let rows = json_lists::adoptable_orders(orders);
    let taken = take_in_all(writer, ADOPT_ORDERS, account, rows).await?;
    Ok(taken.into_iter().map(OrderId).collect())
}

/// Adopts labels as invoices that wait for money, and returns them. Labels that are already used are
/// left out.
pub(super) async fn adopt_labels(
    writer: &mut WriteConnection,
    account: &AccountName,
    labels: &[ExternalId],
) -> Result<Vec<ExternalId>, StoreError> {
    let rows = labels.iter().map(|label| json!([label.0])).collect();
    let taken = take_in_all(writer, ADOPT_LABELS, account, rows).await?;
    Ok(taken.into_iter().map(ExternalId).collect())
}

/// If the database refuses a row, the rows are inserted one by one, so only that row is lost.
async fn take_in_all(
    writer: &mut WriteConnection,
    statement: &'static str,
    account: &AccountName,
    rows: Vec<Value>,
) -> Result<Vec<String>, StoreError> {
    let connection = writer.begin().await?;
    let taken = if let Some(all) = take_in(connection, statement, account, &rows).await? {
        all
    } else {
        let mut taken = Vec::new();
        for row in rows {
            let alone = take_in(connection, statement, account, &[row]).await?;
            taken.extend(alone.unwrap_or_default());
        }
        taken
    };
    writer.commit().await?;
    Ok(taken)
}

/// The ids or labels of the adopted rows; None if the database refused one. Then nothing of the
/// statement is kept, and the transaction continues.
async fn take_in(
    connection: &mut SqliteConnection,
    statement: &'static str,
    account: &AccountName,
    rows: &[Value],
) -> Result<Option<Vec<String>>, sqlx::Error> {
    let inserted = sqlx::query_scalar(statement)
        .bind(&account.0)
        .bind(json!(rows).to_string())
        .fetch_all(connection)
        .await;
    match inserted {
        Ok(taken) => Ok(Some(taken)),
        Err(error) => match error.as_database_error() {
            Some(refusal) if primary_code(refusal) == CONSTRAINT => Ok(None),
            _ => Err(error),
        },
    }
}
