//! Migrations: made once, again without effect, side by side with programs of the version before.

use payrecond::store::StoreError;
use payrecond::store::postgres::{
    MIGRATIONS, SchemaMigrated, migrate_schema, require_usable_schema,
};
use sqlx::{Connection as _, Executor as _};

use super::server::{self, As};

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
