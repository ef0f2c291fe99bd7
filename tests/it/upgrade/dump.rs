//! A database as SQL text: schema, rows, counters, and the marks in its header.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

/// The text, in an order in which it can be executed: tables and rows first, since triggers would
/// refuse most rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump(pub String);

impl Dump {
    /// Where the fixture of a schema is kept.
    pub fn path(version: usize) -> PathBuf {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schemas");
        Path::new(folder).join(format!("schema-{version}.sql"))
    }

    /// The fixture of a schema.
    pub fn kept(version: usize) -> Self {
        let path = Self::path(version);
        let text = fs::read_to_string(&path);
        Self(text.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Creates the database, in WAL mode like the program.
    pub async fn load(&self, database: &Path) {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .foreign_keys(false);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let sql = format!("PRAGMA journal_mode = WAL;\nBEGIN;\n{}\nCOMMIT;", self.0);
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Reads a database.
    pub async fn of(database: &Path) -> Self {
        let mut connection = crate::store::connect(database).await;
        let mut text = String::new();
        for pragma in ["application_id", "user_version"] {
            let value = ask(&mut connection, &format!("PRAGMA {pragma}")).await;
            writeln!(text, "PRAGMA {pragma} = {};", value[0]).unwrap();
        }
        let tables = schema(&mut connection, "type = 'table'").await;
        for (name, sql) in &tables {
            writeln!(text, "\n{sql};").unwrap();
            text += &rows(&mut connection, name).await;
        }
        text += "\nDELETE FROM sqlite_sequence;\n";
        text += &rows(&mut connection, "sqlite_sequence").await;
        for (_, sql) in schema(&mut connection, "type <> 'table' AND sql IS NOT NULL").await {
            writeln!(text, "\n{sql};").unwrap();
        }
        connection.close().await.unwrap();
        Self(text)
    }

    /// The statements that are not data.
    pub fn schema(&self) -> Vec<&str> {
        let is_row = |line: &&str| line.starts_with('(') || line.starts_with("INSERT INTO");
        self.0.lines().filter(|line| !is_row(line)).collect()
    }
}

/// Name and text of the schema's objects, in the order of creation.
async fn schema(connection: &mut SqliteConnection, which: &str) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT name, sql FROM sqlite_master WHERE {which} AND name NOT LIKE 'sqlite%' ORDER BY rowid"
    );
    let found = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection);
    found.await.unwrap()
}

/// All rows of a table, a line each.
async fn rows(connection: &mut SqliteConnection, table: &str) -> String {
    let columns = columns(connection, table).await;
    if columns.is_empty() {
        // The table of counters does not exist before any other table.
        return String::new();
    }
    let found = cells(connection, table, &columns).await;
    if found.is_empty() {
        return String::new();
    }
    let columns = columns.join(", ");
    format!(
        "INSERT INTO {table} ({columns}) VALUES\n{};\n",
        found.join(",\n")
    )
}

pub async fn columns(connection: &mut SqliteConnection, table: &str) -> Vec<String> {
    ask(
        connection,
        &format!("SELECT name FROM pragma_table_info('{table}')"),
    )
    .await
}

/// These columns of all rows, each row as in an INSERT.
pub async fn cells(
    connection: &mut SqliteConnection,
    table: &str,
    columns: &[String],
) -> Vec<String> {
    let quoted: Vec<String> = columns
        .iter()
        .map(|name| format!("quote({name})"))
        .collect();
    let row = quoted.join(" || ', ' || ");
    let sql = format!(
        "SELECT '(' || {row} || ')' FROM {table} ORDER BY {}",
        columns[0]
    );
    ask(connection, &sql).await
}

/// The first column, as text.
pub async fn ask(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap();
    let text = |row| {
        use sqlx::Row as _;
        let row: &sqlx::sqlite::SqliteRow = row;
        row.try_get::<String, _>(0)
            .unwrap_or_else(|_| row.get::<i64, _>(0).to_string())
    };
    rows.iter().map(text).collect()
}
