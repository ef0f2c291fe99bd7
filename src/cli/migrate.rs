//! `migrate`: creates or upgrades the database.

use serde_json::json;

use super::output::Output;
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
            "missing_roles": migrated.missing_roles,
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
        describe_missing_roles(&mut output, &migrated.missing_roles);
    }
    output.send()?;
    Ok(Exit::Done)
}

fn describe_missing_roles(output: &mut Output, statements: &[String]) {
    if statements.is_empty() {
        return;
    }
    output.heading("Missing roles");
    output.line("Let a role that may create roles run this SQL, then run `payrecond migrate` again: it grants the rights.");
    output.line("");
    for statement in statements {
        output.line(statement);
    }
}
