//! The schema: its versions, and the epoch.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use super::access;
use super::high_water::{self, HighWater};
use super::identity::{self, Identity};
use super::open;
use super::path;
use crate::domain::time::UnixMillis;
use crate::store::{Migrated, StoreError};

/// The migrations, in order; version n of the schema is the result of the first n. A released one
/// never changes, because existing databases were created by it.
pub const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_invoices_and_outbox.sql"),
    include_str!("../../../migrations/sqlite/0002_facts_and_transactions.sql"),
    include_str!("../../../migrations/sqlite/0003_repeats_and_messages.sql"),
];

/// The first version of SQLite without the WAL reset bug that can corrupt a file (3.7.0 to 3.51.2).
const FIRST_SOUND_SQLITE: &str = "3.51.3";

/// Creates or upgrades the database, and detects whether it was restored from an older copy. One
/// transaction per version: if the process is killed, the version is the one before or the one
/// after.
///
/// # Errors
/// `Unusable` for a file that is not ours or newer than this program.
pub async fn migrate(path: &Path, now: UnixMillis) -> Result<Migrated, StoreError> {
    migrate_by(path, MIGRATIONS, now).await
}

/// Like `migrate`, with the given migrations, so that tests can upgrade data.
///
/// # Errors
/// Like `migrate`.
pub async fn migrate_by(
    path: &Path,
    migrations: &[&'static str],
    now: UnixMillis,
) -> Result<Migrated, StoreError> {
    let path = &path::resolve(path);
    path::require_usable_path(path)?;
    let mut connection = open::open_or_create(path).await?;
    let outcome = migrate_open(&mut connection, path, migrations, now).await;
    let closed = connection.close().await;
    let migrated = outcome.map_err(|error| access::explained(error.at(path), path))?;
    closed?;
    Ok(migrated)
}

async fn migrate_open(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: &[&'static str],
    now: UnixMillis,
) -> Result<Migrated, StoreError> {
    require_sound_sqlite(connection).await?;
    let newest = migrations.len();
    let from_version = version_of(connection, newest).await?;
    sqlx::raw_sql("PRAGMA journal_mode = WAL")
        .execute(&mut *connection)
        .await?;
    let owns_user_version = identity::owns_user_version(connection, from_version).await?;
    for (index, sql) in migrations.iter().enumerate().skip(from_version) {
        connection.execute("BEGIN IMMEDIATE").await?;
        // Another process may have been faster.
        if version_of(connection, newest).await? > index {
            connection.execute("ROLLBACK").await?;
            continue;
        }
        sqlx::raw_sql(*sql).execute(&mut *connection).await?;
        identity::mark_version(connection, index + 1, owns_user_version).await?;
        connection.execute("COMMIT").await?;
    }
    let (epoch, put_back) = settle_epoch(connection, path, newest, now).await?;
    Ok(Migrated {
        from_version,
        version: newest,
        epoch,
        put_back,
        missing_roles: Vec::new(),
    })
}

/// Refuses a database that is not ours or not at the current version.
pub(super) async fn require_current(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    let identity = Identity::of(connection).await;
    let identity = identity.map_err(|error| error.at(path))?;
    let version = identity.version(MIGRATIONS.len());
    let version = version.map_err(|error| error.at(path))?;
    let lacks = if version != MIGRATIONS.len() {
        format!(
            "schema version {version} is older than this program needs ({}); `payrecond migrate` upgrades it",
            MIGRATIONS.len()
        )
    } else if identity.is_read_back() {
        "the database was restored from a text dump; `payrecond migrate` completes it and starts a new epoch".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::Unusable(lacks).at(path))
}

/// The schema version, 0 for an empty file; refuses what is not ours or above `newest`.
pub(super) async fn version_of(
    connection: &mut SqliteConnection,
    newest: usize,
) -> Result<usize, StoreError> {
    Identity::of(connection).await?.version(newest)
}

async fn require_sound_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await?;
    let number =
        |text: &str| -> Vec<u32> { text.split('.').filter_map(|p| p.parse().ok()).collect() };
    if number(&version) < number(FIRST_SOUND_SQLITE) {
        return Err(StoreError::Unusable(format!(
            "built with SQLite {version}, whose WAL can corrupt the database: {FIRST_SOUND_SQLITE} or newer is needed"
        )));
    }
    Ok(())
}

/// The epoch. It is created with the database, and replaced when the file was read back from a text
/// dump or the side file shows that it was restored. A new epoch continues above every number ever
/// assigned.
async fn settle_epoch(
    connection: &mut SqliteConnection,
    path: &Path,
    version: usize,
    now: UnixMillis,
) -> Result<(String, bool), StoreError> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let is_read_back = identity::add_missing_marks(connection, version).await?;
    let known: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
        .fetch_optional(&mut *connection)
        .await?;
    let own_seq = highest_seq(connection).await?;
    let side = high_water::read(path)?;
    let put_back = match &known {
        Some(epoch) => is_read_back || high_water::is_put_back(epoch, own_seq, side.as_ref()),
        // A new database in place of a used one: nothing of the old one is left, not even its
        // numbers.
        None => side.as_ref().is_some_and(|side| side.seq > 0),
    };
    let is_new = known.is_none();
    let epoch = match known {
        Some(epoch) if !put_back => epoch,
        Some(_) | None => Uuid::new_v4().to_string(),
    };
    // Written even if it stays the same, to detect a file that cannot be written.
    let keep = if is_new {
        "INSERT INTO meta (key, value) VALUES ('epoch', ?1)"
    } else {
        "UPDATE meta SET value = ?1 WHERE key = 'epoch'"
    };
    sqlx::query(keep)
        .bind(&epoch)
        .execute(&mut *connection)
        .await?;
    if put_back {
        let floor = own_seq.max(side.map_or(0, |side| side.seq)).max(now.0);
        go_on_above(connection, floor).await?;
    }
    let seq = highest_seq(connection).await?;
    // No other process can commit meanwhile: another program records its own commits after this.
    high_water::put(
        path,
        &HighWater {
            epoch: epoch.clone(),
            seq,
        },
    );
    connection.execute("COMMIT").await?;
    Ok((epoch, put_back))
}

/// Begins a new epoch; the next seq is above `floor`.
pub(super) async fn begin_epoch(
    connection: &mut SqliteConnection,
    epoch: &str,
    floor: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE meta SET value = ?1 WHERE key = 'epoch'")
        .bind(epoch)
        .execute(&mut *connection)
        .await?;
    go_on_above(connection, floor).await
}

async fn go_on_above(connection: &mut SqliteConnection, floor: i64) -> Result<(), StoreError> {
    // AUTOINCREMENT keeps its counter in a table that can be written.
    sqlx::query("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?1)")
        .bind(floor)
        .execute(connection)
        .await?;
    Ok(())
}

/// The highest seq ever assigned, 0 before the first.
pub(super) async fn highest_seq(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0)",
    )
    .fetch_one(connection)
    .await
}
