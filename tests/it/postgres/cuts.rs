//! The network between a daemon and the database: packets that are dropped, connections that are closed.

use super::cluster::Cluster;
use super::line::Line;
use super::shop::{ACCOUNTS, ServerShop};

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
