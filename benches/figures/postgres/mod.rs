//! PostgreSQL: a server of its own, commits of one and of three daemons beside a bare batched write, the due
//! query in a large table, and a million open invoices by list beside SQLite.

mod bed;
mod commits;
mod due;
mod list;

use anyhow::{Context as _, Result};

use self::bed::Server;
use crate::Scale;
use crate::table::Table;

const SECTION: &str = "postgres";

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let server = Server::start()
        .await
        .context("PostgreSQL is not installed")?;
    commits::measure(&server, scale, table).await?;
    due::measure(&server, scale, table).await?;
    list::measure(&server, scale, table).await
}
