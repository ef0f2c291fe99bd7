//! The daemon while nothing happens, on a large database.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use payrecond::domain::invoice::AccountName;
use payrecond::domain::time::UnixMillis;
use payrecond::store::{Database as _, QueuePlace, Store};
use tokio::time::sleep;

use crate::Scale;
use crate::bed::{Database, IN_FLIGHT, daemon, folder, now};
use crate::process::Process;
use crate::table::{Table, alone, mebibytes, median};

const SECTION: &str = "idle";
/// How often the due query is asked.
const QUERIES: usize = 200;
/// As many as are read ahead without a limit of requests.
const BATCH: u32 = 500;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    for (rows, memory) in [(100_000, "< 64 MB"), (1_000_000, "< 32 MB, < 0.1 % CPU")] {
        let rows = scale.of(rows);
        let folder = folder()?;
        let database = Database::create(folder.path(), "idle.db").await?;
        database.fill_idle(rows).await?;
        due_query(&database, rows, table).await?;
        watch(&database, rows, memory, scale, table).await?;
    }
    Ok(())
}

async fn due_query(database: &Database, rows: usize, table: &mut Table) -> Result<()> {
    let store = database.store().await?;
    let account = AccountName("default".into());
    let day = now().plus(Duration::from_hours(48));
    let room = u32::try_from(IN_FLIGHT)?;
    for (what, at, limit, target) in [
        ("nothing due", now(), room, "< 1 ms"),
        ("all due, room for 32", day, room, "< 1 ms"),
        ("all due, no limit of requests: 500 rows", day, BATCH, ""),
    ] {
        let mut times = Vec::new();
        for _ in 0..QUERIES {
            times.push(timed(&store, &account, at, limit).await?);
        }
        let figure = format!("{:.2} ms", median(times));
        table.add(
            SECTION,
            alone(format!("due query, {rows} pending: {what}"), figure, target),
        );
    }
    store.close().await;
    Ok(())
}

/// Milliseconds.
pub async fn timed(
    store: &impl Store,
    account: &AccountName,
    at: UnixMillis,
    limit: u32,
) -> Result<f64> {
    let began = Instant::now();
    let start = QueuePlace::default();
    let due = store.due_after(account, start, at, limit).await?;
    let ids: Vec<_> = due.iter().map(|row| row.id).collect();
    // As the daemon does.
    if !ids.is_empty() {
        store.load(&ids).await?;
    }
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// Starts the daemon, waits for READY, and looks at what it uses while nothing is due.
async fn watch(
    database: &Database,
    rows: usize,
    target: &str,
    scale: Scale,
    table: &mut Table,
) -> Result<()> {
    let socket = database.path.with_extension("notify");
    let manager = UnixDatagram::bind(&socket)?;
    manager.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut command = daemon(database, "http://127.0.0.1:1", "preview", "jsonl", &["run"])?;
    let began = Instant::now();
    let process = Process::spawn(command.env("NOTIFY_SOCKET", &socket))?;
    let ready = tokio::task::spawn_blocking(move || -> Result<Duration> {
        let mut message = [0; 4096];
        loop {
            let read = manager.recv(&mut message).context("READY did not come")?;
            if message[..read].windows(7).any(|word| word == b"READY=1") {
                return Ok(began.elapsed());
            }
        }
    });
    let ready = ready.await??;
    let figure = format!("{:.0} ms", ready.as_secs_f64() * 1000.0);
    table.add(
        SECTION,
        alone(format!("start to READY, {rows} pending"), figure, ""),
    );
    sleep(Duration::from_secs(2)).await;
    let window = Duration::from_secs(if scale.quick { 5 } else { 30 });
    let before = process.fine_cpu()?;
    sleep(window).await;
    let share = process.fine_cpu()?.saturating_sub(before).as_secs_f64() / window.as_secs_f64();
    let figure = format!(
        "{:.3} % CPU = {:.1} s an hour (from {} s), {} resident, {} at most",
        share * 100.0,
        share * 3600.0,
        window.as_secs(),
        mebibytes(process.memory_kib("VmRSS")),
        mebibytes(process.memory_kib("VmHWM"))
    );
    table.add(
        SECTION,
        alone(
            format!("the daemon, {rows} pending, none due"),
            figure,
            target,
        ),
    );
    process.stop().await
}
