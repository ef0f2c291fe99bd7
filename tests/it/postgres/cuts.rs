//! The network between a daemon and the database: packets that are dropped, connections that are closed.

use std::time::Duration;

use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use payrecond::store::{Database as _, ServerLocation, Store as _};

use super::cluster::Cluster;
use super::line::Line;
use super::server::{self, As};
use super::shop::{ACCOUNTS, ServerShop};

/// More than a pool has connections.
const ABORTED: usize = 14;
/// A statement that has been sent within this time waits for its answer; one that has not costs nothing.
const A_WHILE: Duration = Duration::from_millis(300);
/// How often a statement is tried that waits for a connection.
const TRIES: usize = 4;

/// Cuts the line of the daemon `one` until the other one has all accounts, and heals it.
async fn cut_for_longer_than_the_lease(cut: impl Fn(&Line), heal: impl Fn(&Line)) {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let mut cluster = Cluster::start(shop, &["one", "two"]).await;
    cluster.until_shared("one", 2).await;
    let mut ids = Vec::new();
    for account in ACCOUNTS {
        ids.push(cluster.shop.drop_in(account, account).await);
    }
    cluster
        .until("SELECT min(polls) > 0 FROM invoices", "true")
        .await;
    let taken = cluster.accounts_of("one").await;

    let before = cluster.asked().len();
    cut(&cluster.daemons[0].line);
    cluster.until_shared("two", ACCOUNTS.len()).await;
    for id in &ids {
        cluster.pay(id);
    }
    cluster.settle().await;
    let since = cluster.asked().split_off(before);
    for account in taken {
        let asked = |daemon| {
            let of_both = since.iter().filter(|asked| asked.account == account);
            of_both
                .filter(move |asked| asked.daemon == daemon)
                .map(|asked| asked.at)
        };
        let first = asked("two").min().expect("it was taken over");
        let last = asked("one").max();
        assert!(
            last.is_none_or(|last| last < first),
            "{account}: asked by both daemons; {:?} too late",
            last.map(|last| last.saturating_duration_since(first))
        );
    }

    heal(&cluster.daemons[0].line);
    cluster.until_shared("one", 2).await;
    cluster.pay_in_each("healed").await;
    cluster.settle().await;
    assert!(
        cluster.runs(0),
        "it goes on by itself: {}",
        cluster.shop.logs()
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_packets_come_late_stops_asking_before_another_takes_over() {
    cut_for_longer_than_the_lease(Line::silence, Line::heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_packets_are_lost_stops_asking_before_another_takes_over() {
    cut_for_longer_than_the_lease(Line::silence, Line::heal_without_the_lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_connections_are_closed_stops_asking_before_another_takes_over() {
    cut_for_longer_than_the_lease(Line::cut, Line::heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_an_answer_keeps_no_place_in_the_pool() {
    let Some(database) = server::database().await else {
        return;
    };
    let line = Line::to(database.server.address()).await;
    let location = ServerLocation::new(database.url_by(As::Daemon, line.address), None);
    prepare(&location).await.unwrap();
    let store = PostgresStore::open(PostgresOptions {
        server: location,
        subject_prefix: "payments".into(),
        off_consumers: Vec::new(),
    });
    let store = store.await.unwrap();
    for aborted in 0..ABORTED {
        let mut answered = store.consumers().await;
        for _ in 1..TRIES {
            if answered.is_err() {
                answered = store.consumers().await;
            }
        }
        answered.unwrap_or_else(|error| panic!("after {aborted} aborted statements: {error}"));
        // Its connection is idle now, and used again.
        line.silence_existing();
        let without_answer = tokio::time::timeout(A_WHILE, store.consumers()).await;
        assert!(without_answer.is_err(), "an answer on a silent line");
    }
    store.close().await;
}
