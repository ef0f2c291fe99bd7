//! The schema: its versions, and the programs that may work with it.
//!
//! Version n is the result of the first n migrations. Daemons of two adjacent versions run side by
//! side while they are replaced one after another: a migration first adds what the new program
//! needs, and only a later one removes what the old program needed, and raises
//! `meta.oldest_program`.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::store::StoreError;

/// The migrations, in order. A released one never changes, because existing databases were created
/// by it.
pub const MIGRATIONS: &[&str] = &[include_str!(
    "../../../migrations/postgres/0001_invoices_and_outbox.sql"
)];

/// The roles and their rights, after each migration.
const ROLES: &str = include_str!("../../../migrations/postgres/roles.sql");

/// The roles that a server must have, with the statement that creates each.
const ROLE_NAMES: [&str; 2] = ["payrecond_daemon", "payrecond_app"];

/// Two keys of this program: other programs lock with one key, or with other keys. A migration of
/// many rows has no time limit.
const LOCK: &str = "
    SET LOCAL statement_timeout = 0;
    SELECT pg_advisory_xact_lock(x'70617972'::integer, 1)";

/// How long a migration waits for a table in use: every statement that comes after the migration
/// waits as long.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// Queries a table of the catalog: `to_regclass` answers from a cache that does not show what
/// another migration committed while this one waited for it.
const HAS_META: &str = "
    SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS class
                     JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
                    WHERE space.nspname = 'payrecond' AND class.relname = 'meta')";

/// `lock_not_available`
const LOCKED: &str = "55P03";

/// Attempts at a migration whose tables are in use.
const ATTEMPTS: u32 = 30;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// The result of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaMigrated {
    /// Schema version before; 0 if there was none.
    pub from_version: usize,
    /// Schema version now.
    pub version: usize,
    /// Statements for a role that may create roles, if the owner may not; the next migration then
    /// grants the rights.
    pub missing_roles: Vec<String>,
}

/// Creates or upgrades the schema, as its owner. One transaction per version: if the process is
/// killed, the version is the one before or the one after. Concurrent migrations wait for each
/// other.
///
/// # Errors
/// `Unusable` for a schema that is not ours or is newer than this program, or if this role may not
/// change it; `Unavailable` if its tables stay in use.
pub async fn migrate_schema(connection: &mut PgConnection) -> Result<SchemaMigrated, StoreError> {
    migrate_schema_by(connection, MIGRATIONS).await
}

