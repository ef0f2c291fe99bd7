//! The store on PostgreSQL: a few connections, one statement for each write.
//!
//! Every name is qualified, nothing is kept in a session but settings that are checked at the start,
//! and no transaction waits for this process: a write is a single statement in autocommit wherever it
//! may lock what others need. So a process that is paused or cut off holds no lock.

mod accounts;
mod audit;
mod batch;
mod budget;
mod commit;
mod connect;
mod consumers;
mod copy;
mod database;
mod due;
mod duties;
mod error;
mod fence;
mod glance;
mod hold;
mod invoices;
mod leases;
mod overview;
mod pages;
mod place;
mod pool;
mod reports;
mod retention;
mod row;
mod schema;
mod transactions;
mod watch;

pub use copy::restore_elsewhere;
pub use hold::{ConsumerHold, hold};
pub use schema::{
    MIGRATIONS, SchemaMigrated, migrate_schema, migrate_schema_by, require_usable_schema,
};

use std::sync::Arc;

use sqlx::Executor as _;

use self::fence::Fence;
use self::place::ServerPlace;
use self::pool::Connections;
use super::{Migrated, ServerLocation, StoreError};
use crate::domain::time::UnixMillis;

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where it is.
    pub server: ServerLocation,
    /// First token or tokens of every subject.
    pub subject_prefix: String,
    /// A consumer that is switched off: it keeps its place, and nobody waits for it.
    pub off_consumer: Option<String>,
}

/// A database of ours on a server, at a schema that this program knows. Clones share connections.
#[derive(Clone)]
pub struct PostgresStore {
    options: Arc<PostgresOptions>,
    connections: Connections,
    place: Arc<ServerPlace>,
    /// What every write of a task depends on; people's writes depend on nothing.
    fence: Fence,
}

impl PostgresStore {
    /// Opens a database that `migrate` has brought up to date.
    ///
    /// # Errors
    /// `Unusable` when it is not ours, or of another version; `Unavailable` when it cannot be
    /// reached just now.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let place = Arc::new(open_place(&options.server).await?);
        let connections = Connections::open(&options.server, Arc::clone(&place))?;
        Ok(Self {
            options: Arc::new(options),
            connections,
            place,
            fence: Fence::none(),
        })
    }

    fn subject_prefix(&self) -> &str {
        &self.options.subject_prefix
    }

    fn off_consumer(&self) -> Option<&str> {
        self.options.off_consumer.as_deref()
    }
}

async fn open_place(server: &ServerLocation) -> Result<ServerPlace, StoreError> {
    let mut connection = connect::connect(server).await?;
    let place = connect::within(async {
        schema::require_usable_schema(&mut connection).await?;
        ServerPlace::of(&mut connection).await
    });
    let place = place.await.map_err(|error| error.at(server.to_string()))?;
    connect::close(connection).await;
    Ok(place)
}

/// Makes the schema or brings it up to date, as its owner.
///
/// # Errors
/// `Unusable` where it is not ours or newer, or this role may not change it.
pub async fn migrate(server: &ServerLocation, now: UnixMillis) -> Result<Migrated, StoreError> {
    let mut connection = connect::connect(server).await?;
    let migrated = async {
        // What a migration takes, it takes.
        connection.execute("SET statement_timeout = 0").await?;
        let schema = schema::migrate_schema(&mut connection).await?;
        for statement in &schema.missing_roles {
            tracing::warn!(
                statement,
                "role is missing; let a role that may create roles run the statement, then migrate again"
            );
        }
        let (epoch, put_back) = place::settle(&mut connection, now).await?;
        Ok(Migrated {
            from_version: schema.from_version,
            version: schema.version,
            epoch,
            put_back,
        })
    };
    let migrated: Result<Migrated, StoreError> = migrated.await;
    connect::close(connection).await;
    migrated.map_err(|error| error.at(server.to_string()))
}

/// What a daemon does before it opens the database: it makes sure that it talks to the server itself,
/// and that the epoch belongs to the place where the database is now.
///
/// # Errors
/// `Unusable` behind a transaction pooler, or when the schema is not current.
pub async fn prepare(server: &ServerLocation, now: UnixMillis) -> Result<Migrated, StoreError> {
    connect::require_direct(server).await?;
    let mut connection = connect::connect(server).await?;
    let settled = connect::within(async {
        schema::require_usable_schema(&mut connection).await?;
        let (epoch, put_back) = place::settle(&mut connection, now).await?;
        Ok(Migrated {
            from_version: MIGRATIONS.len(),
            version: MIGRATIONS.len(),
            epoch,
            put_back,
        })
    });
    let settled = settled
        .await
        .map_err(|error| error.at(server.to_string()))?;
    connect::close(connection).await;
    Ok(settled)
}
