//! A million open invoices by list, beside SQLite on the same pages.

use anyhow::{Result, bail};

use super::SECTION;
use super::bed::{Bed, Server};
use crate::Scale;
use crate::bed::{self, Database, Order, Rows, Sandbox, folder, now};
use crate::process::{Process, Used};
use crate::table::{Row, Table, mebibytes, percent};

/// One order in so many is paid.
const CHANGED: usize = 100;
const PAID: &str = "SELECT count(*) FROM invoices WHERE status = 'paid'";

pub async fn measure(server: &Server, scale: Scale, table: &mut Table) -> Result<()> {
    let count = scale.of(1_000_000);
    let sandbox = Sandbox::start().await?;
    let orders = sandbox.seed(count).await?;
    let changed: Vec<Order> = orders.iter().step_by(CHANGED).cloned().collect();
    sandbox.pay(&changed).await?;
    let (sqlite, beside) = on_sqlite(&sandbox, &orders, changed.len()).await?;
    let bed = server.database().await?;
    bed.fill("default", &orders, now().0).await?;
    drop(orders);
    let (postgres, requests) = on_postgres(&bed, &sandbox, changed.len()).await?;
    let text = |used: &Used, requests: u64| {
        format!(
            "{:.2} s, {:.2} s CPU, {}, {requests} requests",
            used.wall.as_secs_f64(),
            used.cpu.as_secs_f64(),
            mebibytes(used.peak_kib),
        )
    };
    table.add(
        SECTION,
        Row {
            what: format!("{count} pending by list, 1 % paid, beside SQLite"),
            figure: text(&postgres, requests),
            beside: text(&sqlite, beside),
            ratio: format!(
                "{} of the time",
                percent(postgres.wall.as_secs_f64() / sqlite.wall.as_secs_f64())
            ),
            target: "≤ 110 requests, < 128 MB".into(),
        },
    );
    Ok(())
}

async fn on_sqlite(sandbox: &Sandbox, orders: &[Order], changed: usize) -> Result<(Used, u64)> {
    let folder = folder()?;
    let database = Database::create(folder.path(), "list.db").await?;
    let next_poll_at = now();
    database.fill(orders, Rows::Seen { next_poll_at }).await?;
    let before = sandbox.count("requests", "list").await?;
    let command = bed::daemon(&database, &sandbox.url, "list", "off", &["run", "--once"]);
    let used = Process::spawn(&mut command?)?.finish().await?;
    check(database.number(PAID).await?, changed)?;
    Ok((used, sandbox.count("requests", "list").await? - before))
}

async fn on_postgres(bed: &Bed, sandbox: &Sandbox, changed: usize) -> Result<(Used, u64)> {
    let folder = folder()?;
    let before = sandbox.count("requests", "list").await?;
    let config = folder.path().join("list.toml");
    let account = "requests_per_second = 0.0\nstrategy = \"list\"\n";
    let settings = bed.settings();
    let command = bed::daemon_at(&settings, account, &config, &sandbox.url, "off");
    let used = Process::spawn(command?.args(["run", "--once"]))?
        .finish()
        .await?;
    let paid = bed
        .number("SELECT count(*) FROM payrecond.invoices WHERE status = 'paid'")
        .await?;
    check(paid, changed)?;
    Ok((used, sandbox.count("requests", "list").await? - before))
}

fn check(paid: i64, changed: usize) -> Result<()> {
    if usize::try_from(paid)? != changed {
        bail!("{paid} of {changed} payments found");
    }
    Ok(())
}
