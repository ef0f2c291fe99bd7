//! A million open invoices by list, beside SQLite on the same pages.

use anyhow::Result;

use super::SECTION;
use super::bed::{Bed, database};
use crate::Scale;
use crate::bed::{self, Database, Order, Rows, Sandbox, folder, now};
use crate::list::{CHANGED, PAID, require_found, round};
use crate::plot::Point;
use crate::table::{Row, Table, mebibytes, percent};

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let count = scale.of(1_000_000);
    let sandbox = Sandbox::start().await?;
    let orders = sandbox.seed(count).await?;
    let changed: Vec<Order> = orders.iter().step_by(CHANGED).cloned().collect();
    sandbox.pay(&changed).await?;
    let sqlite = on_sqlite(&sandbox, &orders, changed.len()).await?;
    let bed = database().await?;
    bed.fill("default", &orders, now()).await?;
    drop(orders);
    let postgres = on_postgres(&bed, &sandbox, changed.len()).await?;
    let text = |point: &Point| {
        format!(
            "{:.2} s, {:.2} s CPU, {}, {} requests",
            point.used.wall.as_secs_f64(),
            point.used.cpu.as_secs_f64(),
            mebibytes(point.used.peak_kib),
            point.requests,
        )
    };
    table.add(
        SECTION,
        Row {
            what: format!("{count} pending by list, 1 % paid, beside SQLite"),
            figure: text(&postgres),
            beside: text(&sqlite),
            ratio: format!(
                "{} of the time",
                percent(postgres.used.wall.as_secs_f64() / sqlite.used.wall.as_secs_f64())
            ),
            target: "≤ 110 requests, < 128 MB".into(),
        },
    );
    Ok(())
}

async fn on_sqlite(sandbox: &Sandbox, orders: &[Order], changed: usize) -> Result<Point> {
    let folder = folder()?;
    let database = Database::create(folder.path(), "list.db").await?;
    let next_poll_at = now();
    database.fill(orders, Rows::Seen { next_poll_at }).await?;
    let command = bed::daemon(&database, &sandbox.url, "list", "off", &["run", "--once"])?;
    let point = round(command, sandbox).await?;
    require_found(database.number(PAID).await?, changed)?;
    Ok(point)
}

async fn on_postgres(bed: &Bed, sandbox: &Sandbox, changed: usize) -> Result<Point> {
    let folder = folder()?;
    let config = folder.path().join("list.toml");
    let account = bed::unlimited("list");
    let mut command = bed::daemon_at(&bed.settings(), &account, &config, &sandbox.url, "off")?;
    command.args(["run", "--once"]);
    let point = round(command, sandbox).await?;
    let paid = "SELECT count(*) FROM payrecond.invoices WHERE status = 'paid'";
    require_found(bed.number(paid).await?, changed)?;
    Ok(point)
}
