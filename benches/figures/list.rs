//! Invoices in bulk by the order list, beside bare programs that fetch and parse the same pages.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::Scale;
use crate::bed::{Database, Order, Rows, Sandbox, daemon, folder, now};
use crate::plot::{self, Point};
use crate::process::{Process, Used, quiet};
use crate::table::{Row, Table, mebibytes, percent, thousands};

const SECTION: &str = "list";
/// One order in so many is paid.
pub const CHANGED: usize = 100;
/// Number of paid invoices.
pub const PAID: &str = "SELECT count(*) FROM invoices WHERE status = 'paid'";
/// Orders that come later.
const FRESH: usize = 10_000;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let mut points = Vec::new();
    for count in [10_000, 100_000, 1_000_000] {
        let count = scale.of(count);
        let sandbox = Sandbox::start().await?;
        let orders = sandbox.seed(count).await?;
        let changed: Vec<Order> = orders.iter().step_by(CHANGED).cloned().collect();
        sandbox.pay(&changed).await?;
        let folder = folder()?;
        let database = Database::create(folder.path(), "list.db").await?;
        let next_poll_at = now();
        database.fill(&orders, Rows::Seen { next_poll_at }).await?;
        drop(orders);
        let command = daemon(&database, &sandbox.url, "list", "off", &["run", "--once"])?;
        let point = round(command, &sandbox).await?;
        require_found(database.number(PAID).await?, changed.len())?;
        let worker = async |name| {
            let mut command = quiet(std::env::current_exe()?);
            command.args(["worker", name, &sandbox.url]);
            Process::spawn(&mut command)?.finish().await
        };
        let bare = worker("pages").await?;
        let parsed = worker("pages-serde").await?;
        report(
            table,
            count,
            &point,
            &[
                (
                    "serde_json",
                    parsed,
                    "1 M: ≤ 110 requests, < 300 %, < 128 MB",
                ),
                ("our streaming reader", bare, ""),
            ],
        );
        points.push(Point { count, ..point });
        tail(&database, &sandbox, table).await?;
    }
    if !scale.quick {
        plot::draw(&points)?;
    }
    Ok(())
}

/// One more pass, in which fresh orders at the end of the list are due and nothing else.
async fn tail(database: &Database, sandbox: &Sandbox, table: &mut Table) -> Result<()> {
    database
        .plan_all(now().plus(Duration::from_mins(7)))
        .await?;
    let fresh = sandbox.seed(FRESH).await?;
    database.fill(&fresh, Rows::Fresh).await?;
    let asked = async || -> Result<u64> {
        let amounts = sandbox.count("requests", "amount").await?;
        Ok(amounts + sandbox.count("requests", "list").await?)
    };
    let before = asked().await?;
    let mut command = daemon(database, &sandbox.url, "list", "off", &["run", "--once"])?;
    let used = Process::spawn(&mut command)?.finish().await?;
    let rows = database.number("SELECT count(*) FROM invoices").await?;
    table.add(
        SECTION,
        Row {
            what: format!("{FRESH} fresh orders at the tail are due, of {rows}"),
            figure: format!(
                "{} requests, {:.2} s",
                asked().await? - before,
                used.wall.as_secs_f64()
            ),
            beside: String::new(),
            ratio: String::new(),
            target: "2–3 requests".into(),
        },
    );
    Ok(())
}

/// One pass over everything that is due, by list alone.
pub async fn round(mut command: Command, sandbox: &Sandbox) -> Result<Point> {
    let requests = sandbox.count("requests", "list").await?;
    let bytes = sandbox.count("bytes", "list").await?;
    let used = Process::spawn(&mut command)?.finish().await?;
    let previews = sandbox.count("requests", "preview").await?;
    if previews > 0 {
        bail!("{previews} previews were asked for");
    }
    Ok(Point {
        count: 0,
        used,
        requests: sandbox.count("requests", "list").await? - requests,
        bytes: sandbox.count("bytes", "list").await? - bytes,
    })
}

/// Every payment must be in the database.
pub fn require_found(paid: i64, changed: usize) -> Result<()> {
    if usize::try_from(paid)? != changed {
        bail!("{paid} of {changed} payments found");
    }
    Ok(())
}

fn report(table: &mut Table, count: usize, point: &Point, others: &[(&str, Used, &str)]) {
    let Point {
        used,
        requests,
        bytes,
        ..
    } = point;
    for (name, bare, target) in others {
        table.add(
            SECTION,
            Row {
                what: format!("{count} pending, 1 % paid, beside {name} on the same pages"),
                figure: format!(
                    "{:.2} s, {:.2} s CPU, {}, {requests} requests, {} KB",
                    used.wall.as_secs_f64(),
                    used.cpu.as_secs_f64(),
                    mebibytes(used.peak_kib),
                    thousands(u32::try_from(bytes / 1000).map_or(f64::INFINITY, f64::from)),
                ),
                beside: format!(
                    "{:.2} s, {:.2} s CPU, {}",
                    bare.wall.as_secs_f64(),
                    bare.cpu.as_secs_f64(),
                    mebibytes(bare.peak_kib)
                ),
                ratio: format!(
                    "{} of the time",
                    percent(used.wall.as_secs_f64() / bare.wall.as_secs_f64())
                ),
                target: (*target).into(),
            },
        );
    }
}
