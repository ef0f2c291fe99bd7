//! An upgrade under way: daemons of this version beside the schema of the next one.
//!
//! There is one version of the program here, so it takes the part of the older one. The next schema is made
//! by a migration that exists only in this test, and adds what this program does not know.

use payrecond::store::postgres::{MIGRATIONS, migrate_schema_by};
use sqlx::Executor as _;

use super::cluster::Cluster;
use super::server::As;
use super::shop::ServerShop;

/// The next version adds a column and a table, and removes nothing.
const NEXT: &str = "
    ALTER TABLE payrecond.invoices ADD COLUMN note text;
    CREATE TABLE payrecond.notes (invoice_id bigint PRIMARY KEY, note text NOT NULL)";
/// What a program of the next version inserts.
const NOTED: &str = "INSERT INTO payrecond.invoices (account, external_id, order_id, note)
                     VALUES ('a', 'noted', $1, 'kept')";
/// Payments go on for at least so many rounds.
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_of_the_version_before_go_on_while_the_schema_is_expanded() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let mut cluster = Cluster::start(shop, &["one", "two"]).await;
    cluster.until_shared("two", 2).await;
    cluster.pay_in_each("before").await;
    let mut owner = cluster.shop.database.connect(As::Owner).await;
    let migrating = tokio::spawn(async move {
        let migrations: Vec<&str> = MIGRATIONS.iter().copied().chain([NEXT]).collect();
        let migrated = migrate_schema_by(&mut owner, &migrations).await;
        (owner, migrated)
    });
    let mut round = 0;
    while round < ROUNDS || !migrating.is_finished() {
        cluster.pay_in_each(&format!("meanwhile-{round}")).await;
        round += 1;
    }
    let (mut owner, migrated) = migrating.await.unwrap();
    assert_eq!(migrated.unwrap().version, MIGRATIONS.len() + 1);
    cluster.settle().await;
    for place in 0..2 {
        assert!(cluster.runs(place), "{}", cluster.shop.logs());
    }

    // One of the old version starts beside programs of the new one.
    cluster.stop_one(0).await;
    cluster.start_again(0);
    let order = payrecond::sandbox::NewOrder::simple("noted", "1.00", "USD");
    let id = cluster.shop.world.create(&order).unwrap().order.id.clone();
    owner.execute(sqlx::query(NOTED).bind(&id)).await.unwrap();
    cluster.pay(&id);
    cluster.until_shared("one", 2).await;
    cluster.pay_in_each("after").await;
    cluster.settle().await;
    let kept = "SELECT status || ' ' || note FROM invoices WHERE external_id = 'noted'";
    assert_eq!(
        cluster.shop.ask(kept).await,
        "paid kept",
        "what it does not know stays"
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_refuses_a_schema_that_took_away_what_it_needs() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let newer = MIGRATIONS.len() + 1;
    let mut owner = shop.database.connect(As::Owner).await;
    let set =
        "UPDATE payrecond.meta SET value = $1 WHERE key IN ('schema_version', 'oldest_program')";
    owner
        .execute(sqlx::query(set).bind(newer.to_string()))
        .await
        .unwrap();
    for arguments in [&["run"][..], &["run", "--once"], &["list"]] {
        let output = shop.command(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        let why = format!(
            "schema version {newer} needs a program that knows version {newer}, this one knows {}; install the newer program",
            newer - 1
        );
        assert!(error.contains(&why), "{arguments:?}: {error}");
    }
}
