//! Decisions into the database: invoice and outbox in one transaction, a batch at a time.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;

use super::connection::Writer;
use super::schema::{highest_seq, primary_code};
use crate::domain::decide::Decision;
use crate::domain::event;
use crate::domain::invoice::InvoiceId;
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, Written};

/// `SQLITE_CONSTRAINT`: a trigger or an index refused the row.
const CONSTRAINT: i32 = 19;

/// Looks that changed nothing but the plan. A nudge that came after the row was read stays.
pub(super) const RESCHEDULE: &str = "
    UPDATE invoices
       SET next_poll_at   = CASE WHEN next_poll_at = 0 AND look.value ->> 2 IS NOT 0 THEN 0
                                 ELSE look.value ->> 3 END,
           last_polled_at = look.value ->> 4,
           polls          = look.value ->> 5,
           failures       = look.value ->> 6,
           last_error     = look.value ->> 7,
           daemon_writes  = daemon_writes + 1
      FROM json_each(?1) AS look
     WHERE invoices.id = look.value ->> 0 AND invoices.version = look.value ->> 1
 RETURNING id";

/// Events of invoices that still have the version they were decided on.
pub(super) const APPEND: &str = "
    INSERT INTO outbox (seq, event_id, epoch, subject, type, account, external_id, order_id,
                        status, previous_status, version, payload, created_at)
    SELECT event.value ->> 2, event.value ->> 3, ?2, event.value ->> 4, event.value ->> 5,
           invoices.account, invoices.external_id, event.value ->> 6, event.value ->> 7,
           event.value ->> 8, event.value ->> 1 + 1, event.value ->> 9, ?3
      FROM json_each(?1) AS event
      JOIN invoices ON invoices.id = event.value ->> 0
                   AND invoices.version = event.value ->> 1
     ORDER BY event.key";

pub(super) const UPDATE: &str = "
    UPDATE invoices
       SET next_poll_at    = CASE WHEN next_poll_at = 0 AND new.value ->> 2 IS NOT 0
                                       AND new.value ->> 3 IS NOT NULL THEN 0
                                  ELSE new.value ->> 3 END,
           last_polled_at  = new.value ->> 4,
           polls           = new.value ->> 5,
           failures        = new.value ->> 6,
           last_error      = new.value ->> 7,
           version         = new.value ->> 8,
           status          = new.value ->> 9,
           reason          = new.value ->> 10,
           order_id        = new.value ->> 11,
           amount          = new.value ->> 12,
           currency        = new.value ->> 13,
           provider_status = new.value ->> 14,
           order_number    = new.value ->> 15,
           pay_link        = new.value ->> 16,
           direct_pay_link = new.value ->> 17,
           expires_at      = new.value ->> 18,
           paid_at         = new.value ->> 19,
           paid_amount     = new.value ->> 20,
           paid_currency   = new.value ->> 21,
           fee_amount      = new.value ->> 22,
           net_amount      = new.value ->> 23,
           exchange_rate   = new.value ->> 24,
           create_sent_at  = new.value ->> 25,
           ended_at        = new.value ->> 26,
           not_found_since = new.value ->> 27,
           updated_at      = max(?2, updated_at + 1),
           daemon_writes   = daemon_writes + 1
      FROM json_each(?1) AS new
     WHERE invoices.id = new.value ->> 0 AND invoices.version = new.value ->> 1
 RETURNING id";

/// Commits a batch. A row that the database refuses costs only itself: the batch is then written
/// one decision at a time.
pub(super) async fn commit(
    writer: &mut Writer,
    subject_prefix: &str,
    decisions: &[Decision],
    now: UnixMillis,
) -> Result<Vec<Written>, StoreError> {
    match commit_batch(writer, subject_prefix, decisions, now).await? {
        Ok(written) => return Ok(written),
        Err(why) if decisions.len() == 1 => return Ok(vec![Written::Refused(why)]),
        Err(_) => {}
    }
    let mut written = Vec::with_capacity(decisions.len());
    for decision in decisions {
        let alone = std::slice::from_ref(decision);
        match commit_batch(writer, subject_prefix, alone, now).await? {
            Ok(outcome) => written.extend(outcome),
            Err(why) => written.push(Written::Refused(why)),
        }
    }
    Ok(written)
}

