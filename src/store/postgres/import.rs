//! What a server takes over of a file, in one transaction: all of it, or nothing.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::connect;
use crate::store::copied_tables::{CopiedTable, TABLES};
use crate::store::{ServerLocation, StoreError};

/// Reading the file takes time in between.
const PATIENT: &str = "
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL statement_timeout = 0";

/// The columns that the file does not have.
const OF_INVOICES: (&str, &str) = (", inserted_by", ", pg_current_xact_id()");

/// A database that is being filled. Dropped without `end`, it is as it was.
pub(in crate::store) struct ServerImport {
    connection: PgConnection,
}

impl ServerImport {
    /// Keeps every other writer out, and the triggers, which would give the rows other ids and times.
    ///
    /// # Errors
    /// `Unusable` where this role does not own the schema.
    pub(in crate::store) async fn begin(server: &ServerLocation) -> Result<Self, StoreError> {
        let mut connection = connect::connect(server).await?;
        connection.execute("BEGIN").await?;
        sqlx::raw_sql(PATIENT).execute(&mut connection).await?;
        for table in guarded_tables() {
            let sql = format!("ALTER TABLE payrecond.{table} DISABLE TRIGGER USER");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .map_err(|error| {
                    StoreError::Unusable(format!(
                        "{server}: {error}; run `payrecond copy` as the owner of the schema"
                    ))
                })?;
        }
        Ok(Self { connection })
    }

    pub(in crate::store) async fn count(&mut self, table: &CopiedTable) -> Result<i64, StoreError> {
        let sql = format!("SELECT count(*) FROM payrecond.{}", table.name);
        let count = sqlx::query_scalar(AssertSqlSafe(sql));
        Ok(count.fetch_one(&mut self.connection).await?)
    }

    pub(in crate::store) async fn insert(
        &mut self,
        table: &CopiedTable,
        columns: &[String],
        rows: &[Map<String, Value>],
    ) -> Result<(), StoreError> {
        let names = columns.join(", ");
        let (more, values) = if table.name == "invoices" {
            OF_INVOICES
        } else {
            ("", "")
        };
        let sql = format!(
            "INSERT INTO payrecond.{0} ({names}{more}) OVERRIDING SYSTEM VALUE
             SELECT {names}{values} FROM json_populate_recordset(NULL::payrecond.{0}, $1::text::json)",
            table.name
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(as_json(rows))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Reads these rows back and compares them, column by column.
    pub(in crate::store) async fn require_same(
        &mut self,
        table: &CopiedTable,
        columns: &[String],
        rows: &[Map<String, Value>],
    ) -> Result<(), StoreError> {
        let key = table.key.join(", ");
        let sql = format!(
            "SELECT row_to_json(stored)::text FROM (
                 SELECT {} FROM payrecond.{table} AS stored
                   JOIN json_populate_recordset(NULL::payrecond.{table}, $1::text::json) AS given USING ({key})
             ) AS stored",
            columns_of(columns, table),
            table = table.name
        );
        let stored: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(as_json(rows))
            .fetch_all(&mut self.connection)
            .await?;
        let mut by_key: HashMap<String, Map<String, Value>> = HashMap::new();
        for row in stored {
            let row: Map<String, Value> = serde_json::from_str(&row).unwrap_or_default();
            by_key.insert(table.key_of(&row).to_string(), row);
        }
        for row in rows {
            let key = table.key_of(row).to_string();
            if by_key.get(&key) != Some(row) {
                return Err(StoreError::Unusable(format!(
                    "the server holds another row {key} in {} than the file; copy into a database without invoices",
                    table.name
                )));
            }
        }
        Ok(())
    }

    /// Epoch and floors as in the file, and numbers that go on after the file's.
    pub(in crate::store) async fn set_place(
        &mut self,
        meta: &[(&str, String)],
        highest_id: i64,
        highest_seq: i64,
    ) -> Result<(), StoreError> {
        for (key, value) in meta {
            sqlx::query(
                "INSERT INTO payrecond.meta (key, value) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(*key)
            .bind(value)
            .execute(&mut self.connection)
            .await?;
        }
        for (sequence, highest) in [
            ("payrecond.invoices_id_seq", highest_id),
            ("payrecond.outbox_seq", highest_seq),
        ] {
            if highest > 0 {
                sqlx::query("SELECT setval($1::text::regclass, $2)")
                    .bind(sequence)
                    .bind(highest)
                    .execute(&mut self.connection)
                    .await?;
            }
        }
        Ok(())
    }

    pub(in crate::store) async fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM payrecond.meta WHERE key = $1");
        Ok(value.bind(key).fetch_optional(&mut self.connection).await?)
    }

    pub(in crate::store) async fn commit(mut self) -> Result<(), StoreError> {
        for table in guarded_tables() {
            let sql = format!("ALTER TABLE payrecond.{table} ENABLE TRIGGER USER");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut self.connection)
                .await?;
        }
        self.connection.execute("COMMIT").await?;
        self.connection.execute("ANALYZE").await?;
        Ok(self.connection.close().await?)
    }

    pub(in crate::store) async fn roll_back(mut self) -> Result<(), StoreError> {
        self.connection.execute("ROLLBACK").await?;
        Ok(self.connection.close().await?)
    }
}

/// A consumer of the file may stand below what was deleted before it came, which the floor's trigger refuses.
fn guarded_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name).chain(["meta"])
}

/// The key comes from the join, which has it once.
fn columns_of(columns: &[String], table: &CopiedTable) -> String {
    let name = |column: &String| {
        if table.key.contains(&column.as_str()) {
            column.clone()
        } else {
            format!("stored.{column}")
        }
    };
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn as_json(rows: &[Map<String, Value>]) -> String {
    let rows = rows.iter().cloned().map(Value::Object).collect();
    Value::Array(rows).to_string()
}
