//! End to end: due, asked, committed, on stdout.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::Scale;
use crate::bed::{Database, Rows, Sandbox, daemon, folder};
use crate::process::{Process, Used};
use crate::table::{Row, Table, mebibytes, micros_each, per_second};

const SECTION: &str = "payments";
const PAYMENTS: usize = 10_000;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let sandbox = Sandbox::start().await?;
    let orders = sandbox.seed(PAYMENTS).await?;
    sandbox.pay(&orders).await?;
    for (rows, target) in [
        (PAYMENTS, "≥ 12,000/s on 2 cores"),
        (scale.of(1_000_000), "≥ 6,000/s on 2 cores"),
    ] {
        let folder = folder()?;
        let database = Database::create(folder.path(), "filled.db").await?;
        database.fill_idle(rows - PAYMENTS).await?;
        database.fill(&orders, Rows::Fresh).await?;
        for strategy in ["preview", "auto"] {
            let copy = database.copy(folder.path(), &format!("{strategy}.db"))?;
            let mut command = daemon(&copy, &sandbox.url, strategy, "jsonl", &["run"])?;
            let used = heard_by(&mut command, orders.len()).await?;
            let count = orders.len() as u64;
            table.add(
                SECTION,
                Row {
                    what: format!("due → asked → committed → stdout, {rows} rows, {strategy}"),
                    figure: per_second(count, used.wall),
                    beside: format!(
                        "{:.0} µs CPU a payment, {} at most",
                        micros_each(used.cpu, count),
                        mebibytes(used.peak_kib)
                    ),
                    ratio: String::new(),
                    target: target.into(),
                },
            );
        }
    }
    Ok(())
}

/// What a daemon used until `count` payments were heard of on its stdout.
pub async fn heard_by(command: &mut Command, count: usize) -> Result<Used> {
    let began = Instant::now();
    let mut process = Process::spawn(command.stdout(Stdio::piped()))?;
    let stdout = process.child.stdout.take().context("no stdout")?;
    let heard = tokio::task::spawn_blocking(move || {
        let paid = BufReader::new(stdout)
            .split(b'\n')
            .map_while(Result::ok)
            .filter(|line| line.windows(12).any(|word| word == b"payment.paid"));
        (paid.take(count).count(), began.elapsed())
    });
    let (heard, wall) = tokio::time::timeout(Duration::from_mins(5), heard).await??;
    let used = Used {
        wall,
        cpu: process.cpu()?,
        peak_kib: process.memory_kib("VmHWM"),
    };
    process.stop().await?;
    if heard != count {
        bail!("{heard} of {count} payments were heard of");
    }
    Ok(used)
}
