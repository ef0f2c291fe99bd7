//! Decisions into the database: invoice and outbox in one transaction, a batch at a time.

use std::collections::HashSet;

use serde_json::json;
use sqlx::sqlite::SqliteConnection;

use super::batch::{
    JsonRows, OutgoingEvent, event_cells, move_cells, note_cells, plan_cells, step_cells,
    whole_row_cells,
};
use super::connection::WriteConnection;
use super::error::{CONSTRAINT, primary_code};
use super::schema::highest_seq;
use super::transactions::{self, Owned};
use crate::domain::decide::Decision;
use crate::domain::event::Event;
use crate::domain::invoice::InvoiceId;
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, Written};

/// The plan of looks. A nudge that came after the row was read stays, also after the last look;
/// where nothing is looked at any more a trigger takes it off.
macro_rules! set_plan {
    () => {
        "UPDATE invoices
            SET next_poll_at   = CASE WHEN next_poll_at = 0 AND new.value ->> 2 IS NOT 0 THEN 0
                                      ELSE new.value ->> 3 END,
                last_polled_at = new.value ->> 4,
                polls          = new.value ->> 5,
                failures       = new.value ->> 6,
                last_error     = new.value ->> 7,
                daemon_writes  = daemon_writes + 1"
    };
}

/// Facts in which nothing is looked up.
macro_rules! set_facts {
    () => {
        ",      reason          = new.value ->> 8,
                amount          = new.value ->> 9,
                currency        = new.value ->> 10,
                provider_status = new.value ->> 11,
                order_number    = new.value ->> 12,
                pay_link        = new.value ->> 13,
                direct_pay_link = new.value ->> 14,
                expires_at      = new.value ->> 15,
                paid_at         = new.value ->> 16,
                paid_amount     = new.value ->> 17,
                paid_currency   = new.value ->> 18,
                fee_amount      = new.value ->> 19,
                net_amount      = new.value ->> 20,
                exchange_rate   = new.value ->> 21,
                received_amount = new.value ->> 22,
                refunded_amount = new.value ->> 23,
                refunded_at     = new.value ->> 24,
                is_test         = new.value ->> 25,
                create_sent_at  = new.value ->> 26,
                ended_at        = new.value ->> 27,
                not_found_since = new.value ->> 28,
                updated_at      = max(?2, updated_at + 1)"
    };
}

/// In an index, or guarded by triggers, as the order is: such a column costs as much when it is
/// only named as when it changes.
macro_rules! set_standing {
    () => {
        ",      version         = new.value ->> 29,
                status          = new.value ->> 30"
    };
}

macro_rules! where_still_so {
    () => {
        "  FROM jsonb_each(?1) AS new
          WHERE invoices.id = new.value ->> 0 AND invoices.version = new.value ->> 1"
    };
}

/// Looks that changed nothing but the plan.
pub(super) const RESCHEDULE: &str = concat!(set_plan!(), where_still_so!());

/// Looks that taught something, but moved nothing.
pub(super) const NOTE: &str = concat!(set_plan!(), set_facts!(), where_still_so!());

/// Looks with something to say.
pub(super) const MOVE: &str = concat!(
    set_plan!(),
    set_facts!(),
    set_standing!(),
    where_still_so!()
);

/// The first word of an order.
pub(super) const LEARN: &str = concat!(
    set_plan!(),
    set_facts!(),
    set_standing!(),
    ", order_id = new.value ->> 31",
    where_still_so!()
);

/// The row between two events of one observation.
const STEP: &str = concat!(
    "UPDATE invoices
        SET version       = new.value ->> 2,
            status        = new.value ->> 3,
            daemon_writes = daemon_writes + 1",
    where_still_so!()
);

/// Events of invoices that still have the version they were decided on.
pub(super) const APPEND: &str = "
    INSERT INTO outbox (seq, event_id, epoch, subject, type, account, external_id, order_id,
                        status, previous_status, version, payload, created_at)
    SELECT event.value ->> 2, event.value ->> 3, ?2, event.value ->> 4, event.value ->> 5,
           invoices.account, invoices.external_id, event.value ->> 6, event.value ->> 7,
           event.value ->> 8, event.value ->> 1 + 1, event.value ->> 9, ?3
      FROM jsonb_each(?1) AS event
      JOIN invoices ON invoices.id = event.value ->> 0
                   AND invoices.version = event.value ->> 1
     ORDER BY event.key";

/// Decisions that rest on a version that is no more. Asking for these few is cheaper than having
/// each row that was written returned.
pub(super) const STALE: &str = "
    SELECT decided.key
      FROM jsonb_each(?1) AS decided
      LEFT JOIN invoices ON invoices.id = decided.value ->> 0
     WHERE invoices.version IS NOT decided.value ->> 1";

/// The same of decisions aside: anything written to the row since it was read counts, but a nudge.
const TOUCHED: &str = "
    SELECT decided.key
      FROM jsonb_each(?1) AS decided
      LEFT JOIN invoices ON invoices.id = decided.value ->> 0
     WHERE invoices.version IS NOT decided.value ->> 1
        OR invoices.updated_at IS NOT decided.value ->> 2
        OR invoices.next_poll_at IS NOT decided.value ->> 3 AND invoices.next_poll_at IS NOT 0
        OR invoices.last_polled_at IS NOT decided.value ->> 4
        OR invoices.polls IS NOT decided.value ->> 5
        OR invoices.failures IS NOT decided.value ->> 6";