/// One transaction. The inner error is a constraint that refused a row; nothing is written then.
async fn commit_batch(
    writer: &mut Writer,
    subject_prefix: &str,
    decisions: &[Decision],
    now: UnixMillis,
) -> Result<Result<Vec<Written>, String>, StoreError> {
    let connection = writer.begin().await?;
    match write(connection, subject_prefix, decisions, now).await {
        Ok(batch) => {
            writer.commit().await?;
            if let Some((epoch, seq)) = &batch.high_water {
                writer.note_high_water(epoch, *seq);
            }
            Ok(Ok(batch.written))
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

struct Batch {
    written: Vec<Written>,
    high_water: Option<(String, i64)>,
}

async fn write(
    connection: &mut SqliteConnection,
    subject_prefix: &str,
    decisions: &[Decision],
    now: UnixMillis,
) -> Result<Batch, sqlx::Error> {
    let mut plans = Vec::new();
    let mut rows = Vec::new();
    let mut events = Vec::new();
    let mut seqs = vec![None; decisions.len()];
    let mut high_water = None;
    if decisions.iter().any(|decision| decision.event.is_some()) {
        let epoch: String = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(&mut *connection)
            .await?;
        let mut seq = highest_seq(connection).await?;
        for (decision, place) in decisions.iter().zip(&mut seqs) {
            if let Some(event) = event_row(decision, subject_prefix, seq + 1, &epoch) {
                seq += 1;
                *place = Some(seq);
                events.push(event);
            }
        }
        high_water = Some((epoch, seq));
    }
    for decision in decisions {
        if decision.facts_changed || decision.event.is_some() {
            rows.push(full_row(decision));
        } else {
            plans.push(plan_row(decision));
        }
    }
    if let Some((epoch, _)) = &high_water {
        sqlx::query(APPEND)
            .bind(Value::Array(events).to_string())
            .bind(epoch)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    let mut written: HashSet<i64> = HashSet::new();
    if !rows.is_empty() {
        let rows = Value::Array(rows).to_string();
        let ids: Vec<i64> = sqlx::query_scalar(UPDATE)
            .bind(rows)
            .bind(now.0)
            .fetch_all(&mut *connection)
            .await?;
        written.extend(ids);
    }
    if !plans.is_empty() {
        let plans = Value::Array(plans).to_string();
        let ids: Vec<i64> = sqlx::query_scalar(RESCHEDULE)
            .bind(plans)
            .fetch_all(connection)
            .await?;
        written.extend(ids);
    }
    let outcome = |(decision, seq): (&Decision, Option<i64>)| {
        if written.contains(&decision.row.id.0) {
            Written::Yes { seq }
        } else {
            Written::Stale
        }
    };
    Ok(Batch {
        written: decisions.iter().zip(seqs).map(outcome).collect(),
        high_water,
    })
}

/// `[id, based on version, seq, event id, subject, type, order id, status, previous, payload]`
fn event_row(decision: &Decision, prefix: &str, seq: i64, epoch: &str) -> Option<Value> {
    let event = decision.event.as_ref()?;
    let kind = event.event_type.as_str();
    Some(json!([
        decision.row.id.0,
        decision.based_on_version,
        seq,
        event.id().to_string(),
        event::subject(prefix, &event.account, kind),
        kind,
        event.facts.order_id.as_ref().map(|id| &id.0),
        event.facts.status.as_str(),
        event.previous_status.as_str(),
        event.payload(seq, epoch),
    ]))
}

/// `[id, based on version, based on plan, next, last, polls, failures, error]`
fn plan_row(decision: &Decision) -> Value {
    let schedule = &decision.row.schedule;
    json!([
        decision.row.id.0,
        decision.based_on_version,
        decision.based_on_next_poll_at.map(|at| at.0),
        schedule.next_poll_at.map(|at| at.0),
        schedule.last_polled_at.map(|at| at.0),
        schedule.polls,
        schedule.failures,
        schedule.last_error,
    ])
}

/// As `plan_row`, followed by version and facts.
fn full_row(decision: &Decision) -> Value {
    let (row, facts) = (&decision.row, &decision.row.facts);
    let mut cells = plan_row(decision);
    let rest = json!([
        row.version,
        facts.status.as_str(),
        facts.reason,
        facts.order_id.as_ref().map(|id| &id.0),
        facts.amount.as_ref().map(|amount| &amount.value),
        facts.amount.as_ref().map(|amount| &amount.currency),
        facts.provider_status,
        facts.order_number,
        facts.pay_link,
        facts.direct_pay_link,
        facts.expires_at.map(|at| at.0),
        facts.paid_at.map(|at| at.0),
        facts.payment.value,
        facts.payment.currency,
        facts.payment.fee,
        facts.payment.net,
        facts.payment.exchange_rate,
        facts.create_sent_at.map(|at| at.0),
        facts.ended_at.map(|at| at.0),
        facts.not_found_since.map(|at| at.0),
    ]);
    if let (Value::Array(cells), Value::Array(rest)) = (&mut cells, rest) {
        cells.extend(rest);
    }
    cells
}

pub(super) async fn mark_creations_sent(
    writer: &mut Writer,
    ids: &[InvoiceId],
    now: UnixMillis,
) -> Result<Vec<InvoiceId>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let connection = writer.begin().await?;
    let present: Vec<i64> = sqlx::query_scalar(
        "UPDATE invoices
            SET create_sent_at = coalesce(create_sent_at, ?2),
                updated_at = max(?2, updated_at + 1), daemon_writes = daemon_writes + 1
          WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'requested'
      RETURNING id",
    )
    .bind(json!(ids).to_string())
    .bind(now.0)
    .fetch_all(connection)
    .await?;
    writer.commit().await?;
    Ok(present.into_iter().map(InvoiceId).collect())
}
