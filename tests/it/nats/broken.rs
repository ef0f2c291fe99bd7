//! A server that is killed, paused, started late, or has no stream. Polling continues.

use payrecond::sandbox::{Operation, SimulatedPayment};

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, forgetful, usual};
use crate::faults::program::Program;
use crate::shop::Shop;

/// Waits until the stream holds at least `count` messages.
pub async fn until_stored(server: &NatsServer, count: u64) {
    crate::until::eventually(async || {
        let context = server.jetstream().await;
        let stream = context.get_stream("PAYMENTS").await.ok()?;
        let state = stream.get_info().await.ok()?.state;
        (state.messages >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_events_are_published_gets_each_once_and_in_order() {
    let Some(mut server) = NatsServer::start() else {
        return;
    };
    // Shorter than any outage: ids alone would store events twice.
    server.make_stream_as(forgetful()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 4000).await;
    let publisher = shop.start_publisher();
    for stored in [1, 700, 2000] {
        until_stored(&server, stored).await;
        server.kill();
        server.run();
    }
    shop.until_published().await;
    publisher.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answering_delays_no_poll_and_loses_no_event() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let daemon = Program::ready(&shop).await;
    let first = shop.drop_in("ORD-1").await;
    shop.world
        .pay(&first, &SimulatedPayment::default())
        .unwrap();
    shop.until_published().await;
    server.signal("STOP");
    let second = shop.drop_in("ORD-2").await;
    shop.world
        .pay(&second, &SimulatedPayment::default())
        .unwrap();
    daemon.until_said("feed stopped; retrying").await;
    let waiting = shop.drop_in("ORD-3").await;
    let asked = shop.asked(Operation::Preview);
    shop.until_asked(Operation::Preview, asked + 5).await;
    shop.until("SELECT acked_seq FROM consumers WHERE name = 'stdout'", "2")
        .await;
    server.signal("CONT");
    shop.world
        .pay(&waiting, &SimulatedPayment::default())
        .unwrap();
    shop.until("SELECT count(*) FROM outbox", "3").await;
    shop.until_published().await;
    let left = daemon.stop().await;
    assert!(left.stderr.contains("feed resumed"), "{}", left.stderr);
    assert_stream_is_outbox(&server, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_publisher_logs_it_and_continues_once_there_is_one() {
    let Some(mut server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    server.kill();
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 5).await;
    let daemon = Program::ready(&shop).await;
    daemon.until_said("cannot be reached").await;
    let id = shop.drop_in("ORD-X").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT count(*) FROM outbox", "6").await;
    server.run();
    shop.until_published().await;
    daemon.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_reported_with_the_command_that_creates_it() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 5).await;
    let publisher = shop.start_publisher();
    publisher
        .until_said("nats stream add PAYMENTS --subjects 'payments.>' --storage file")
        .await;
    server.make_stream().await;
    shop.until_published().await;
    publisher.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_stops_the_publisher_and_a_new_one_gets_later_events() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("OLD-", 5).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    let context = server.jetstream().await;
    context.delete_stream("PAYMENTS").await.unwrap();
    shop.record_payments("NEW-", 5).await;
    publisher.until_said("feed stopped; retrying").await;
    server.make_stream_as(usual()).await;
    shop.until_published().await;
    publisher.stop().await;
    let ids: Vec<String> = server.messages().await.into_iter().map(|m| m.id).collect();
    let recorded: Vec<String> = shop.outbox().await.into_iter().map(|e| e.id).collect();
    assert_eq!(
        ids,
        recorded[5..],
        "acknowledged events are not published again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_stream_gets_only_later_events() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("OLD-", 5).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    let context = server.jetstream().await;
    let stream = context.get_stream("PAYMENTS").await.unwrap();
    stream.purge().await.unwrap();
    shop.record_payments("NEW-", 5).await;
    shop.until_published().await;
    publisher.kill().await;
    // A publisher that was started after the purge does the same.
    stream.purge().await.unwrap();
    shop.record_payments("NEXT-", 5).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    let ids: Vec<String> = server.messages().await.into_iter().map(|m| m.id).collect();
    let recorded: Vec<String> = shop.outbox().await.into_iter().map(|e| e.id).collect();
    assert_eq!(ids, recorded[10..]);
}
