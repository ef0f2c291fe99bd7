//! `copy`: a PostgreSQL server takes an SQLite database over.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::Exit;
use super::session::Session;
use super::table::{Cell, Table};
use crate::config;
use crate::store::{DatabaseLocation, Role, TakenOver};

#[derive(Debug, Args)]
pub(super) struct CopyArguments {
    /// The server and its database, with the owner of the schema as user
    #[arg(long, value_name = "URL")]
    to: String,
    /// The file with the owner's password, after the credential and the variable
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(session: &Session, arguments: CopyArguments) -> anyhow::Result<Exit> {
    let options = session.options();
    let DatabaseLocation::File(_) = options.location else {
        bail!(
            "the configuration names a server; copy takes an SQLite database (database.path) over to one"
        );
    };
    let server = config::server_at(
        "--to",
        &arguments.to,
        arguments.password_file,
        &session.environment,
    )?;
    let Some(_held) = options.hold(Role::Daemon).await? else {
        bail!(
            "a daemon runs on {}; stop it and your programs first",
            session.database()
        );
    };
    let taken = options.copy_to(&server).await?;
    report(session, &server.to_string(), &taken, arguments.json)?;
    Ok(Exit::Done)
}

fn report(session: &Session, to: &str, taken: &TakenOver, as_json: bool) -> anyhow::Result<()> {
    let mut output = session.output();
    if as_json {
        let rows: Map<String, Value> = taken
            .rows
            .iter()
            .map(|(table, count)| ((*table).to_owned(), Value::from(*count)))
            .collect();
        output.json(&json!({
            "database": to,
            "rows": rows,
            "epoch": taken.epoch,
            "highest_seq": taken.highest_seq,
            "was_there": taken.was_there,
        }))?;
    } else {
        let mut table = Table::of_facts();
        table.fact("database", Cell::new(to));
        for (name, count) in &taken.rows {
            table.fact(name, Cell::new(count.to_string()));
        }
        table.fact("epoch", Cell::new(&taken.epoch));
        let outcome = if taken.was_there {
            "was there already, and is the same; nothing was written"
        } else {
            "copied and compared; now set database.url instead of database.path, and put the file away"
        };
        table.fact("outcome", Cell::new(outcome));
        output.table(table);
    }
    output.send()?;
    Ok(())
}
