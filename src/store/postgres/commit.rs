//! Commits decisions: rows, events and transactions in one statement, a batch at a time.
//!
//! The statement first updates the rows, then takes the outbox's lock, then numbers and inserts the
//! events. So numbers ascend in the order of commits, a program that holds a row delays no other
//! writer waiting for the lock, and no client can be paused between the lock and the commit.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::batch::{DecidedRow, EventRow, TransactionRow, json};
use super::error::{is_locked, refusal};
use super::fence::fenced;
use super::transactions::{movements, write_transactions};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, Written};

/// `$3` the decisions, `$4` now, `$5` the epoch, `$6` whether the row must be completely unchanged
/// since it was read, `$7` whether rows locked by others are left out. Rows are sent under short names,
/// which only this statement knows.
macro_rules! decided {
    () => {
        concat!(
            fenced!(),
            "current AS MATERIALIZED (
                 SELECT 1 FROM allowed, payrecond.meta WHERE key = 'epoch' AND value = $5),
             decision AS MATERIALIZED (
                 SELECT ord AS place, id, ver AS based_on_version, nver AS version,
                        bp AS based_on_plan, np AS next_poll_at, lp AS last_polled_at, po AS polls,
                        fa AS failures, er AS last_error, bu AS based_on_update, facts,
                        st AS status, ord_id AS order_id, rs AS reason, am AS amount,
                        cu AS currency, ps AS provider_status, num AS order_number, pl AS pay_link,
                        dpl AS direct_pay_link, ex AS expires_at, pa AS paid_at,
                        pav AS paid_amount, pac AS paid_currency, fee AS fee_amount,
                        net AS net_amount, rate AS exchange_rate, rec AS received_amount,
                        refd AS refunded_amount, refa AS refunded_at, test AS is_test,
                        sent AS create_sent_at, ended AS ended_at, nf AS not_found_since
                   FROM json_to_recordset($3::text::json) AS sent_rows (
                     ord bigint, id bigint, ver bigint, nver bigint, bp bigint, np bigint,
                     lp bigint, po bigint, fa bigint, er text, bu bigint, facts boolean,
                     st text, ord_id text, rs text, am text, cu text, ps text, num text, pl text,
                     dpl text, ex bigint, pa bigint, pav text, pac text, fee text, net text,
                     rate text, rec text, refd text, refa bigint, test bigint, sent bigint,
                     ended bigint, nf bigint)),
             free AS MATERIALIZED (
                 SELECT id FROM payrecond.invoices
                  WHERE $7 AND id IN (SELECT id FROM decision) FOR NO KEY UPDATE SKIP LOCKED), "
        )
    };
}

/// The plan. A nudge that came after the row was read is kept, even after the last poll; if the
/// invoice is not polled any more, it is removed.
macro_rules! set_plan {
    ($nudged:literal) => {
        concat!(
            "UPDATE payrecond.invoices AS i
                SET next_poll_at   = CASE WHEN ",
            $nudged,
            " THEN 0 ELSE decision.next_poll_at END,
                    last_polled_at = decision.last_polled_at,
                    polls          = decision.polls,
                    failures       = decision.failures,
                    last_error     = decision.last_error,
                    daemon_writes  = i.daemon_writes + 1"
        )
    };
}

macro_rules! where_still_so {
    () => {
        "  FROM decision
          WHERE i.id = decision.id AND i.version = decision.based_on_version AND EXISTS (SELECT 1 FROM current)
            AND (NOT $7 OR i.id IN (SELECT id FROM free))
            AND (NOT $6 OR i.updated_at = decision.based_on_update
                           AND (i.next_poll_at IS NOT DISTINCT FROM decision.based_on_plan OR i.next_poll_at = 0)
                           AND i.last_polled_at IS NOT DISTINCT FROM decision.last_polled_at
                           AND i.polls = decision.polls AND i.failures = decision.failures)"
    };
}

