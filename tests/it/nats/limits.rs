//! A stream that is full, or too small for an event: the publisher stops, skips nothing, and continues by
//! itself.

use async_nats::jetstream::stream::Config;

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, usual};
use crate::shop::Shop;

/// Checks that the publisher logs `words` at a stream like `narrow`, and publishes all events once it is as
/// usual.
async fn check_limit(narrow: Config, words: &str, held: usize) {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(narrow).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 40).await;
    let publisher = shop.start_publisher();
    publisher.until_said(words).await;
    assert_eq!(server.messages().await.len(), held);
    server.change_stream(usual()).await;
    shop.until_published().await;
    publisher.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_stops_the_publisher_until_it_has_room() {
    let narrow = Config {
        max_messages: 25,
        ..usual()
    };
    check_limit(
        narrow,
        "stream PAYMENTS is full (maximum messages exceeded)",
        25,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_the_stream_is_not_skipped() {
    let narrow = Config {
        max_message_size: 200,
        ..usual()
    };
    check_limit(
        narrow,
        "bytes, too many: message size exceeds maximum allowed",
        0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_the_server_is_not_skipped() {
    let Some(mut server) = NatsServer::start_with("max_payload: 700", None) else {
        return;
    };
    // The stream itself is made by a message that is not longer.
    server.configure("");
    server.kill();
    server.run();
    server.make_stream().await;
    server.configure("max_payload: 700");
    server.kill();
    server.run();
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 3).await;
    let publisher = shop.start_publisher();
    publisher.until_said("bytes, too many").await;
    server.configure("");
    server.kill();
    server.run();
    shop.until_published().await;
    publisher.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
}