/// What must still be as it was read.
#[derive(Clone, Copy)]
enum Basis {
    Version,
    WholeRow,
}

/// Commits a batch. A row that the database refuses costs only itself: the batch is then written
/// one decision at a time.
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

/// Commits a decision aside.
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

/// One transaction. The inner error is a constraint that refused a row; nothing is written then.
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
    // A stale one takes no seq: a number that is not inserted would lead the database.
    let fresh: Vec<(usize, &Decision)> = decisions
        .iter()
        .enumerate()
        .filter(|(index, _)| !stale.contains(index))
        .collect();
    if fresh.iter().any(|(_, decision)| decision.event.is_some()) {
        let mut outbox = Outbox::of(connection, subject_prefix, now).await?;
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
    update(connection, fresh, now).await?;
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

/// The end of the outbox.
struct Outbox<'a> {
    prefix: &'a str,
    epoch: String,
    /// The highest given out.
    seq: i64,
    now: UnixMillis,
}

impl<'a> Outbox<'a> {
    async fn of(
        connection: &mut SqliteConnection,
        prefix: &'a str,
        now: UnixMillis,
    ) -> Result<Self, sqlx::Error> {
        let epoch = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_one(&mut *connection)
            .await?;
        Ok(Self {
            prefix,
            epoch,
            seq: highest_seq(connection).await?,
            now,
        })
    }

    /// Appends events in this order. Returns the seq of each, by the index that came with it.
    async fn append<'d>(
        &mut self,
        connection: &mut SqliteConnection,
        events: impl Iterator<Item = (usize, &'d Decision, &'d Event)>,
    ) -> Result<Vec<(usize, i64)>, sqlx::Error> {
        let mut rows = JsonRows::new();
        let mut seqs = Vec::new();
        for (index, decision, event) in events {
            self.seq += 1;
            seqs.push((index, self.seq));
            let row = OutgoingEvent {
                decision,
                event,
                seq: self.seq,
                prefix: self.prefix,
                epoch: &self.epoch,
            };
            rows.push(|rows| event_cells(rows, &row));
        }
        sqlx::query(APPEND)
            .bind(rows.finish())
            .bind(&self.epoch)
            .bind(self.now.0)
            .execute(connection)
            .await?;
        Ok(seqs)
    }

    /// Events that others of the same observation follow, one of each decision at a time: an event
    /// carries the version after its row's.
    async fn append_earlier(
        &mut self,
        connection: &mut SqliteConnection,
        decisions: &[(usize, &Decision)],
    ) -> Result<(), sqlx::Error> {
        let most = decisions.iter().map(|(_, d)| d.earlier.len()).max();
        for round in 0..most.unwrap_or_default() {
            let events: Vec<(usize, &Decision, &Event)> = decisions
                .iter()
                .filter_map(|&(index, d)| Some((index, d, d.earlier.get(round)?)))
                .collect();
            self.append(connection, events.iter().copied()).await?;
            let mut steps = JsonRows::new();
            for (_, decision, event) in events {
                steps.push(|rows| step_cells(rows, decision, event));
            }
            sqlx::query(STEP)
                .bind(steps.finish())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
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

/// Writes the rows, in the order in which they lie in the table.
async fn update(
    connection: &mut SqliteConnection,
    mut decisions: Vec<(usize, &Decision)>,
    now: UnixMillis,
) -> Result<(), sqlx::Error> {
    decisions.sort_unstable_by_key(|(_, decision)| decision.row.id);
    let [mut plans, mut notes, mut moves, mut learned] = std::array::from_fn(|_| JsonRows::new());
    for (_, decision) in decisions {
        if decision.order_learned {
            learned.push(|rows| move_cells(rows, decision));
        } else if decision.event.is_some() {
            moves.push(|rows| move_cells(rows, decision));
        } else if decision.facts_changed {
            notes.push(|rows| note_cells(rows, decision));
        } else {
            plans.push(|rows| plan_cells(rows, decision));
        }
    }
    for (statement, rows) in [
        (LEARN, learned),
        (MOVE, moves),
        (NOTE, notes),
        (RESCHEDULE, plans),
    ] {
        if !rows.is_empty() {
            // The last has no use for the time.
            sqlx::query(statement)
                .bind(rows.finish())
                .bind(now.0)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

/// Which of the decisions rest on a version that is no more.
async fn stale(
    connection: &mut SqliteConnection,
    decisions: &[Decision],
    basis: Basis,
) -> Result<HashSet<usize>, sqlx::Error> {
    let mut read = JsonRows::new();
    for decision in decisions {
        read.push(|rows| {
            rows.number(decision.row.id.0);
            rows.number(decision.based_on_version);
            match basis {
                Basis::Version => {}
                Basis::WholeRow => whole_row_cells(rows, decision),
            }
        });
    }
    let statement = match basis {
        Basis::Version => STALE,
        Basis::WholeRow => TOUCHED,
    };
    let keys: Vec<i64> = sqlx::query_scalar(statement)
        .bind(read.finish())
        .fetch_all(connection)
        .await?;
    let index = |key| usize::try_from(key).unwrap_or_default();
    Ok(keys.into_iter().map(index).collect())
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
