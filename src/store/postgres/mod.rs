//! The store on PostgreSQL: a few connections, one statement for each write.
//!
//! Every name is qualified, nothing is kept in a session except settings that are checked at the
//! start, and no transaction waits for this process: a write is a single statement in autocommit
//! wherever it may lock rows that others need. So a process that is paused or cut off holds no
//! lock.

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
mod error;
mod fence;
mod held;
mod hold;
mod import;
mod invoices;
mod jobs;
mod leases;
mod overview;
mod pages;
mod place;
mod pool;
mod prepare;
mod reports;
mod retention;
mod row;
mod schema;
mod snapshots;
mod status_queries;
mod transactions;
mod watch;

pub use copy::restore_elsewhere;
pub use hold::{ConsumerHold, hold};
pub(super) use import::ServerImport;
pub use prepare::{migrate, prepare};
pub use schema::{
    MIGRATIONS, SchemaMigrated, migrate_schema, migrate_schema_by, require_usable_schema,
};

use std::sync::Arc;

use self::fence::Fence;
use self::held::HeldRows;
use self::place::ServerPlace;
use self::pool::Connections;
use self::snapshots::OldSnapshots;
use super::{ServerLocation, StoreError};

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The server.
    pub server: ServerLocation,
    /// First token or tokens of every subject.
    pub subject_prefix: String,
    /// Consumers that are switched off: they keep their positions, and retention does not wait for them.
    pub off_consumers: Vec<String>,
}

/// A payrecond database on a server, with a schema that this program supports. Clones share
/// connections.
#[derive(Clone)]
pub struct PostgresStore {
    options: Arc<PostgresOptions>,
    connections: Connections,
    place: Arc<ServerPlace>,
    held: Arc<HeldRows>,
    snapshots: Arc<OldSnapshots>,
    /// The lease that every write of a task depends on; people's writes depend on none.
    fence: Fence,
}

impl PostgresStore {
    /// Opens a database that `migrate` has upgraded.
    ///
    /// # Errors
    /// `Unusable` if it is not ours, or has another version; `Unavailable` if it cannot be reached
    /// at present.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let place = Arc::new(prepare::open_place(&options.server).await?);
        let connections = Connections::open(&options.server, Arc::clone(&place))?;
        Ok(Self {
            options: Arc::new(options),
            connections,
            place,
            held: Arc::default(),
            snapshots: Arc::default(),
            fence: Fence::none(),
        })
    }

    fn subject_prefix(&self) -> &str {
        &self.options.subject_prefix
    }

    fn off_consumers(&self) -> &[String] {
        &self.options.off_consumers
    }
}
