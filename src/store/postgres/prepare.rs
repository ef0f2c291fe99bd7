//! Steps before the database is opened: `migrate` by its owner, `prepare` by each daemon.

use sqlx::Executor as _;

use super::place::{self, ServerPlace};
use super::{connect, schema};
use crate::store::{Migrated, ServerLocation, StoreError};

pub(super) async fn open_place(server: &ServerLocation) -> Result<ServerPlace, StoreError> {
    let mut connection = connect::connect(server).await?;
    let place = connect::within(async {
        schema::require_usable_schema(&mut connection).await?;
        ServerPlace::of(&mut connection).await
    });
    let place = place.await.map_err(|error| error.at(server.to_string()))?;
    connect::close(connection).await;
    Ok(place)
}

/// Creates or upgrades the schema, as its owner.
///
/// # Errors
/// `Unusable` if it is not ours or is newer, or this role may not change it.
pub async fn migrate(server: &ServerLocation) -> Result<Migrated, StoreError> {
    let mut connection = connect::connect(server).await?;
    let migrated = async {
        // A migration has no time limit.
        connection.execute("SET statement_timeout = 0").await?;
        let schema = schema::migrate_schema(&mut connection).await?;
        let (epoch, put_back) = place::settle(&mut connection).await?;
        Ok(Migrated {
            from_version: schema.from_version,
            version: schema.version,
            epoch,
            put_back,
            missing_roles: schema.missing_roles,
        })
    };
    let migrated: Result<Migrated, StoreError> = migrated.await;
    connect::close(connection).await;
    migrated.map_err(|error| error.at(server.to_string()))
}

/// The steps of a daemon before it opens the database: it checks that it is connected to the server
/// itself, and that the epoch belongs to the place where the database is now.
///
/// # Errors
/// `Unusable` behind a transaction pooler, or if the schema is not current.
pub async fn prepare(server: &ServerLocation) -> Result<Migrated, StoreError> {
    connect::require_direct(server).await?;
    let mut connection = connect::connect(server).await?;
    let settled = connect::within(async {
        schema::require_usable_schema(&mut connection).await?;
        let (epoch, put_back) = place::settle(&mut connection).await?;
        Ok(Migrated {
            from_version: schema::MIGRATIONS.len(),
            version: schema::MIGRATIONS.len(),
            epoch,
            put_back,
            missing_roles: Vec::new(),
        })
    });
    let settled = settled
        .await
        .map_err(|error| error.at(server.to_string()))?;
    connect::close(connection).await;
    Ok(settled)
}
