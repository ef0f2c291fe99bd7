//! `migrate`: creates or upgrades the database.

use serde_json::json;

use super::session::Session;
use super::table::{Cell, Table};
use super::{Exit, ReportFormat, complain};

pub(super) async fn run(session: &Session, report: ReportFormat) -> anyhow::Result<Exit> {
    let path = session.database();
    let migrated = session.options().migrate(session.now()).await?;
    if migrated.put_back {
        complain("database appears restored from an older copy; starting a new epoch");
    }
    let mut output = session.output();
    if report.json {
        output.json(&json!({
            "path": path,
            "schema_version": migrated.version,
            "epoch": migrated.epoch,
            "from_version": migrated.from_version,
            "put_back": migrated.put_back,
        }))?;
    } else {
        let version = match migrated.from_version {
            from if from == migrated.version => format!("{from}, up to date"),
            0 => format!("{}, created", migrated.version),
            from => format!("{}, upgraded from {from}", migrated.version),
        };
        let mut table = Table::of_facts();
        table.fact("database", Cell::new(&path));
        table.fact("schema version", Cell::new(version));
        table.fact("epoch", Cell::new(&migrated.epoch));
        output.table(table);
    }
    output.send()?;
    Ok(Exit::Done)
}
