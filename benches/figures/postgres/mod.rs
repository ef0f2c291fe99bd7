//! PostgreSQL: a server of its own, commits of one and of three daemons beside a bare batched write, the due
//! query in a large table, and a million open invoices by list beside SQLite.

mod bed;
mod commits;
mod due;
mod list;

use anyhow::Result;

use crate::Scale;
use crate::table::Table;

const SECTION: &str = "postgres";

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    commits::measure(scale, table).await?;
    due::measure(scale, table).await?;
    list::measure(scale, table).await
}