/// Polls that changed only the plan.
macro_rules! planned {
    () => {
        concat!(
            "planned AS (",
            set_plan!("i.next_poll_at = 0 AND decision.based_on_plan IS DISTINCT FROM 0"),
            where_still_so!(),
            " AND decision.facts IS NULL RETURNING decision.place)"
        )
    };
}

/// For most batches: nothing was learned.
const RESCHEDULE: &str = concat!(
    decided!(),
    planned!(),
    " SELECT decision.place, p.place IS NOT NULL AS written, NULL::bigint AS seq,
             EXISTS (SELECT 1 FROM allowed) AS allowed, EXISTS (SELECT 1 FROM current) AS current
        FROM decision LEFT JOIN planned AS p ON p.place = decision.place"
);

/// `$8` the events, `$9` the transactions.
const RECORD: &str = concat!(
    decided!(),
    planned!(),
    ", moved AS (",
    set_plan!(
        "i.next_poll_at = 0 AND decision.based_on_plan IS DISTINCT FROM 0 AND decision.status NOT IN ('paid', 'rejected')"
    ),
    ",              version         = decision.version,
                    status          = decision.status,
                    order_id        = coalesce(i.order_id, decision.order_id),
                    reason          = decision.reason,
                    amount          = decision.amount,
                    currency        = decision.currency,
                    provider_status = decision.provider_status,
                    order_number    = decision.order_number,
                    pay_link        = decision.pay_link,
                    direct_pay_link = decision.direct_pay_link,
                    expires_at      = decision.expires_at,
                    paid_at         = decision.paid_at,
                    paid_amount     = decision.paid_amount,
                    paid_currency   = decision.paid_currency,
                    fee_amount      = decision.fee_amount,
                    net_amount      = decision.net_amount,
                    exchange_rate   = decision.exchange_rate,
                    received_amount = decision.received_amount,
                    refunded_amount = decision.refunded_amount,
                    refunded_at     = decision.refunded_at,
                    is_test         = decision.is_test,
                    create_sent_at  = decision.create_sent_at,
                    ended_at        = decision.ended_at,
                    not_found_since = decision.not_found_since,
                    updated_at      = greatest($4, i.updated_at + 1)",
    where_still_so!(),
    " AND decision.facts RETURNING decision.place, i.account, i.external_id),
     new_event AS MATERIALIZED (
         SELECT sent_events.n AS number, sent_events.ord AS place, last AS is_last, eid AS event_id,
                sub AS subject, typ AS type, ord_id AS order_id, st AS status,
                pst AS previous_status, ver AS version, head AS payload_head,
                tail AS payload_tail, m.account, m.external_id
           FROM json_to_recordset($8::text::json) AS sent_events (
                    n bigint, ord bigint, last boolean, eid text, sub text, typ text, ord_id text,
                    st text, pst text, ver bigint, head text, tail text)
           JOIN moved AS m ON m.place = sent_events.ord),
     turn AS MATERIALIZED (
         SELECT payrecond.take_outbox_turn()
           FROM (SELECT (SELECT count(*) FROM new_event) AS events,
                        (SELECT count(*) FROM planned) AS plans) AS before
          WHERE before.events > 0 AND before.plans >= 0),
     told AS (
         INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, external_id,
                                       order_id, status, previous_status, version, payload,
                                       created_at)
         SELECT o.seq, o.event_id, $5, o.subject, o.type, o.account, o.external_id, o.order_id,
                o.status, o.previous_status, o.version, o.payload_head || o.seq || o.payload_tail, $4
           FROM (SELECT nextval('payrecond.outbox_seq') AS seq, ordered.*
                   FROM (SELECT new_event.* FROM turn CROSS JOIN new_event
                          ORDER BY new_event.number) AS ordered) AS o
      RETURNING event_id, seq),
     movement AS MATERIALIZED (",
    movements!("$9"),
    "WHERE sent_movements.ord IN (SELECT place FROM moved UNION ALL SELECT place FROM planned)),
     kept AS (",
    write_transactions!("$4"),
    ")
     SELECT decision.place, p.place IS NOT NULL OR m.place IS NOT NULL AS written, told.seq,
            EXISTS (SELECT 1 FROM allowed) AS allowed, EXISTS (SELECT 1 FROM current) AS current
       FROM decision
       LEFT JOIN planned AS p ON p.place = decision.place
       LEFT JOIN moved AS m ON m.place = decision.place
       LEFT JOIN new_event ON new_event.place = decision.place AND new_event.is_last
       LEFT JOIN told ON told.event_id = new_event.event_id"
);

/// Creations that are about to be sent. `$5`: those whose rows others hold are left out.
const MARK_CREATIONS: &str = concat!(
    fenced!(),
    "free AS MATERIALIZED (
         SELECT id FROM payrecond.invoices
          WHERE $5 AND id = ANY ($3) FOR NO KEY UPDATE SKIP LOCKED),
     marked AS (
         UPDATE payrecond.invoices AS i
            SET create_sent_at = coalesce(i.create_sent_at, $4),
                updated_at = greatest($4, i.updated_at + 1),
                daemon_writes = i.daemon_writes + 1
          WHERE i.id = ANY ($3) AND i.status = 'requested' AND EXISTS (SELECT 1 FROM allowed)
            AND (NOT $5 OR i.id IN (SELECT id FROM free))
      RETURNING i.id),
     held AS (
         SELECT account, next_poll_at FROM payrecond.invoices
          WHERE id = ANY ($3) AND status = 'requested' AND id NOT IN (SELECT id FROM marked))
     SELECT EXISTS (SELECT 1 FROM allowed) AS allowed,
            ARRAY (SELECT id FROM marked ORDER BY id) AS ids,
            (SELECT min(account) FROM held) AS held_account,
            (SELECT min(next_poll_at) FROM held) AS held_plan"
);

