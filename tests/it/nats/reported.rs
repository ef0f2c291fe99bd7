//! What `stats`, the status page and `/readyz` show of a publisher that is another process.

use super::server::NatsServer;
use crate::faults::program::{self, Program};
use crate::server::http::{Place, ask_until};
use crate::shop::Shop;
use crate::until::eventually;

/// The part of `stats --json` about the publisher.
async fn publisher_of(shop: &Shop) -> serde_json::Value {
    let mut command = program::program(shop.folder.path());
    let output = command.args(["stats", "--json"]).output().await.unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    stats["publisher"].clone()
}

/// Waits until `stats` shows this state. Returns what it shows of the publisher.
pub async fn until_state(shop: &Shop, state: &str) -> serde_json::Value {
    eventually(async || {
        let publisher = publisher_of(shop).await;
        (publisher["state"] == state).then_some(publisher)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_of_another_process_is_shown_with_its_last_error() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let socket = shop.folder.path().join("http.sock");
    shop.configure(&format!(
        "[server]\nlisten = \"unix:{}\"\n",
        socket.display()
    ));
    program::write_config(&shop);
    assert!(publisher_of(&shop).await.is_null());
    shop.record_payments("ORD-", 3).await;
    let publisher = shop.start_publisher();
    let stopped = until_state(&shop, "stopped").await;
    let error = stopped["last_error"].as_str().unwrap();
    assert!(error.contains("nats stream add PAYMENTS"), "{error}");
    assert!(stopped["stopped_since"].is_i64(), "{stopped}");
    let mut command = program::program(shop.folder.path());
    let output = command.arg("stats").output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("stopped for"), "{text}");
    server.make_stream().await;
    let delivering = until_state(&shop, "delivering").await;
    assert!(delivering["last_error"].is_null(), "{delivering}");

    let daemon = Program::ready(&shop).await;
    let place = Place::Unix(socket);
    ask_until(&place, "/readyz", &[], |answer| {
        answer.body.contains("another process delivers")
    })
    .await;
    ask_until(&place, "/", &[], |answer| {
        answer.body.contains("another process: a process delivers")
    })
    .await;
    publisher.stop().await;
    ask_until(&place, "/", &[], |answer| {
        !answer.body.contains("another process")
    })
    .await;
    daemon.stop().await;
    until_state(&shop, "absent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_once_records_its_failure_until_it_publishes() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 3).await;
    let mut stopped_since = None;
    for _ in 0..2 {
        let left = shop.start_publisher_with(&["--once"]).ended().await;
        assert_eq!(left.code, Some(1), "{}", left.stderr);
        let stopped = publisher_of(&shop).await;
        assert_eq!(stopped["state"], "stopped", "{stopped}");
        let error = stopped["last_error"].as_str().unwrap();
        assert!(error.contains("nats stream add PAYMENTS"), "{error}");
        let since = stopped["stopped_since"].as_i64();
        assert!(since.is_some(), "{stopped}");
        assert_eq!(since, stopped_since.or(since), "since the first failure");
        stopped_since = since;
    }
    server.make_stream().await;
    let left = shop.start_publisher_with(&["--once"]).ended().await;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    let published = publisher_of(&shop).await;
    assert!(published["last_error"].is_null(), "{published}");
}
