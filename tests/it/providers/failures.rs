//! A provider that fails in every way it can.

use payrecond::sandbox::FaultTarget;

use super::{Fault, FaultKind, SUBJECTS, events, field, for_each_provider};

/// Every way of not answering.
const FAILURES: [FaultKind; 10] = [
    FaultKind::Status429,
    FaultKind::Status500,
    FaultKind::Status502Html,
    FaultKind::EnvelopeError,
    FaultKind::Timeout,
    FaultKind::Reset,
    FaultKind::TruncatedBody,
    FaultKind::HugeBody,
    FaultKind::SlowBody,
    FaultKind::WrongTypeId,
];

#[tokio::test]
async fn no_failure_changes_a_status_and_each_recovers() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        let before = "SELECT status || version || coalesce(reason, '-') FROM invoices";
        let was = shop.ask(before).await;
        for kind in FAILURES {
            shop.execute("UPDATE invoices SET next_poll_at = 0").await;
            shop.world.set_faults(vec![Fault::new(kind)]);
            let failed = "SELECT failures > 0 OR last_error IS NOT NULL OR (SELECT state <> 'working' FROM accounts) FROM invoices";
            shop.until(failed, "1").await;
            assert_eq!(shop.ask(before).await, was, "{} {kind}", subject.provider);
            shop.answer_again();
            shop.until("SELECT state FROM accounts", "working").await;
            shop.until("SELECT coalesce(last_error, '-') FROM invoices", "-").await;
        }
        subject.pay(&shop, &order, false);
        shop.until(&field("status", "ORD-1"), "paid").await;
    });
}

#[tokio::test]
async fn a_word_in_the_providers_envelope_is_kept_for_people() {
    for_each_provider!(subject, shop, daemon => {
        subject.create(&shop, "ORD-1").await;
        shop.world.set_faults(vec![Fault::new(FaultKind::EnvelopeError)]);
        let word = format!("%{}%", subject.word_of_trouble);
        let told = format!("SELECT last_error LIKE '{word}' FROM invoices");
        shop.until(&told, "1").await;
        shop.answer_again();
    });
}

#[tokio::test]
async fn a_state_that_nobody_knows_changes_nothing() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        shop.world.set_faults(vec![Fault::new(FaultKind::UnknownStatus)]);
        subject.pay(&shop, &order, false);
        shop.until(&field("coalesce(reason, '-')", "ORD-1"), "unknown_status").await;
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        shop.answer_again();
        shop.until(&field("status", "ORD-1"), "paid").await;
    });
}

#[tokio::test]
async fn a_refused_key_stops_the_account_and_says_nothing_of_the_orders() {
    for subject in SUBJECTS {
        let shop = subject.shop_with(Some("another-key")).await;
        let id = subject.unknown_id;
        let row = format!("INSERT INTO invoices (external_id, order_id) VALUES ('ORD-1', '{id}')");
        shop.execute(&row).await;
        let daemon = subject.start(&shop);
        shop.until("SELECT state FROM accounts", "key_refused")
            .await;
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
        let said = shop
            .ask("SELECT coalesce(group_concat(last_error), '') FROM invoices")
            .await;
        assert!(!said.contains("canary-key"), "{}: {said}", subject.provider);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_order() {
    for subject in SUBJECTS {
        let shop = subject.shop().await;
        let creation = FaultTarget::Named(subject.create);
        let lost = Fault::new(FaultKind::LostAnswer).on(creation).times(2);
        shop.world.set_faults(vec![lost]);
        subject.request(&shop, "ORD-1", subject.price.0).await;
        subject.request(&shop, "ORD-2", subject.price.0).await;
        let daemon = subject.start(&shop);
        for external_id in ["ORD-1", "ORD-2"] {
            shop.until(&field("status", external_id), "pending").await;
            let id = shop.ask(&field("order_id", external_id)).await;
            let order = shop.world.order(&id).unwrap();
            assert_eq!(&*order.external_id, external_id);
            assert_eq!(shop.ask(&events(external_id)).await, "payment.pending");
        }
        assert_eq!(shop.world.orders().len(), 2, "{}", subject.provider);
        let order = shop.world.order("ORD-2").unwrap();
        subject.pay(&shop, &order, false);
        shop.until(&field("status", "ORD-2"), "paid").await;
        daemon.stop().await;
    }
}