/// What must be unchanged since it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unchanged {
    Version,
    WholeRow,
}

/// Commits a batch. If the database refuses a row, the batch is written one decision at a time, so
/// only that row is lost.
pub(super) async fn commit(
    store: &PostgresStore,
    decisions: &[Decision],
    now: UnixMillis,
) -> Result<Vec<Written>, StoreError> {
    let all: Vec<&Decision> = decisions.iter().collect();
    match commit_batch(store, &all, Unchanged::Version, now).await? {
        Ok(written) => return Ok(written),
        Err(why) if decisions.len() == 1 => return Ok(vec![Written::Refused(why)]),
        Err(_) => {}
    }
    let mut written = Vec::with_capacity(decisions.len());
    for decision in all {
        match commit_batch(store, &[decision], Unchanged::Version, now).await? {
            Ok(outcome) => written.extend(outcome),
            Err(why) => written.push(Written::Refused(why)),
        }
    }
    Ok(written)
}

/// Commits an audit's decision.
pub(super) async fn commit_audit_decision(
    store: &PostgresStore,
    decision: &Decision,
    now: UnixMillis,
) -> Result<Written, StoreError> {
    let written = commit_batch(store, &[decision], Unchanged::WholeRow, now).await?;
    Ok(match written {
        Ok(outcome) => outcome.into_iter().next().unwrap_or(Written::Stale),
        Err(why) => Written::Refused(why),
    })
}

/// One statement; a second one if a program holds one of the rows. Such a row is stale: it is
/// polled again, and the batch does not wait for the program. The inner error is a rule that
/// refused a row; then nothing is written.
async fn commit_batch(
    store: &PostgresStore,
    decisions: &[&Decision],
    unchanged: Unchanged,
    now: UnixMillis,
) -> Result<Result<Vec<Written>, String>, StoreError> {
    if decisions.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let mut without_locked = store.held.were_found_lately();
    let mut answer = run(store, decisions, unchanged, without_locked, now).await?;
    if answer.as_ref().is_err_and(is_locked) {
        without_locked = true;
        store.held.note_found();
        answer = run(store, decisions, unchanged, without_locked, now).await?;
    }
    match answer {
        Ok(rows) => {
            let written = outcomes(store, &rows, decisions.len())?;
            if without_locked {
                note_left_out(store, decisions, &written, now);
            }
            Ok(Ok(written))
        }
        Err(error) => match refusal(&error) {
            Some(why) => Ok(Err(why)),
            None => Err(error.into()),
        },
    }
}

