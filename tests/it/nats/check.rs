//! What `check` reports about the server and the stream.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, usual};
use crate::faults::program;
use crate::shop::Shop;

/// Runs `check`. Returns whether it succeeded, and its lines about NATS.
pub async fn check(shop: &Shop) -> (bool, String) {
    program::write_config(shop);
    let mut command = program::program(shop.folder.path());
    let said = command.args(["check", "--json"]).output().await.unwrap();
    let stdout = String::from_utf8(said.stdout).unwrap();
    let checks: Vec<serde_json::Value> = serde_json::from_str(&stdout).unwrap();
    let of_nats = checks.iter().filter(|check| check["check"] == "nats");
    let lines: Vec<String> = of_nats.map(ToString::to_string).collect();
    (said.status.success(), lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_a_missing_stream_and_settings_that_risk_events() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let (passes, report) = check(&shop).await;
    assert!(!passes, "{report}");
    assert!(
        report.contains("nats stream add PAYMENTS --subjects 'payments.>'"),
        "{report}"
    );
    server
        .make_stream_as(Config {
            storage: StorageType::Memory,
            retention: RetentionPolicy::Interest,
            max_message_size: 1000,
            max_messages: 10,
            max_messages_per_subject: 5,
            discard: DiscardPolicy::Old,
            duplicate_window: std::time::Duration::from_secs(1),
            subjects: vec!["payments.>".to_owned(), "other.>".to_owned()],
            ..usual()
        })
        .await;
    let (_, report) = check(&shop).await;
    for part in [
        "storage is memory",
        "retention is not limits",
        "duplicate window is 1 s",
        "maximum message size is 1000 bytes",
        "limited number of messages of each subject",
        "discard is old",
    ] {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_subjects_not_covered_and_messages_of_other_publishers() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let context = server.jetstream().await;
    server
        .make_stream_as(Config {
            subjects: vec![
                "payments.shop.*".to_owned(),
                "payments.default.other".to_owned(),
            ],
            ..usual()
        })
        .await;
    context
        .publish("payments.default.other", "hello".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let (passes, report) = check(&shop).await;
    assert!(!passes, "{report}");
    assert!(
        report.contains("its subjects do not cover payments.default.*"),
        "{report}"
    );
    assert!(
        report.contains("messages of others (payments.default.other)"),
        "{report}"
    );
    server.change_stream(usual()).await;
    shop.record_payments("ORD-", 1).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    context
        .get_stream("PAYMENTS")
        .await
        .unwrap()
        .purge()
        .filter("payments.default.other")
        .await
        .unwrap();
    assert_stream_is_outbox(&server, &shop).await;
}
/// The publisher would stop at the first event of another kind.
#[tokio::test]
async fn a_stream_of_one_kind_of_event_does_not_pass() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let config = Config {
        subjects: vec!["payments.*.paid".into()],
        ..usual()
    };
    server.make_stream_as(config).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let (passes, report) = check(&shop).await;
    assert!(!passes, "{report}");
    let lack = "its subjects do not cover payments.default.*";
    assert!(report.contains(lack), "{report}");
}
