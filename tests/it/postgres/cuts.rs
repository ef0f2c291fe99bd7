//! The network between a daemon and the database: packets that are dropped, connections that are closed.

use std::collections::BTreeSet;

use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use payrecond::store::{ServerLocation, Store as _};
use sqlx::{Connection as _, Executor as _};

use super::cluster::Cluster;
use super::line::Line;
use super::server::{self, As};
use super::shop::{ACCOUNTS, ServerShop};
use crate::until::eventually;

/// More than a pool has connections.
const ABORTED: usize = 8;
/// How often a statement is tried that got no connection in time: a closed one leaves its place after seconds.
const TRIES: usize = 4;
/// Sessions of a database that wait for a lock.
const WAITING: &str =
    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1";

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
    let mut admin = database.connect(As::Admin).await;
    let mut blocking = admin.begin().await.unwrap();
    let lock = "LOCK TABLE payrecond.consumers IN ACCESS EXCLUSIVE MODE";
    blocking.execute(lock).await.unwrap();
    let mut watch = database.connect(As::Admin).await;
    let mut seen = BTreeSet::new();
    for aborted in 0..ABORTED {
        let mut is_waiting = false;
        for _ in 0..TRIES {
            let asking = tokio::spawn({
                let store = store.clone();
                async move { store.consumers().await.map(|_| ()) }
            });
            is_waiting = eventually(async || {
                if asking.is_finished() {
                    return Some(false);
                }
                let waiting = sqlx::query_scalar(WAITING).bind(&database.name);
                let waiting: Vec<i32> = waiting.fetch_all(&mut watch).await.ok()?;
                let is_new = waiting.into_iter().any(|session| seen.insert(session));
                is_new.then_some(true)
            })
            .await;
            line.silence_existing();
            asking.abort();
            if is_waiting {
                break;
            }
        }
        assert!(
            is_waiting,
            "no connection is left after {aborted} aborted statements"
        );
    }
}
