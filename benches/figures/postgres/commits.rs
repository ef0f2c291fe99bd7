//! Decided transitions with their events: one daemon beside a bare batched UPDATE and INSERT of the same rows,
//! and three daemons beside one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::future::try_join_all;
use payrecond::store::Database as _;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::SECTION;
use super::bed::{Bed, database};
use crate::Scale;
use crate::bed::now;
use crate::commits::{BATCH, decisions, due_orders, write};
use crate::table::{Row, Table, median, per_second, percent, rate};

/// Transitions of each account.
const COUNT: usize = 10_000;
const IDLE: usize = 100_000;
/// Each way runs so often, in turn, in databases of its own; the median counts.
const TURNS: usize = 3;
const THREE: [&str; 3] = ["a", "b", "c"];

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let count = scale.of(COUNT);
    let (mut one, mut bare, mut three) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let written = bed(scale, &THREE[..1]).await?;
        one.push(
            by_daemons(&written, &THREE[..1], count)
                .await?
                .as_secs_f64(),
        );
        let again = bed(scale, &THREE[..1]).await?;
        bare.push(by_bare_loop(&written, &again).await?.as_secs_f64());
        let shared = bed(scale, &THREE).await?;
        three.push(by_daemons(&shared, &THREE, count).await?.as_secs_f64());
    }
    let [one, bare, three] = [one, bare, three].map(|times| Duration::from_secs_f64(median(times)));
    let (single, triple) = (count as u64, (count * THREE.len()) as u64);
    let idle = scale.of(IDLE);
    table.add(
        SECTION,
        Row {
            what: format!("transitions with their events, one daemon, {idle} idle rows beside"),
            figure: per_second(single, one),
            beside: format!(
                "bare UPDATE and INSERT in batches: {}",
                per_second(single, bare)
            ),
            ratio: percent(rate(single, one) / rate(single, bare)),
            target: "≥ 60 %".into(),
        },
    );
    table.add(
        SECTION,
        Row {
            what: format!("transitions with their events, three daemons, {idle} idle rows beside"),
            figure: per_second(triple, three),
            beside: format!("one daemon: {}", per_second(single, one)),
            ratio: percent(rate(triple, three) / rate(single, one)),
            target: "≥ 160 %".into(),
        },
    );
    Ok(())
}

/// A database in which invoices of each account are due.
async fn bed(scale: Scale, accounts: &[&str]) -> Result<Bed> {
    let bed = database().await?;
    bed.fill_idle("idle", scale.of(IDLE)).await?;
    for account in accounts {
        let orders = due_orders(scale.of(COUNT));
        bed.fill(account, &orders, now()).await?;
    }
    Ok(bed)
}

/// Each daemon's own store and connections write one account's transitions, all at the same time.
async fn by_daemons(bed: &Bed, accounts: &[&str], count: usize) -> Result<Duration> {
    let mut work = Vec::new();
    for account in accounts {
        let store = bed.store().await?;
        let decisions = decisions(&store, account, count).await?;
        work.push((store, decisions));
    }
    let began = Instant::now();
    let writes = work
        .iter()
        .map(|(store, decisions)| write(store, decisions));
    try_join_all(writes).await?;
    let took = began.elapsed();
    for (store, _) in work {
        store.close().await;
    }
    Ok(took)
}

/// The rows that the daemon wrote, once more into a database like the one it found: for each batch one statement
/// with an UPDATE and an INSERT, under the same triggers, which do not allow two statements.
async fn by_bare_loop(written: &Bed, fresh: &Bed) -> Result<Duration> {
    let mut from = written.connect().await?;
    let batches = sqlx::query(BATCHES)
        .bind(i64::try_from(BATCH)?)
        .fetch_all(&mut from)
        .await?;
    let batches: Vec<(String, String)> = batches
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_>>()?;
    let mut connection = fresh.connect().await?;
    let began = Instant::now();
    for (rows, events) in &batches {
        write_bare(&mut connection, rows, events).await?;
    }
    let took = began.elapsed();
    let events = "SELECT count(*) FROM payrecond.outbox";
    if fresh.number(events).await? != written.number(events).await? {
        bail!("the bare loop wrote another number of events");
    }
    Ok(took)
}

async fn write_bare(connection: &mut PgConnection, rows: &str, events: &str) -> Result<()> {
    let written = sqlx::query(WRITE)
        .bind(rows)
        .bind(events)
        .execute(connection);
    if written.await?.rows_affected() == 0 {
        bail!("no event was written");
    }
    Ok(())
}

/// `$1`: rows in a batch.
const BATCHES: &str = "
    SELECT json_agg(i ORDER BY o.seq)::text, json_agg(o ORDER BY o.seq)::text
      FROM (SELECT *, (row_number() OVER (ORDER BY seq) - 1) / $1 AS batch FROM payrecond.outbox) AS o
      JOIN payrecond.invoices AS i ON i.account = o.account AND i.external_id = o.external_id
     GROUP BY o.batch ORDER BY o.batch";

const WRITE: &str = "
    WITH updated AS (
    UPDATE payrecond.invoices AS i
       SET next_poll_at = d.next_poll_at, last_polled_at = d.last_polled_at, polls = d.polls,
           failures = d.failures, last_error = d.last_error, version = d.version, status = d.status,
           order_id = d.order_id, reason = d.reason, amount = d.amount, currency = d.currency,
           provider_status = d.provider_status, order_number = d.order_number, pay_link = d.pay_link,
           direct_pay_link = d.direct_pay_link, expires_at = d.expires_at, paid_at = d.paid_at,
           paid_amount = d.paid_amount, paid_currency = d.paid_currency, fee_amount = d.fee_amount,
           net_amount = d.net_amount, exchange_rate = d.exchange_rate,
           received_amount = d.received_amount, refunded_amount = d.refunded_amount,
           refunded_at = d.refunded_at, is_test = d.is_test, create_sent_at = d.create_sent_at,
           ended_at = d.ended_at, not_found_since = d.not_found_since, updated_at = d.updated_at,
           daemon_writes = i.daemon_writes + 1
      FROM json_populate_recordset(NULL::payrecond.invoices, $1::text::json) AS d
     WHERE i.id = d.id AND i.version = 0)
    INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, external_id, order_id, status,
                                  previous_status, version, payload, created_at)
    SELECT nextval('payrecond.outbox_seq'), event_id, epoch, subject, type, account, external_id, order_id, status,
           previous_status, version, payload, created_at
      FROM json_populate_recordset(NULL::payrecond.outbox, $2::text::json)";