/// Like `migrate_schema`, with the given migrations, so that tests can upgrade data.
///
/// # Errors
/// Like `migrate_schema`.
pub async fn migrate_schema_by(
    connection: &mut PgConnection,
    migrations: &[&'static str],
) -> Result<SchemaMigrated, StoreError> {
    let from_version = version_of(connection, migrations.len()).await?;
    for index in from_version..migrations.len() {
        apply_when_free(connection, migrations, index).await?;
    }
    grant_rights(connection).await?;
    Ok(SchemaMigrated {
        from_version,
        version: migrations.len(),
        missing_roles: missing_roles(connection).await?,
    })
}

/// The schema version; refuses a schema that this program cannot work with.
///
/// # Errors
/// `Unusable` in that case.
pub async fn require_usable_schema(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let known = MIGRATIONS.len();
    let version = newest_usable(connection, known).await?.unwrap_or(0);
    if version < known {
        return Err(StoreError::Unusable(format!(
            "schema version {version} is older than this program needs ({known}); `payrecond migrate`, run as the owner of the schema, upgrades it"
        )));
    }
    Ok(version)
}

async fn apply_when_free(
    connection: &mut PgConnection,
    migrations: &[&'static str],
    index: usize,
) -> Result<(), StoreError> {
    for _ in 1..ATTEMPTS {
        match apply(connection, migrations, index).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCKED) => {
                tracing::info!(
                    version = index + 1,
                    "tables in use; migration waits for them"
                );
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            outcome => return outcome.map_err(|error| refused(&error, index + 1)),
        }
    }
    apply(connection, migrations, index)
        .await
        .map_err(|error| refused(&error, index + 1))
}

/// Applies one version, unless another process was faster.
async fn apply(
    connection: &mut PgConnection,
    migrations: &[&'static str],
    index: usize,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
    sqlx::raw_sql(LOCK_TIMEOUT)
        .execute(&mut *transaction)
        .await?;
    if stored_version(&mut transaction).await?.unwrap_or(0) > index {
        return transaction.rollback().await;
    }
    sqlx::raw_sql(migrations[index])
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE payrecond.meta SET value = $1 WHERE key = 'schema_version'")
        .bind((index + 1).to_string())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn grant_rights(connection: &mut PgConnection) -> Result<(), StoreError> {
    let granted: Result<(), sqlx::Error> = async {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
        sqlx::raw_sql(ROLES).execute(&mut *transaction).await?;
        transaction.commit().await
    }
    .await;
    granted.map_err(|error| {
        StoreError::Unusable(format!("rights could not be granted: {error}; run `payrecond migrate` as the owner of the schema"))
    })
}

async fn missing_roles(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let there: Vec<String> =
        sqlx::query_scalar("SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY($1)")
            .bind(ROLE_NAMES.map(str::to_owned).to_vec())
            .fetch_all(connection)
            .await?;
    let missing = ROLE_NAMES
        .iter()
        .filter(|name| !there.iter().any(|role| role == *name));
    Ok(missing
        .map(|name| format!("CREATE ROLE {name} NOLOGIN;"))
        .collect())
}

/// The schema version, 0 if there is none; refuses a schema that is not ours or is above `newest`.
async fn version_of(connection: &mut PgConnection, newest: usize) -> Result<usize, StoreError> {
    let version = newest_usable(connection, newest).await?.unwrap_or(0);
    if version > newest {
        return Err(StoreError::Unusable(format!(
            "schema version {version} is newer than this program knows ({newest}); install the newer program"
        )));
    }
    Ok(version)
}

/// The schema version; None if there is no schema. Refuses a schema that a program with `known`
/// versions cannot work with.
async fn newest_usable(
    connection: &mut PgConnection,
    known: usize,
) -> Result<Option<usize>, StoreError> {
    let Some(version) = stored_version(connection)
        .await
        .map_err(|error| unreadable(&error))?
    else {
        return Ok(None);
    };
    let oldest: Option<String> =
        sqlx::query_scalar("SELECT value FROM payrecond.meta WHERE key = 'oldest_program'")
            .fetch_optional(connection)
            .await?;
    let oldest = oldest
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or(version);
    if oldest > known {
        return Err(StoreError::Unusable(format!(
            "schema version {version} needs a program that knows version {oldest}, this one knows {known}; install the newer program"
        )));
    }
    Ok(Some(version))
}

async fn stored_version(connection: &mut PgConnection) -> Result<Option<usize>, sqlx::Error> {
    let is_there: bool = sqlx::query_scalar(HAS_META)
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        return Ok(None);
    }
    let version: Option<String> =
        sqlx::query_scalar("SELECT value FROM payrecond.meta WHERE key = 'schema_version'")
            .fetch_optional(connection)
            .await?;
    let version = version.and_then(|text| text.parse().ok());
    Ok(Some(version.unwrap_or(0)))
}

fn unreadable(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(refusal) => StoreError::Unusable(format!(
            "the schema payrecond cannot be read: {refusal}; grant payrecond_daemon to this role, or run `payrecond migrate` as the owner"
        )),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn refused(error: &sqlx::Error, version: usize) -> StoreError {
    match error {
        sqlx::Error::Database(refusal) if refusal.code().as_deref() != Some(LOCKED) => {
            StoreError::Unusable(format!(
                "migration to schema version {version} failed: {refusal}; run `payrecond migrate` as the owner of the schema"
            ))
        }
        _ => StoreError::Unavailable(format!(
            "migration to schema version {version} failed: {error}"
        )),
    }
}
