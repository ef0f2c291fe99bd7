//! Looks by preview, all the way to committed rows, beside a bare loop that throws the answers away
//! and the loop that a bot's developer would write.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, QueryBuilder};
use tempfile::TempDir;

use crate::Scale;
use crate::bed::{Database, Order, Rows, Sandbox, daemon, folder};
use crate::process::{Process, Used, quiet};
use crate::table::{Row, Table, median, micros_each, percent, rate};

const SECTION: &str = "looks";
/// Each loop runs so often, in turn; the median counts.
const TURNS: usize = 3;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let folder = folder()?;
    let python = python(&folder);
    if let Err(error) = &python {
        eprintln!("python: {error:#}");
    }
    for count in [5_000, scale.of(50_000)] {
        let sandbox = Sandbox::start().await?;
        let orders = sandbox.seed(count).await?;
        let (mut ours, mut bare, mut bots) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(by_daemon(&sandbox, &orders).await?);
            bare.push(by_bare_loop(&folder, &sandbox, &orders).await?);
            if let Ok(python) = &python {
                bots.push(by_python(python, &sandbox, &orders).await?);
            }
        }
        report(
            table,
            count,
            &ours,
            &[("bare reqwest loop", "≥ 55 % of its rate", &bare)],
        );
        let bots: &[Used] = &bots;
        report(
            table,
            count,
            &ours,
            &[(
                "Python with telegram-wallet-pay",
                "≤ 25 % of its CPU a look",
                bots,
            )],
        );
    }
    Ok(())
}

fn report(table: &mut Table, count: usize, ours: &[Used], others: &[(&str, &str, &[Used])]) {
    let count = count as u64;
    let summary = |used: &[Used]| {
        let rates = used.iter().map(|used| rate(count, used.wall)).collect();
        let cpus = used
            .iter()
            .map(|used| micros_each(used.cpu, count))
            .collect();
        (median(rates), median(cpus))
    };
    let (our_rate, our_cpu) = summary(ours);
    for (name, target, used) in others {
        if used.is_empty() {
            continue;
        }
        let (rate, cpu) = summary(used);
        table.add(
            SECTION,
            Row {
                what: format!("{count} looks, beside the {name}"),
                figure: format!("{our_rate:.0}/s, {our_cpu:.0} µs CPU a look"),
                beside: format!("{rate:.0}/s, {cpu:.0} µs CPU a look"),
                ratio: format!(
                    "{} of the rate, {} of the CPU",
                    percent(our_rate / rate),
                    percent(our_cpu / cpu)
                ),
                target: (*target).to_owned(),
            },
        );
    }
}

async fn by_daemon(sandbox: &Sandbox, orders: &[Order]) -> Result<Used> {
    let folder = folder()?;
    let database = Database::create(folder.path(), "looks.db").await?;
    database.fill(orders, Rows::Fresh).await?;
    let mut command = daemon(
        &database,
        &sandbox.url,
        "preview",
        "off",
        &["run", "--once"],
    )?;
    let used = Process::spawn(&mut command)?.finish().await?;
    let looked = database
        .number("SELECT count(*) FROM invoices WHERE polls = 1")
        .await?;
    if usize::try_from(looked)? != orders.len() {
        bail!("{looked} of {} rows were written", orders.len());
    }
    Ok(used)
}

async fn by_bare_loop(folder: &TempDir, sandbox: &Sandbox, orders: &[Order]) -> Result<Used> {
    let ids = folder.path().join("ids");
    let lines: Vec<&str> = orders.iter().map(|order| order.id.as_str()).collect();
    std::fs::write(&ids, lines.join("\n"))?;
    let mut command = quiet(std::env::current_exe()?);
    command.args(["worker", "looks", &sandbox.url]).arg(&ids);
    Process::spawn(&mut command)?.finish().await
}

async fn by_python(python: &Path, sandbox: &Sandbox, orders: &[Order]) -> Result<Used> {
    let folder = folder()?;
    let database = folder.path().join("bot.db");
    let options = SqliteConnectOptions::new()
        .filename(&database)
        .create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql("CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT, checked_at INTEGER)")
        .execute(&mut connection)
        .await?;
    for chunk in orders.chunks(1000) {
        let mut insert = QueryBuilder::new("INSERT INTO orders (id, status) ");
        insert.push_values(chunk, |mut row, order| {
            row.push_bind(&order.id).push_bind("ACTIVE");
        });
        insert.build().execute(&mut connection).await?;
    }
    connection.close().await?;
    let mut command = quiet(python);
    command.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/benches/python/loop.py"
    ));
    command.arg(&sandbox.url).arg(&database);
    Process::spawn(&mut command)?.finish().await
}

/// A Python with the SDK, in a virtual environment that is kept in the target folder.
fn python(scratch: &TempDir) -> Result<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = home.join("bin/python");
    let requirements = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/benches/python/requirements.txt"
    );
    let succeed = |command: &mut Command| -> Result<()> {
        let done = command
            .current_dir(scratch.path())
            .output()
            .context("Python is not here")?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    };
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    }
    succeed(Command::new(&python).args(["-m", "pip", "install", "-q", "-r", requirements]))?;
    Ok(python)
}
