//! The server itself: killed and started again, and replaced by its standby.

use std::sync::Arc;
use std::time::Duration;

use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use payrecond::store::{Database as _, ServerLocation, StoreError};
use sqlx::{Connection as _, Executor as _};

use super::cluster::Cluster;
use super::server::{self, As, PostgresServer, TestDatabase};
use super::shop::ServerShop;
use crate::until::eventually;

/// How often the server is killed.
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_money_moves_loses_and_repeats_nothing() {
    let Some(shop) = ServerShop::open_alone().await else {
        return;
    };
    let mut cluster = Cluster::start(shop, &["one", "two"]).await;
    cluster.until_shared("two", 2).await;
    let epoch = "SELECT value FROM meta WHERE key = 'epoch'";
    let before = cluster.shop.ask(epoch).await;
    for kill in 0..KILLS {
        cluster.pay_in_each(&format!("before-{kill}")).await;
        // At any moment of the commits of what was just paid.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..400))).await;
        cluster.shop.database.server.kill();
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..1500))).await;
        cluster.shop.database.server.start_again();
        cluster.pay_in_each(&format!("after-{kill}")).await;
        cluster.settle().await;
    }
    assert_eq!(cluster.shop.ask(epoch).await, before, "no new epoch");
    for place in 0..2 {
        assert!(cluster.runs(place), "none exited: {}", cluster.shop.logs());
    }
    cluster.end().await;
}

/// Commits wait for the standby from now on.
async fn replicate_synchronously(server: &PostgresServer) {
    let mut admin = server.admin().await;
    for statement in [
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
    ] {
        admin.execute(statement).await.unwrap();
    }
    eventually(async || {
        let states = "SELECT string_agg(sync_state, ' ') FROM pg_stat_replication";
        let states: Option<String> = sqlx::query_scalar(states)
            .fetch_one(&mut admin)
            .await
            .ok()?;
        (states? == "sync").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_begins_an_epoch_and_loses_nothing_that_was_replicated() {
    let Some(shop) = ServerShop::open_alone().await else {
        return;
    };
    let standby = shop.database.server.standby();
    replicate_synchronously(&shop.database.server).await;
    let mut cluster = Cluster::start(shop, &["one", "two"]).await;
    cluster.until_shared("two", 2).await;
    let epoch = "SELECT value FROM meta WHERE key = 'epoch'";
    let before = cluster.shop.ask(epoch).await;
    cluster.pay_in_each("before").await;
    cluster.settle().await;
    let last = "SELECT max(seq) FROM outbox";
    let last: i64 = cluster.shop.ask(last).await.parse().unwrap();
    cluster.pay_in_each("meanwhile").await;
    cluster.shop.database.server.kill();

    standby
        .admin()
        .await
        .execute("SELECT pg_promote()")
        .await
        .unwrap();
    for line in cluster.daemons.iter().map(|daemon| &daemon.line) {
        line.turn_to(standby.address());
    }
    cluster.reader_line.turn_to(standby.address());
    cluster.shop.database.server = Arc::new(standby);
    for place in 0..2 {
        assert_eq!(
            cluster.exit_of(place).await,
            Some(1),
            "{}",
            cluster.shop.logs()
        );
    }
    cluster.pay_in_each("after").await;
    cluster.settle().await;

    assert_ne!(cluster.shop.ask(epoch).await, before, "a new epoch");
    let epochs = "SELECT count(DISTINCT epoch) FROM outbox";
    assert_eq!(cluster.shop.ask(epochs).await, "2");
    let first = format!("SELECT min(seq) > {last} + 1000000 FROM outbox WHERE epoch <> '{before}'");
    assert_eq!(
        cluster.shop.ask(&first).await,
        "true",
        "above every number ever given out"
    );
    let mut daemon = cluster.shop.database.connect(As::Daemon).await;
    let remembered = "SELECT value FROM payrecond.meta WHERE key = 'place'";
    let place: String = sqlx::query_scalar(remembered)
        .fetch_one(&mut daemon)
        .await
        .unwrap();
    assert!(
        place.ends_with(" 00000002"),
        "the timeline of the promoted standby: {place}"
    );
    cluster.end().await;
}

#[tokio::test]
async fn a_number_that_a_crash_takes_back_is_no_other_history() {
    let Some(database) = server::database_alone().await else {
        return;
    };
    let url = ServerLocation::new(database.url(As::Daemon), None);
    prepare(&url).await.unwrap();
    let store = PostgresStore::open(PostgresOptions {
        server: url,
        subject_prefix: "payments".into(),
        off_consumers: Vec::new(),
    });
    let store = store.await.unwrap();
    // The server may have written the number to disk before it is killed: then it is tried again.
    let mut is_taken_back = false;
    for _ in 0..20 {
        let seq = draw_and_give_back(&database).await;
        // Sees the number, which is nowhere on disk.
        require_unchanged(&store).await;
        database.server.restart().await;
        let mut again = database.connect(As::Daemon).await;
        let kept =
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM payrecond.outbox_seq";
        let kept: i64 = sqlx::query_scalar(kept)
            .fetch_one(&mut again)
            .await
            .unwrap();
        if kept < seq {
            is_taken_back = true;
            break;
        }
    }
    assert!(is_taken_back, "no crash took a number back");
    require_unchanged(&store).await;
}

/// Draws a number of the outbox in a transaction that is rolled back.
async fn draw_and_give_back(database: &TestDatabase) -> i64 {
    let mut daemon = database.connect(As::Daemon).await;
    let mut given_back = daemon.begin().await.unwrap();
    let seq = sqlx::query_scalar("SELECT nextval('payrecond.outbox_seq')")
        .fetch_one(&mut *given_back)
        .await
        .unwrap();
    given_back.rollback().await.unwrap();
    seq
}

/// The database is the one that was opened, once it answers.
async fn require_unchanged(store: &PostgresStore) {
    eventually(async || match store.require_unchanged().await {
        Ok(()) => Some(()),
        Err(StoreError::Unavailable(_)) => None,
        Err(error) => panic!("{error}"),
    })
    .await;
}
