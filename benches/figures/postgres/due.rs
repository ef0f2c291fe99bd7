//! The due query in a large table: with nothing due, with everything due, and while an old snapshot keeps what
//! transitions left behind.

use std::time::{Duration, Instant};

use anyhow::Result;
use payrecond::domain::invoice::AccountName;
use payrecond::domain::time::UnixMillis;
use payrecond::store::postgres::PostgresStore;
use payrecond::store::{Database as _, QueuePlace, Store as _};
use sqlx::Connection as _;

use super::SECTION;
use super::bed::{Bed, Server};
use crate::Scale;
use crate::bed::{IN_FLIGHT, now};
use crate::commits::{BATCH, due_orders, paid};
use crate::table::{Table, alone, quantile};

/// How often the query is asked.
const QUERIES: usize = 1000;
/// Transitions under the old snapshot.
const MOVED: usize = 16_000;
const TARGET: &str = "p99 < 1 ms";

pub async fn measure(server: &Server, scale: Scale, table: &mut Table) -> Result<()> {
    let rows = scale.of(1_000_000);
    let bed = server.database().await?;
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
    bed.fill("default", &due_orders(moved), now().0).await?;
    let mut reader = bed.connect().await?;
    let mut snapshot = reader.begin().await?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *snapshot)
        .await?;
    sqlx::query("SELECT count(*) FROM payrecond.outbox")
        .execute(&mut *snapshot)
        .await?;
    // The place in the queue moves on with each reading, as the daemon's does.
    let account = AccountName("default".into());
    let limit = u32::try_from(moved)?;
    let due = store.due_after(&account, QueuePlace::default(), now(), limit);
    let ids: Vec<_> = due.await?.iter().map(|row| row.id).collect();
    let floor = now();
    for ids in ids.chunks(BATCH) {
        let decisions: Vec<_> = store.load(ids).await?.iter().map(paid).collect();
        store.commit(&decisions, now()).await?;
    }
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

/// Milliseconds of each query and, where rows are due, of loading them.
async fn ask(store: &PostgresStore, at: UnixMillis) -> Result<Vec<f64>> {
    let account = AccountName("default".into());
    let room = u32::try_from(IN_FLIGHT)?;
    let mut times = Vec::with_capacity(QUERIES);
    for _ in 0..QUERIES {
        let began = Instant::now();
        let due = store.due_after(&account, QueuePlace::default(), at, room);
        let ids: Vec<_> = due.await?.iter().map(|row| row.id).collect();
        if !ids.is_empty() {
            store.load(&ids).await?;
        }
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}