/// What was left out may be stale or locked: either way it is to be read again.
fn note_left_out(
    store: &PostgresStore,
    decisions: &[&Decision],
    written: &[Written],
    now: UnixMillis,
) {
    for (decision, written) in decisions.iter().zip(written) {
        if *written == Written::Stale {
            let plan = decision.based_on_next_poll_at.unwrap_or(now);
            store.held.note_left_out(&decision.row.account, plan);
        }
    }
}

async fn run(
    store: &PostgresStore,
    decisions: &[&Decision],
    unchanged: Unchanged,
    without_locked: bool,
    now: UnixMillis,
) -> Result<Result<Vec<PgRow>, sqlx::Error>, StoreError> {
    let numbered: Vec<(usize, &Decision)> = decisions.iter().copied().enumerate().collect();
    let rows = numbered
        .iter()
        .map(|&(ord, decision)| DecidedRow::of(ord, decision));
    let rows: Vec<DecidedRow<'_>> = rows.collect();
    let transactions = TransactionRow::all(&numbered);
    let records = !transactions.is_empty() || rows.iter().any(DecidedRow::learns);
    let epoch = store.place.epoch();
    let statement = sqlx::query(if records { RECORD } else { RESCHEDULE })
        .bind(store.fence.name.as_deref())
        .bind(store.fence.token)
        .bind(json(&rows))
        .bind(now.0)
        .bind(epoch)
        .bind(unchanged == Unchanged::WholeRow)
        .bind(without_locked);
    let statement = if records {
        let events = EventRow::all(&numbered, store.subject_prefix(), epoch);
        statement.bind(json(&events)).bind(json(&transactions))
    } else {
        statement
    };
    store.connections.try_rows(statement).await
}

fn outcomes(
    store: &PostgresStore,
    rows: &[PgRow],
    decisions: usize,
) -> Result<Vec<Written>, StoreError> {
    let mut written = vec![Written::Stale; decisions];
    for row in rows {
        if !row.try_get::<bool, _>("allowed")? {
            return Err(store.fence.lost());
        }
        if !row.try_get::<bool, _>("current")? {
            return Err(StoreError::Replaced(
                "another epoch has begun in the database since it was opened".into(),
            ));
        }
        let place: i64 = row.try_get("place")?;
        let seq = row.try_get("seq")?;
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if row.try_get("written")?
            && let Some(slot) = written.get_mut(place)
        {
            *slot = Written::Yes { seq };
        }
    }
    Ok(written)
}

pub(super) async fn mark_creations_sent(
    store: &PostgresStore,
    ids: &[InvoiceId],
    now: UnixMillis,
) -> Result<Vec<InvoiceId>, StoreError> {
    let distinct: BTreeSet<i64> = ids.iter().map(|id| id.0).collect();
    let distinct: Vec<i64> = distinct.into_iter().collect();
    let mark = |without_locked| {
        let statement = sqlx::query(MARK_CREATIONS)
            .bind(store.fence.name.as_deref())
            .bind(store.fence.token)
            .bind(distinct.clone())
            .bind(now.0)
            .bind(without_locked);
        store.connections.try_rows(statement)
    };
    let mut answer = mark(store.held.were_found_lately()).await?;
    if answer.as_ref().is_err_and(is_locked) {
        store.held.note_found();
        answer = mark(true).await?;
    }
    let row = store.allowed_row(answer?)?;
    let held: (Option<String>, Option<i64>) =
        (row.try_get("held_account")?, row.try_get("held_plan")?);
    if let (Some(account), Some(plan)) = held {
        store
            .held
            .note_left_out(&AccountName(account), UnixMillis(plan));
    }
    let marked: Vec<i64> = row.try_get("ids")?;
    Ok(marked.into_iter().map(InvoiceId).collect())
}
