//! Detects whether a database is ours and which version it has.
//!
//! The tables decide. The id in the header is lost when a text dump is read back, and all programs
//! that share the file share `user_version`: only the first schema was identified by it, every
//! later one by `schema_version` in `meta`. Both marks of the header are still written, for tools
//! and for programs that know only them.

use sqlx::sqlite::SqliteConnection;

use crate::store::StoreError;

/// `PAYR`, in the file's header.
const APPLICATION_ID: i64 = 0x5041_5952;

/// The version of a database that has our tables but no `schema_version`.
const FIRST_VERSION: usize = 1;

/// Everything that identifies a file, except the version in `meta`: id, `user_version`, number of
/// objects, and how many of the tables common to all versions exist.
const READ: &str = "
    SELECT (SELECT application_id FROM pragma_application_id),
           (SELECT user_version FROM pragma_user_version),
           count(*),
           count(*) FILTER (WHERE type = 'table'
                              AND name IN ('invoices', 'outbox', 'consumers', 'meta'))
      FROM sqlite_master";
const OUR_TABLES: i64 = 4;

/// What identifies a file.
pub(super) struct Identity {
    application_id: i64,
    user_version: i64,
    objects: i64,
    has_our_tables: bool,
    /// `meta.schema_version`.
    written: Option<String>,
}

impl Identity {
    pub(super) async fn of(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let (application_id, user_version, objects, ours): (i64, i64, i64, i64) =
            sqlx::query_as(READ).fetch_one(&mut *connection).await?;
        let has_our_tables = ours == OUR_TABLES;
        let written = if has_our_tables {
            sqlx::query_scalar("SELECT value FROM meta WHERE key = 'schema_version'")
                .fetch_optional(connection)
                .await?
        } else {
            None
        };
        Ok(Self {
            application_id,
            user_version,
            objects,
            has_our_tables,
            written,
        })
    }

    /// The schema version, 0 for an empty file; refuses what is not ours or above `newest`.
    pub(super) fn version(&self, newest: usize) -> Result<usize, StoreError> {
        let version = match (&self.written, self.application_id) {
            (Some(text), _) => text.parse().map_err(|_| {
                unusable(format!(
                    "meta.schema_version: expected a whole number, got {text:?}"
                ))
            })?,
            (None, _) if self.has_our_tables => FIRST_VERSION,
            (None, 0 | APPLICATION_ID) if self.objects == 0 && self.user_version == 0 => 0,
            (None, APPLICATION_ID) => self.version_without_tables(newest)?,
            (None, _) => {
                return Err(unusable(
                    "not a payrecond database; it belongs to another program and was not changed",
                ));
            }
        };
        if version <= newest {
            return Ok(version);
        }
        Err(unusable(format!(
            "schema version {version} is newer than this program, which knows versions up to {newest}; use the newer program"
        )))
    }

    /// The version of a file that has our id but not our tables: a later schema may have others.
    fn version_without_tables(&self, newest: usize) -> Result<usize, StoreError> {
        match usize::try_from(self.user_version) {
            Ok(version) if version > newest => Ok(version),
            Ok(_) | Err(_) => Err(unusable(
                "payrecond database without its tables; put a backup in place with `payrecond restore`",
            )),
        }
    }

    /// Whether it was created from a text dump, which has our tables but not the id.
    pub(super) fn is_read_back(&self) -> bool {
        self.has_our_tables && self.application_id == 0
    }
}

/// Whether no other program uses `user_version`, in a database of this version. Asked once before several
/// migrations: a number of another program may be that of a version in between.
pub(super) async fn owns_user_version(
    connection: &mut SqliteConnection,
    version: usize,
) -> Result<bool, StoreError> {
    let there = user_version(connection).await?;
    Ok(there == 0 || usize::try_from(there) == Ok(version))
}

/// Writes the version, within the transaction that brings the schema to it.
pub(super) async fn mark_version(
    connection: &mut SqliteConnection,
    version: usize,
    owns_user_version: bool,
) -> Result<(), StoreError> {
    if version == FIRST_VERSION {
        mark_id(connection).await?;
    }
    if owns_user_version {
        mark_user_version(connection, version).await?;
    }
    let text = version.to_string();
    let update = "UPDATE meta SET value = ?1 WHERE key = 'schema_version'";
    let updated = sqlx::query(update)
        .bind(&text)
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() == 0 {
        sqlx::query("INSERT INTO meta (key, value) VALUES ('schema_version', ?1)")
            .bind(text)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Adds the marks that a database of ours lacks. Returns whether it was read back from a dump.
pub(super) async fn add_missing_marks(
    connection: &mut SqliteConnection,
    version: usize,
) -> Result<bool, StoreError> {
    let found = Identity::of(connection).await?;
    if found.is_read_back() {
        mark_id(connection).await?;
        mark_user_version(connection, version).await?;
    }
    if found.written.is_none() {
        mark_version(connection, version, true).await?;
    }
    Ok(found.is_read_back())
}

async fn mark_id(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    set_pragma(connection, "application_id", APPLICATION_ID).await
}

/// Sets `user_version`, unless another program uses it.
async fn mark_user_version(
    connection: &mut SqliteConnection,
    version: usize,
) -> Result<(), StoreError> {
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    let there = user_version(connection).await?;
    if there == 0 || there == version - 1 {
        set_pragma(connection, "user_version", version).await?;
    }
    Ok(())
}

async fn user_version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let there = sqlx::query_scalar("PRAGMA user_version");
    Ok(there.fetch_one(connection).await?)
}

/// PRAGMA takes no parameters; name and number are our own.
async fn set_pragma(
    connection: &mut SqliteConnection,
    name: &'static str,
    value: i64,
) -> Result<(), StoreError> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA {name} = {value}")))
        .execute(connection)
        .await?;
    Ok(())
}

fn unusable(why: impl Into<String>) -> StoreError {
    StoreError::Unusable(why.into())
}
