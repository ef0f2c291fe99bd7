//! The due query in a large table: with nothing due, with everything due, and while an old snapshot keeps what
//! transitions left behind.

use std::time::{Duration, Instant};

use anyhow::Result;
use payrecond::domain::invoice::AccountName;
use payrecond::domain::time::UnixMillis;
use payrecond::store::postgres::PostgresStore;
use payrecond::store::{Database as _, Store as _};
use sqlx::Connection as _;

use super::SECTION;
use super::bed::{Bed, database};
use crate::Scale;
use crate::bed::{IN_FLIGHT, now};
use crate::commits::{decisions, due_orders, write};
use crate::idle::timed;
use crate::table::{Table, alone, quantile};

/// How often the query is asked.
const QUERIES: usize = 1000;
/// Transitions under the old snapshot.
const MOVED: usize = 16_000;
const TARGET: &str = "p99 < 1 ms";

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let rows = scale.of(1_000_000);
    let bed = database().await?;
    bed.fill_idle("default", rows).await?;
    let store = bed.store().await?;
    let day = now().plus(Duration::from_hours(48));
    for (what, at, target) in [
        ("nothing due", now(), TARGET),
        ("all due, room for 32", day, ""),
    ] {
        let times = ask(&store, at).await?;
        report(table, rows, what, times, target);
    }
    under_an_old_snapshot(&bed, &store, scale, table).await?;
    store.close().await;
    Ok(())
}

/// A reader's open transaction keeps every row version that transitions leave behind.
async fn under_an_old_snapshot(
    bed: &Bed,
    store: &PostgresStore,
    scale: Scale,
    table: &mut Table,
) -> Result<()> {
    let rows = scale.of(1_000_000);
    let moved = scale.of(MOVED);
    bed.fill("default", &due_orders(moved), now()).await?;
    let mut reader = bed.connect().await?;
    let mut snapshot = reader.begin().await?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *snapshot)
        .await?;
    sqlx::query("SELECT count(*) FROM payrecond.outbox")
        .execute(&mut *snapshot)
        .await?;
    let decisions = decisions(store, "default", moved).await?;
    // The place in the queue moves on with each reading, as the daemon's does.
    let floor = now();
    write(store, &decisions).await?;
    let account = AccountName("default".into());
    let mut times = Vec::new();
    for _ in 0..QUERIES {
        let began = Instant::now();
        store.next_plan(&account, floor).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let what = format!("{moved} transitions under an old snapshot: next plan after the last place");
    report(table, rows, &what, times, TARGET);
    snapshot.rollback().await?;
    Ok(())
}

fn report(table: &mut Table, rows: usize, what: &str, mut times: Vec<f64>, target: &str) {
    times.sort_by(f64::total_cmp);
    let figure = format!(
        "p50 {:.2} ms, p99 {:.2} ms",
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
    let what = format!("due query, {rows} pending: {what}");
    table.add(SECTION, alone(what, figure, target));
}

/// Milliseconds of each query, with what is due loaded.
async fn ask(store: &PostgresStore, at: UnixMillis) -> Result<Vec<f64>> {
    let account = AccountName("default".into());
    let room = u32::try_from(IN_FLIGHT)?;
    let mut times = Vec::with_capacity(QUERIES);
    for _ in 0..QUERIES {
        times.push(timed(store, &account, at, room).await?);
    }
    Ok(times)
}
