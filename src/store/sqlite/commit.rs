//! Commits decisions: invoice and outbox in one transaction, a batch at a time.

mod outbox_end;

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::json;
use sqlx::sqlite::SqliteConnection;

use self::outbox_end::OutboxEnd;
use super::connection::WriteConnection;
use super::error::{CONSTRAINT, primary_code};
use super::transactions;
use crate::domain::decide::Decision;
use crate::domain::invoice::InvoiceId;
use crate::domain::time::UnixMillis;
use crate::store::columns::{COLUMNS, Column, Part};
use crate::store::json_rows::JsonRows;
use crate::store::transaction_columns::Owned;
use crate::store::{StoreError, Written};

macro_rules! where_still_so {
    () => {
        "  FROM jsonb_each(?1) AS new
          WHERE invoices.id = new.value ->> 0 AND invoices.version = new.value ->> 1"
    };
}

/// The cells before the columns in a row of the batch: `[id, required version, plan it is based
/// on]`.
const HEADER: usize = 3;

/// The plan. A nudge that came after the row was read is kept, even after the last poll; if the
/// invoice is not polled any more, a trigger removes it.
const NEXT_POLL_AT: &str = "next_poll_at";

/// A statement for each part of a row that may be written; it also writes the parts before.
static UPDATES: LazyLock<[(Part, String); 4]> = LazyLock::new(|| {
    [Part::Plan, Part::Facts, Part::Standing, Part::Order].map(|part| (part, update_up_to(part)))
});

fn update_up_to(part: Part) -> String {
    let mut sets = vec!["daemon_writes = daemon_writes + 1".to_owned()];
    if part > Part::Plan {
        sets.push("updated_at = max(?2, updated_at + 1)".to_owned());
    }
    for (cell, column) in (HEADER..).zip(Column::written(part)) {
        sets.push(if column.name == NEXT_POLL_AT {
            format!(
                "next_poll_at = CASE WHEN next_poll_at = 0 AND new.value ->> 2 IS NOT 0 THEN 0
                                     ELSE new.value ->> {cell} END"
            )
        } else {
            format!("{} = new.value ->> {cell}", column.name)
        });
    }
    format!(
        "UPDATE invoices SET {}{}",
        sets.join(", "),
        where_still_so!()
    )
}

/// The statement that writes a row up to a part.
#[cfg(test)]
pub(super) fn update(part: Part) -> &'static str {
    let statement = UPDATES.iter().find(|(up_to, _)| *up_to == part);
    statement.map_or("", |(_, statement)| statement.as_str())
}

/// The state of a row between two events of one observation: `[id, version before, status]`.
const STEP: &str = concat!(
    "UPDATE invoices
        SET version       = version + 1,
            status        = new.value ->> 2,
            daemon_writes = daemon_writes + 1",
    where_still_so!()
);

/// Decisions based on an outdated version. This query for a few rows is cheaper than returning each
/// row that was written.
pub(super) const STALE: &str = "
    SELECT decided.key
      FROM jsonb_each(?1) AS decided
      LEFT JOIN invoices ON invoices.id = decided.value ->> 0
     WHERE invoices.version IS NOT decided.value ->> 1";

/// What an audit's decision gives back as it was read, besides the plan.
const PLAN_IS_AS_READ: &str =
    "invoices.next_poll_at IS decided.value ->> 2 OR invoices.next_poll_at IS 0";
const AS_READ: [&str; 4] = ["updated_at", "last_polled_at", "polls", "failures"];

/// The same for an audit's decision: any write to the row since it was read counts, except a nudge.
static TOUCHED: LazyLock<String> = LazyLock::new(|| {
    let mut touched = vec![format!("NOT ({PLAN_IS_AS_READ})")];
    for (cell, name) in (HEADER..).zip(AS_READ) {
        touched.push(format!("invoices.{name} IS NOT decided.value ->> {cell}"));
    }
    format!("{STALE} OR {}", touched.join(" OR "))
});

/// What must be unchanged since it was read.
#[derive(Clone, Copy)]
enum Basis {
    Version,
    WholeRow,
}

/// Commits a batch. If the database refuses a row, the batch is written one decision at a time, so
/// only that row is lost.
pub(super) async fn commit(
    writer: &mut WriteConnection,
    subject_prefix: &str,
    decisions: &[Decision],
    now: UnixMillis,
) -> Result<Vec<Written>, StoreError> {
    let version = Basis::Version;
    match commit_batch(writer, subject_prefix, decisions, version, now).await? {
        Ok(written) => return Ok(written),
        Err(why) if decisions.len() == 1 => return Ok(vec![Written::Refused(why)]),
        Err(_) => {}
    }
    let mut written = Vec::with_capacity(decisions.len());
    for decision in decisions {
        let alone = std::slice::from_ref(decision);
        match commit_batch(writer, subject_prefix, alone, version, now).await? {
            Ok(outcome) => written.extend(outcome),
            Err(why) => written.push(Written::Refused(why)),
        }
    }
    Ok(written)
}

/// Commits an audit's decision.
pub(super) async fn commit_audit_decision(
    writer: &mut WriteConnection,
    subject_prefix: &str,
    decision: &Decision,
    now: UnixMillis,
) -> Result<Written, StoreError> {
    let alone = std::slice::from_ref(decision);
    let written = commit_batch(writer, subject_prefix, alone, Basis::WholeRow, now).await?;
    Ok(match written {
        Ok(outcome) => outcome.into_iter().next().unwrap_or(Written::Stale),
        Err(why) => Written::Refused(why),
    })
}

