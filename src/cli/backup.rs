//! `backup` and `restore`: write a consistent copy of a live database, and put one back.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Exit;
use super::session::Session;
use super::table::{Cell, Table};
use crate::store::{Copied, Database};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; must not exist
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup to put in place
    file: PathBuf,
    /// Replace the database even if it is newer than the backup
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn back_up(
    session: &Session,
    store: &dyn Database,
    arguments: Backup,
) -> anyhow::Result<Exit> {
    let copied = store.backup(&arguments.file).await?;
    write_report(
        session,
        "backup",
        &arguments.file.display().to_string(),
        &copied,
        arguments.json,
    )
}

pub(super) async fn put_back(session: &Session, arguments: Restore) -> anyhow::Result<Exit> {
    let database = session.database();
    let copied = session
        .options()
        .restore(&arguments.file, arguments.force, session.now())
        .await?;
    write_report(session, "database", &database, &copied, arguments.json)
}

fn write_report(
    session: &Session,
    name: &'static str,
    path: &str,
    copied: &Copied,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let replaced = copied
        .replaced
        .as_ref()
        .map(|path| path.display().to_string());
    let mut output = session.output();
    if as_json {
        output.json(&json!({
            name: path,
            "bytes": copied.bytes,
            "epoch": copied.epoch,
            "highest_seq": copied.highest_seq,
            "replaced": replaced,
            "newest_at": copied.newest_at.map(|at| at.0),
            "lost": copied.lost.map(|lost| json!({"invoices": lost.invoices, "events": lost.events})),
        }))?;
    } else {
        let mut table = Table::of_facts();
        table.fact(name, Cell::new(path));
        table.fact("bytes", Cell::new(copied.bytes.to_string()));
        table.fact("epoch", Cell::new(&copied.epoch));
        table.fact("highest seq", Cell::new(copied.highest_seq.to_string()));
        table.fact_if("previous database", replaced.as_deref());
        let newest = copied.newest_at.map(|at| at.to_string());
        table.fact_if("newest row of the copy", newest.as_deref());
        let lost = copied.lost.map(|lost| lost.to_string());
        table.fact_if("lost", lost.as_deref());
        output.table(table);
        if copied.replaced.is_some() {
            output.line(
                "Invoices that were lost must be inserted again by their programs; `payrecond audit` names \
                 orders that no invoice has. Payments since are recorded again, with the same event ids.",
            );
        }
    }
    output.send()?;
    Ok(Exit::Done)
}
