//! The feed: events a second out of a full outbox, and how soon a follower wakes.

use std::io::{self, BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use payrecond::domain::invoice::AccountName;
use payrecond::store::{Database as _, QueuePlace, Store as _};
use tokio::time::sleep;

use super::commits::{due_orders, paid};
use crate::Scale;
use crate::bed::{Database, Rows, daemon, folder, limit, now};
use crate::process::Process;
use crate::table::{Row, Table, alone, per_second, percent, quantile, rate};

const SECTION: &str = "feed";
/// Commits that a follower is to notice.
const WAKES: usize = 200;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let count: i64 = if scale.quick { 200_000 } else { 1_000_000 };
    let folder = folder()?;
    let database = Database::create(folder.path(), "feed.db").await?;
    database.fill_outbox(count).await?;
    let count = count.unsigned_abs();
    let mut feed = daemon(
        &database,
        "http://127.0.0.1:1",
        "preview",
        "off",
        &["feed", "--format", "jsonl"],
    )?;
    let ours = drained(&mut feed, count).await?;
    let bare = drained(
        &mut limit(&["read", &database.path.to_string_lossy()])?,
        count,
    )
    .await?;
    table.add(
        SECTION,
        Row {
            what: format!("feed --format jsonl, {count} events"),
            figure: per_second(count, ours),
            beside: format!("raw SQLite: {}", per_second(count, bare)),
            ratio: percent(rate(count, ours) / rate(count, bare)),
            target: String::new(),
        },
    );
    let delays = wakes().await?;
    let figure = format!(
        "p50 {:.1} ms, p99 {:.1} ms",
        quantile(&delays, 0.5),
        quantile(&delays, 0.99)
    );
    table.add(
        SECTION,
        alone(
            format!("feed --follow hears of {WAKES} commits of another process"),
            figure,
            "milliseconds",
        ),
    );
    Ok(())
}

/// Time until the program has written `count` lines and its end.
async fn drained(command: &mut Command, count: u64) -> Result<Duration> {
    let began = Instant::now();
    let mut process = Process::spawn(command.stdout(Stdio::piped()))?;
    let stdout = process.child.stdout.take().context("no stdout")?;
    let lines = tokio::task::spawn_blocking(move || lines(stdout)).await??;
    let took = began.elapsed();
    process.finish().await?;
    if lines != count {
        bail!("{lines} of {count} events came");
    }
    Ok(took)
}

fn lines(mut from: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(lines);
        }
        lines += buffer[..read]
            .iter()
            .map(|byte| u64::from(*byte == b'\n'))
            .sum::<u64>();
    }
}

/// Milliseconds from each commit's return to its line, sorted.
async fn wakes() -> Result<Vec<f64>> {
    let folder = folder()?;
    let database = Database::create(folder.path(), "follow.db").await?;
    database.fill(&due_orders(WAKES), Rows::Fresh).await?;
    let mut command = daemon(
        &database,
        "http://127.0.0.1:1",
        "preview",
        "off",
        &["feed", "--follow", "--format", "jsonl"],
    )?;
    let mut process = Process::spawn(command.stdout(Stdio::piped()))?;
    let stdout = process.child.stdout.take().context("no stdout")?;
    let (heard, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if line.is_err() || heard.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let store = database.store().await?;
    let account = AccountName("default".into());
    let start = QueuePlace::default();
    let due = store
        .due_after(&account, start, now(), u32::try_from(WAKES)?)
        .await?;
    let ids: Vec<_> = due.iter().map(|row| row.id).collect();
    let due = store.load(&ids).await?;
    sleep(Duration::from_millis(500)).await;
    let mut chance = fastrand::Rng::with_seed(7);
    let mut delays = Vec::new();
    for invoice in &due {
        store.commit(&[paid(invoice)], now()).await?;
        let committed = Instant::now();
        let heard = lines
            .recv_timeout(Duration::from_secs(10))
            .context("an event did not come")?;
        delays.push(heard.saturating_duration_since(committed).as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(chance.u64(10..60))).await;
    }
    store.close().await;
    process.stop().await?;
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}