/// One transaction. The inner error is a constraint that refused a row; then nothing is written.
async fn commit_batch(
    writer: &mut WriteConnection,
    subject_prefix: &str,
    decisions: &[Decision],
    basis: Basis,
    now: UnixMillis,
) -> Result<Result<Vec<Written>, String>, StoreError> {
    let gives_numbers = decisions.iter().any(|decision| decision.event.is_some());
    let connection = if gives_numbers {
        writer.begin_events().await?
    } else {
        writer.begin().await?
    };
    match write(connection, subject_prefix, decisions, basis, now).await {
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

struct WrittenBatch {
    written: Vec<Written>,
    high_water: Option<(String, i64)>,
}

async fn write(
    connection: &mut SqliteConnection,
    subject_prefix: &str,
    decisions: &[Decision],
    basis: Basis,
    now: UnixMillis,
) -> Result<WrittenBatch, sqlx::Error> {
    let stale = stale(connection, decisions, basis).await?;
    let mut seqs = vec![None; decisions.len()];
    let mut high_water = None;
    // A stale decision takes no seq: a number that is not inserted would leave a gap.
    let fresh: Vec<(usize, &Decision)> = decisions
        .iter()
        .enumerate()
        .filter(|(index, _)| !stale.contains(index))
        .collect();
    if fresh.iter().any(|(_, decision)| decision.event.is_some()) {
        let mut outbox = OutboxEnd::of(connection, subject_prefix, now).await?;
        outbox.append_earlier(connection, &fresh).await?;
        let last = fresh
            .iter()
            .filter_map(|&(index, decision)| Some((index, decision, decision.event.as_deref()?)));
        for (index, seq) in outbox.append(connection, last).await? {
            seqs[index] = Some(seq);
        }
        high_water = Some((outbox.epoch, outbox.seq));
    }
    transactions::write(connection, &owned_by_invoices(&fresh), now).await?;
    write_rows(connection, fresh, now).await?;
    let outcome = |(index, seq): (usize, Option<i64>)| {
        if stale.contains(&index) {
            Written::Stale
        } else {
            Written::Yes { seq }
        }
    };
    Ok(WrittenBatch {
        written: seqs.into_iter().enumerate().map(outcome).collect(),
        high_water,
    })
}

fn owned_by_invoices<'d>(decisions: &[(usize, &'d Decision)]) -> Vec<Owned<'d>> {
    let mut owned = Vec::new();
    for (_, decision) in decisions {
        let row = &decision.row;
        owned.extend(decision.transactions.iter().map(|transaction| Owned {
            account: &row.account,
            invoice: Some(row.id),
            transaction,
        }));
    }
    owned
}

/// Writes the rows in the order of the table.
async fn write_rows(
    connection: &mut SqliteConnection,
    mut decisions: Vec<(usize, &Decision)>,
    now: UnixMillis,
) -> Result<(), sqlx::Error> {
    decisions.sort_unstable_by_key(|(_, decision)| decision.row.id);
    for (part, statement) in UPDATES.iter().rev() {
        let mut rows = JsonRows::new();
        for (_, decision) in &decisions {
            if changed_part(decision) == *part {
                rows.push(|rows| {
                    header_cells(rows, decision, decision.version_before_last());
                    for column in Column::written(*part) {
                        (column.write)(rows, &decision.row);
                    }
                });
            }
        }
        if !rows.is_empty() {
            // A change of the plan alone does not need the time.
            sqlx::query(statement.as_str())
                .bind(rows.finish())
                .bind(now.0)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

/// The last part of the row that a decision changes.
fn changed_part(decision: &Decision) -> Part {
    if decision.order_learned {
        Part::Order
    } else if decision.event.is_some() {
        Part::Standing
    } else if decision.facts_changed {
        Part::Facts
    } else {
        Part::Plan
    }
}

fn header_cells(rows: &mut JsonRows, decision: &Decision, version: i64) {
    rows.number(decision.row.id.0);
    rows.number(version);
    rows.time(decision.based_on_next_poll_at);
}

/// Which of the decisions are based on an outdated version.
async fn stale(
    connection: &mut SqliteConnection,
    decisions: &[Decision],
    basis: Basis,
) -> Result<HashSet<usize>, sqlx::Error> {
    let mut read = JsonRows::new();
    for decision in decisions {
        read.push(|rows| {
            header_cells(rows, decision, decision.based_on_version);
            match basis {
                Basis::Version => {}
                Basis::WholeRow => as_read_cells(rows, decision),
            }
        });
    }
    let statement = match basis {
        Basis::Version => STALE,
        Basis::WholeRow => TOUCHED.as_str(),
    };
    let keys: Vec<i64> = sqlx::query_scalar(statement)
        .bind(read.finish())
        .fetch_all(connection)
        .await?;
    let index = |key| usize::try_from(key).unwrap_or_default();
    Ok(keys.into_iter().map(index).collect())
}

fn as_read_cells(rows: &mut JsonRows, decision: &Decision) {
    for name in AS_READ {
        if let Some(column) = COLUMNS.iter().find(|column| column.name == name) {
            (column.write)(rows, &decision.row);
        }
    }
}

pub(super) async fn mark_creations_sent(
    writer: &mut WriteConnection,
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
