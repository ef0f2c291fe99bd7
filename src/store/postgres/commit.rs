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
use super::transactions::write_transactions;
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, Written};

/// `$3` the decisions, `$4` now, `$5` the epoch, `$6` whether the row must be completely unchanged
/// since it was read, `$7` whether rows locked by others are left out.
macro_rules! decided {
    () => {
        concat!(
            fenced!(),
            "current AS MATERIALIZED (
                 SELECT 1 FROM allowed, payrecond.meta WHERE key = 'epoch' AND value = $5),
             d AS MATERIALIZED (
                 SELECT * FROM json_to_recordset($3::text::json) AS d (
                     ord bigint, id bigint, ver bigint, nver bigint, bp bigint, np bigint,
                     lp bigint, po bigint, fa bigint, er text, bu bigint, facts boolean,
                     st text, ord_id text, rs text, am text, cu text, ps text, num text, pl text,
                     dpl text, ex bigint, pa bigint, pav text, pac text, fee text, net text,
                     rate text, rec text, refd text, refa bigint, test bigint, sent bigint,
                     ended bigint, nf bigint)),
             free AS MATERIALIZED (
                 SELECT id FROM payrecond.invoices
                  WHERE $7 AND id IN (SELECT id FROM d) FOR NO KEY UPDATE SKIP LOCKED), "
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
            " THEN 0 ELSE d.np END,
                    last_polled_at = d.lp,
                    polls          = d.po,
                    failures       = d.fa,
                    last_error     = d.er,
                    daemon_writes  = i.daemon_writes + 1"
        )
    };
}

macro_rules! where_still_so {
    () => {
        "  FROM d
          WHERE i.id = d.id AND i.version = d.ver AND EXISTS (SELECT 1 FROM current)
            AND (NOT $7 OR i.id IN (SELECT id FROM free))
            AND (NOT $6 OR i.updated_at = d.bu
                           AND (i.next_poll_at IS NOT DISTINCT FROM d.bp OR i.next_poll_at = 0)
                           AND i.last_polled_at IS NOT DISTINCT FROM d.lp
                           AND i.polls = d.po AND i.failures = d.fa)"
    };
}

/// Polls that changed only the plan.
macro_rules! planned {
    () => {
        concat!(
            "planned AS (",
            set_plan!("i.next_poll_at = 0 AND d.bp IS DISTINCT FROM 0"),
            where_still_so!(),
            " AND d.facts IS NULL RETURNING d.ord)"
        )
    };
}

/// For most batches: nothing was learned.
const RESCHEDULE: &str = concat!(
    decided!(),
    planned!(),
    " SELECT d.ord, p.ord IS NOT NULL AS written, NULL::bigint AS seq,
             EXISTS (SELECT 1 FROM allowed) AS allowed, EXISTS (SELECT 1 FROM current) AS current
        FROM d LEFT JOIN planned AS p ON p.ord = d.ord"
);

/// `$8` the events, `$9` the transactions.
const RECORD: &str = concat!(
    decided!(),
    planned!(),
    ", moved AS (",
    set_plan!(
        "i.next_poll_at = 0 AND d.bp IS DISTINCT FROM 0 AND d.st NOT IN ('paid', 'rejected')"
    ),
    ",              version         = d.nver,
                    status          = d.st,
                    order_id        = coalesce(i.order_id, d.ord_id),
                    reason          = d.rs,
                    amount          = d.am,
                    currency        = d.cu,
                    provider_status = d.ps,
                    order_number    = d.num,
                    pay_link        = d.pl,
                    direct_pay_link = d.dpl,
                    expires_at      = d.ex,
                    paid_at         = d.pa,
                    paid_amount     = d.pav,
                    paid_currency   = d.pac,
                    fee_amount      = d.fee,
                    net_amount      = d.net,
                    exchange_rate   = d.rate,
                    received_amount = d.rec,
                    refunded_amount = d.refd,
                    refunded_at     = d.refa,
                    is_test         = d.test,
                    create_sent_at  = d.sent,
                    ended_at        = d.ended,
                    not_found_since = d.nf,
                    updated_at      = greatest($4, i.updated_at + 1)",
    where_still_so!(),
    " AND d.facts RETURNING d.ord, i.account, i.external_id),
     e AS MATERIALIZED (
         SELECT e.*, m.account, m.external_id
           FROM json_to_recordset($8::text::json) AS e (
                    n bigint, ord bigint, last boolean, eid text, sub text, typ text, ord_id text,
                    st text, pst text, ver bigint, head text, tail text)
           JOIN moved AS m ON m.ord = e.ord),
     turn AS MATERIALIZED (
         SELECT payrecond.take_outbox_turn()
           FROM (SELECT (SELECT count(*) FROM e) AS events,
                        (SELECT count(*) FROM planned) AS plans) AS before
          WHERE before.events > 0 AND before.plans >= 0),
     told AS (
         INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, external_id,
                                       order_id, status, previous_status, version, payload,
                                       created_at)
         SELECT o.seq, o.eid, $5, o.sub, o.typ, o.account, o.external_id, o.ord_id, o.st, o.pst,
                o.ver, o.head || o.seq || o.tail, $4
           FROM (SELECT nextval('payrecond.outbox_seq') AS seq, ordered.*
                   FROM (SELECT e.* FROM turn CROSS JOIN e ORDER BY e.n) AS ordered) AS o
      RETURNING event_id, seq),
     t AS MATERIALIZED (
         SELECT t.* FROM json_to_recordset($9::text::json) AS t (
                    n bigint, ord bigint, acc text, tid text, dir text, inv bigint, ext text,
                    am text, cu text, is_net bigint, st text, at bigint)
          WHERE t.ord IN (SELECT ord FROM moved UNION ALL SELECT ord FROM planned)),
     kept AS (",
    write_transactions!("$4"),
    ")
     SELECT d.ord, p.ord IS NOT NULL OR m.ord IS NOT NULL AS written, told.seq,
            EXISTS (SELECT 1 FROM allowed) AS allowed, EXISTS (SELECT 1 FROM current) AS current
       FROM d
       LEFT JOIN planned AS p ON p.ord = d.ord
       LEFT JOIN moved AS m ON m.ord = d.ord
       LEFT JOIN e ON e.ord = d.ord AND e.last
       LEFT JOIN told ON told.event_id = e.eid"
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
        let ord: i64 = row.try_get("ord")?;
        let seq = row.try_get("seq")?;
        let place = usize::try_from(ord).unwrap_or(usize::MAX);
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
