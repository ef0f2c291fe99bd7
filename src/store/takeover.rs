//! A server takes a file over: invoices, used keys, transactions, outbox, consumers, accounts, findings and the
//! epoch. One transaction on the server, while no program can write to the file; every row is read back.

use std::path::Path;

use serde_json::{Map, Value};

use super::copied_tables::{CopiedTable, TABLES, TakenOver};
use super::{ServerLocation, StoreError, postgres, sqlite};

/// What of `meta` goes with the rows.
const META: [&str; 3] = ["epoch", "outbox_floor", "transactions_floor"];

/// Means something else on a server: up to which transaction invoices were flagged.
const START_ANEW: (&str, &str) = ("accounts", "flagged_to");

/// Fills the database on the server, which `migrate` has made, from the file. Where it holds invoices already, it
/// only compares.
///
/// # Errors
/// `Unusable` where the server holds other rows: then nothing is written.
pub(super) async fn take_over(
    file: &Path,
    server: &ServerLocation,
) -> Result<TakenOver, StoreError> {
    let mut export = sqlite::FileExport::begin(file).await?;
    let mut import = postgres::ServerImport::begin(server).await?;
    let was_there = import.count(&TABLES[0]).await? > 0;
    let mut rows = Vec::new();
    for table in TABLES {
        rows.push((
            table.name,
            copy_table(&mut export, &mut import, table, was_there).await?,
        ));
    }
    let highest_seq = export.highest_number("outbox").await?;
    let highest_id = export.highest_number("invoices").await?;
    let epoch = export.meta("epoch").await?.unwrap_or_default();
    if was_there {
        if import.meta("epoch").await?.as_ref() != Some(&epoch) {
            return Err(StoreError::Unusable(
                "the server has another epoch than the file".into(),
            ));
        }
        import.roll_back().await?;
    } else {
        let mut meta = Vec::new();
        for key in META {
            meta.extend(export.meta(key).await?.map(|value| (key, value)));
        }
        import.set_place(&meta, highest_id, highest_seq).await?;
        import.commit().await?;
    }
    export.end().await?;
    Ok(TakenOver {
        rows,
        epoch,
        highest_seq,
        was_there,
    })
}

async fn copy_table(
    export: &mut sqlite::FileExport,
    import: &mut postgres::ServerImport,
    table: &CopiedTable,
    was_there: bool,
) -> Result<i64, StoreError> {
    let columns = export.columns(table).await?;
    let mut last: Option<Map<String, Value>> = None;
    loop {
        let mut rows = export.page(table, &columns, last.as_ref()).await?;
        let Some(end) = rows.last().cloned() else {
            break;
        };
        if table.name == START_ANEW.0 {
            for row in &mut rows {
                row.insert(START_ANEW.1.to_owned(), Value::from(0));
            }
        }
        if !was_there {
            import.insert(table, &columns, &rows).await?;
        }
        import.require_same(table, &columns, &rows).await?;
        last = Some(end);
    }
    let (ours, theirs) = (export.count(table).await?, import.count(table).await?);
    if ours != theirs {
        return Err(StoreError::Unusable(format!(
            "the server holds {theirs} rows in {}, the file {ours}; copy into a database without invoices",
            table.name
        )));
    }
    Ok(ours)
}
