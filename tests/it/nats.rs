//! The publisher against a real nats-server: whatever breaks on either side, the stream holds every event
//! once, in order.

mod broken;
mod check;
mod cluster;
mod credentials;
mod disk;
mod kills;
mod limits;
mod on_postgres;
mod operator;
mod recipes;
mod reported;
mod restored;
mod scene;
mod server;
mod shared;
mod tls;

use payrecond::sandbox::SimulatedPayment;

use self::scene::assert_stream_is_outbox;
use self::server::NatsServer;
use crate::faults::program::Program;
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn events_from_before_and_after_the_start_are_published_once_and_in_order() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.record_payments("BEFORE-", 1300).await;
    shop.publish_to(&server);
    let daemon = Program::ready(&shop).await;
    for n in 0..20 {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    }
    shop.until("SELECT count(*) FROM outbox", "1320").await;
    shop.until_published().await;
    let left = daemon.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
    assert!(!left.stderr.contains("ERROR"), "{}", left.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_once_publishes_the_existing_events_and_exits() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 30).await;
    let left = shop.start_publisher_with(&["--once"]).ended().await;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    assert_stream_is_outbox(&server, &shop).await;
    // A second time there is nothing to do.
    let left = shop.start_publisher_with(&["--once"]).ended().await;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    assert_stream_is_outbox(&server, &shop).await;
}

/// One holds the consumer, the other waits for it to go.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_publishers_one_publishes_and_the_other_takes_over() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("A-", 10).await;
    let first = shop.start_publisher();
    shop.until_published().await;
    let second = shop.start_publisher();
    second.until_said("held by another process").await;
    shop.record_payments("B-", 10).await;
    shop.until_published().await;
    first.kill().await;
    shop.record_payments("C-", 10).await;
    shop.until_published().await;
    assert_stream_is_outbox(&server, &shop).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_once_publishes_the_events_it_records() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    crate::faults::program::write_config(&shop);
    let mut command = crate::faults::program::program(shop.folder.path());
    let said = command.args(["run", "--once"]).output().await.unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_stream_is_outbox(&server, &shop).await;
    assert_eq!(shop.outbox().await.len(), 1);
}
