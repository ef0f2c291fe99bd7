//! Orders are created once, whatever happens to the answers.

use payrecond::sandbox::{Fault, FaultKind, NewOrder, Operation};

use super::kill::request;
use crate::shop::Shop;

async fn settings_for_short_timeouts() -> Shop {
    let mut shop = Shop::open().await;
    shop.settings += "[http]\nrequest_timeout = \"200ms\"\n";
    shop
}

/// The order was created and the answer lost, in each possible way.
#[tokio::test]
async fn a_lost_answer_makes_no_second_order() {
    let shop = settings_for_short_timeouts().await;
    let lost = |kind| Fault {
        after: Some(true),
        ..Fault::new(kind).on(Operation::Create).times(2)
    };
    shop.world.set_faults(
        [
            FaultKind::Timeout,
            FaultKind::Reset,
            FaultKind::Status500,
            FaultKind::Status502Html,
        ]
        .map(lost)
        .into_iter()
        .chain([Fault::new(FaultKind::TruncatedBody)
            .on(Operation::Create)
            .times(2)])
        .collect(),
    );
    for n in 0..10 {
        request(&shop, &format!("ORD-{n}")).await;
    }
    let daemon = shop.start();
    shop.until(
        "SELECT count(*) FROM invoices WHERE status = 'pending'",
        "10",
    )
    .await;
    daemon.stop().await;
    assert_eq!(shop.world.orders().len(), 10);
    assert!(
        shop.world.stats().requests[&Operation::Create] >= 20,
        "the answers were lost"
    );
    let types = "SELECT group_concat(DISTINCT type || version) FROM outbox";
    assert_eq!(shop.ask(types).await, "payment.pending1");
}

#[tokio::test]
async fn an_order_of_the_same_id_that_is_not_ours_goes_to_a_person() {
    let shop = Shop::open().await;
    shop.world
        .create(&NewOrder::simple("ORD-1", "7.00", "USD"))
        .unwrap();
    request(&shop, "ORD-1").await;
    let daemon = shop.start();
    shop.until(
        "SELECT status || ' ' || reason FROM invoices",
        "review create_conflict",
    )
    .await;
    daemon.stop().await;
    let events = "SELECT group_concat(type || version) FROM outbox";
    assert_eq!(shop.ask(events).await, "payment.review1");
}

#[tokio::test]
async fn an_impossible_creation_is_rejected_with_a_helpful_reason() {
    let shop = Shop::open().await;
    let insert = |external_id: &str, currency: &str, options: &str| {
        format!(
            "INSERT INTO invoices (external_id, amount, currency, description, options)
             VALUES ('{external_id}', '1.00', '{currency}', 'Six eggs', '{options}')"
        )
    };
    let odd = r#"{"customerTelegramUserId": 42, "colour": "red"}"#;
    shop.execute(&insert("BY-US", "USD", odd)).await;
    let plain = r#"{"customerTelegramUserId": 42}"#;
    shop.execute(&insert("BY-THEM", "XYZ", plain)).await;
    // Within the database's limits, but beyond the provider's.
    shop.execute(&insert("SHORT", "USD", plain).replace("Six eggs", "eggs"))
        .await;
    let long = insert("LONG", "USD", plain).replace("Six eggs", &"я".repeat(101));
    shop.execute(&long).await;
    let ever = insert("EVER", "USD", plain)
        .replace("options)", "options, timeout_seconds)")
        .replace("}')", "}', 864001)");
    shop.execute(&ever).await;
    let daemon = shop.start();
    shop.until(
        "SELECT count(*) FROM invoices WHERE status = 'rejected'",
        "5",
    )
    .await;
    daemon.stop().await;
    let reason = |id: &str| format!("SELECT reason FROM invoices WHERE external_id = '{id}'");
    let by_us = shop.ask(&reason("BY-US")).await;
    assert!(
        by_us.contains("colour") && by_us.contains("customerTelegramUserId"),
        "{by_us}"
    );
    let by_them = shop.ask(&reason("BY-THEM")).await;
    assert!(by_them.contains("XYZ"), "the provider's words: {by_them}");
    for (id, rule) in [
        ("SHORT", "description: 4 characters, expected 5 to 100"),
        ("LONG", "description: 101 characters, expected 5 to 100"),
        ("EVER", "timeout_seconds: 864001 is not within 30 to 864000"),
    ] {
        assert_eq!(shop.ask(&reason(id)).await, rule);
    }
    assert_eq!(shop.world.orders().len(), 0);
    let events = "SELECT count(*) FROM outbox WHERE type = 'payment.rejected' AND version = 1";
    assert_eq!(shop.ask(events).await, "5");
}

/// Nothing is created after the time to pay is over, or if it was withdrawn before it was sent; a
/// creation that was sent cannot be withdrawn.
#[tokio::test]
async fn too_late_and_withdrawn_are_not_sent() {
    let shop = Shop::open().await;
    shop.answer_nothing();
    request(&shop, "LATE").await;
    request(&shop, "WITHDRAWN").await;
    shop.execute("DELETE FROM invoices WHERE external_id = 'WITHDRAWN'")
        .await;
    // Changed by hand: triggers guard the column, and the schema's own row does not need them.
    shop.execute("DROP TRIGGER invoices_rest_is_the_daemons")
        .await;
    shop.execute("DROP TRIGGER invoices_identity_stays").await;
    shop.execute("UPDATE invoices SET created_at = created_at - 90000000")
        .await;
    shop.answer_again();
    let daemon = shop.start();
    shop.until(
        "SELECT status || ' ' || reason FROM invoices",
        "rejected too_late",
    )
    .await;
    daemon.stop().await;
    assert_eq!(shop.world.stats().requests[&Operation::Create], 0);

    let fault = Fault {
        after: Some(true),
        ..Fault::new(FaultKind::Reset)
    };
    shop.world.set_faults(vec![fault.on(Operation::Create)]);
    request(&shop, "SENT").await;
    let daemon = shop.start();
    let sent = "SELECT create_sent_at IS NOT NULL FROM invoices WHERE external_id = 'SENT'";
    shop.until(sent, "1").await;
    let mut connection = shop.connect().await;
    let withdrawn = sqlx::query("DELETE FROM invoices WHERE external_id = 'SENT'")
        .execute(&mut connection)
        .await;
    assert!(withdrawn.is_err(), "an order may exist already");
    daemon.stop().await;
}
