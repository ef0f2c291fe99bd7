//! Migrations: made once, again without effect, side by side with programs of the version before.

use payrecond::store::StoreError;
use payrecond::store::postgres::{
    MIGRATIONS, SchemaMigrated, migrate_schema, migrate_schema_by, require_usable_schema,
};
use sqlx::{Connection as _, Executor as _};

use super::server::{self, As};
use crate::until::eventually;

#[tokio::test]
async fn a_migration_makes_the_schema_once() {
    let Some(database) = server::empty_database().await else {
        return;
    };
    let mut owner = database.connect(As::Owner).await;
    let refused = require_usable_schema(&mut owner).await.unwrap_err();
    assert!(
        refused.to_string().contains("payrecond migrate"),
        "{refused}"
    );
    let mut other = database.connect(As::Owner).await;
    let (first, second) = tokio::join!(migrate_schema(&mut owner), migrate_schema(&mut other));
    for made in [first.unwrap(), second.unwrap()] {
        assert_eq!(
            (made.version, made.missing_roles),
            (MIGRATIONS.len(), vec![])
        );
    }
    let again = migrate_schema(&mut owner).await.unwrap();
    let version = MIGRATIONS.len();
    let nothing = SchemaMigrated {
        from_version: version,
        version,
        missing_roles: vec![],
    };
    assert_eq!(again, nothing);
    require_usable_schema(&mut owner).await.unwrap();
    owner.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_serves_the_version_before_until_it_says_otherwise() {
    let Some(database) = server::database().await else {
        return;
    };
    let mut owner = database.connect(As::Owner).await;
    let mut daemon = database.connect(As::Daemon).await;
    let newer = (MIGRATIONS.len() + 1).to_string();
    let set = "UPDATE payrecond.meta SET value = $2 WHERE key = $1";
    owner
        .execute(sqlx::query(set).bind("schema_version").bind(&newer))
        .await
        .unwrap();
    require_usable_schema(&mut daemon).await.unwrap();
    let refused = migrate_schema(&mut owner).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Unusable(why) if why.contains("newer")),
        "{refused}"
    );
    owner
        .execute(sqlx::query(set).bind("oldest_program").bind(&newer))
        .await
        .unwrap();
    let refused = require_usable_schema(&mut daemon).await.unwrap_err();
    assert!(
        refused.to_string().contains("install the newer program"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_program_needs_no_schema_in_its_statements() {
    let Some(database) = server::database().await else {
        return;
    };
    let mut app = database.connect(As::App).await;
    let insert =
        "INSERT INTO invoices (external_id, order_id) VALUES ('ORD-1', '2703383946854401')";
    app.execute(insert).await.unwrap();
    let status: String = sqlx::query_scalar("SELECT status FROM invoices")
        .fetch_one(&mut app)
        .await
        .unwrap();
    assert_eq!(status, "pending");
}

/// As a later version of the schema: a column that the program before does not know.
const NEXT: &str = "ALTER TABLE payrecond.invoices ADD COLUMN note text";

#[tokio::test]
async fn a_migration_waits_for_tables_in_use_and_stops_no_program_meanwhile() {
    let Some(database) = server::database().await else {
        return;
    };
    let mut busy = database.connect(As::App).await;
    let mut program = database.connect(As::App).await;
    let insert = "INSERT INTO invoices (external_id, status) VALUES ($1, 'pending')";
    program
        .execute(sqlx::query(insert).bind("before"))
        .await
        .unwrap();
    let mut open = busy.begin().await.unwrap();
    open.execute("UPDATE invoices SET metadata = '1'")
        .await
        .unwrap();
    let mut owner = database.connect(As::Owner).await;
    let migrating = tokio::spawn(async move {
        let migrations: Vec<&str> = MIGRATIONS.iter().copied().chain([NEXT]).collect();
        migrate_schema_by(&mut owner, &migrations).await
    });
    let mut watch = database.connect(As::Admin).await;
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1";
    eventually(async || {
        let waiting: i64 = sqlx::query_scalar(waits)
            .bind(&database.name)
            .fetch_one(&mut watch)
            .await
            .ok()?;
        (waiting > 0).then_some(())
    })
    .await;
    // It waits behind the migration, which gives up its place before long.
    program
        .execute(sqlx::query(insert).bind("meanwhile"))
        .await
        .unwrap();
    open.commit().await.unwrap();
    assert_eq!(
        migrating.await.unwrap().unwrap().version,
        MIGRATIONS.len() + 1
    );
    let mut daemon = database.connect(As::Daemon).await;
    let usable = require_usable_schema(&mut daemon).await.unwrap();
    assert_eq!(usable, MIGRATIONS.len() + 1, "the program before goes on");
    program
        .execute(sqlx::query(insert).bind("after"))
        .await
        .unwrap();
}
