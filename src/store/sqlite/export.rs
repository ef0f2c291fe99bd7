//! What a server takes over of a file: its tables, a page of rows at a time, as JSON that any database reads.

use std::path::Path;

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{open, schema};
use crate::store::StoreError;
use crate::store::copied_tables::{CopiedTable, PAGE_ROWS};

/// An open file that no program can write to as long as the value lives.
pub(in crate::store) struct FileExport {
    connection: SqliteConnection,
}

impl FileExport {
    /// # Errors
    /// As `SqliteStore::open`; `Unavailable` where another program is writing.
    pub(in crate::store) async fn begin(path: &Path) -> Result<Self, StoreError> {
        let mut connection = open::open_writer(path).await?;
        schema::require_current(&mut connection, path).await?;
        // What a program wrote after it was read would be lost without a word.
        connection.execute("BEGIN IMMEDIATE").await?;
        Ok(Self { connection })
    }

    /// The columns of a table, in the file's order.
    pub(in crate::store) async fn columns(
        &mut self,
        table: &CopiedTable,
    ) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1) ORDER BY cid")
            .bind(table.name)
            .fetch_all(&mut self.connection)
            .await?;
        Ok(names)
    }

    pub(in crate::store) async fn count(&mut self, table: &CopiedTable) -> Result<i64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        let count = sqlx::query_scalar(AssertSqlSafe(sql));
        Ok(count.fetch_one(&mut self.connection).await?)
    }

    /// The rows after `last`, by the table's key.
    pub(in crate::store) async fn page(
        &mut self,
        table: &CopiedTable,
        columns: &[String],
        last: Option<&Map<String, Value>>,
    ) -> Result<Vec<Map<String, Value>>, StoreError> {
        let cells: Vec<String> = columns
            .iter()
            .map(|name| format!("'{name}', {name}"))
            .collect();
        let key = table.key.join(", ");
        let after = match last {
            Some(_) => {
                let places: Vec<String> = (0..table.key.len())
                    .map(|place| format!("json_extract(?1, '$[{place}]')"))
                    .collect();
                format!("WHERE ({key}) > ({})", places.join(", "))
            }
            None => String::new(),
        };
        let sql = format!(
            "SELECT json_object({}) FROM {} {after} ORDER BY {key} LIMIT {PAGE_ROWS}",
            cells.join(", "),
            table.name
        );
        let place = last.map(|row| table.key_of(row).to_string());
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(place)
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter().map(|row| parsed(table, row)).collect()
    }

    /// A value of `meta`.
    pub(in crate::store) async fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?1");
        Ok(value.bind(key).fetch_optional(&mut self.connection).await?)
    }

    /// The highest number ever given out in a table.
    pub(in crate::store) async fn highest_number(
        &mut self,
        table: &str,
    ) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = ?1), 0)";
        let highest = sqlx::query_scalar(sql).bind(table);
        Ok(highest.fetch_one(&mut self.connection).await?)
    }

    pub(in crate::store) async fn end(mut self) -> Result<(), StoreError> {
        self.connection.execute("ROLLBACK").await?;
        Ok(self.connection.close().await?)
    }
}

fn parsed(table: &CopiedTable, row: &str) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_str(row).map_err(|error| {
        StoreError::Unusable(format!(
            "a row of {} could not be read: {error}",
            table.name
        ))
    })
}
