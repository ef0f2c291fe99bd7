//! A provider that fails in every way it can.

use payrecond::sandbox::FaultTarget;

use super::{Books, Fault, FaultKind, SUBJECTS, events, field, for_each_provider};

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
async fn no_failure_moves_a_status_and_each_passes() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        let before = "SELECT status || version || coalesce(reason, '-') FROM invoices";
        let was = shop.ask(before).await;
        for kind in FAILURES {
            // Behind the end of a ledger nothing is shown that could have a wrong type.
            if kind == FaultKind::WrongTypeId && matches!(subject.keeps, Books::Ledger { .. }) {
                continue;
            }
            shop.execute("UPDATE invoices SET next_poll_at = 0").await;
            shop.world.set_faults(vec![Fault::new(kind)]);
            subject.until_failed(&shop, kind).await;
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
        let told = match subject.keeps {
            Books::Orders { .. } => format!("SELECT last_error LIKE '{word}' FROM invoices"),
            // A request for a page of a ledger is about no invoice.
            Books::Ledger { .. } => format!("SELECT last_error LIKE '{word}' FROM accounts"),
        };
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
        match subject.keeps {
            Books::Orders { .. } => {
                shop.until(&field("coalesce(reason, '-')", "ORD-1"), "unknown_status").await;
            }
            Books::Ledger { .. } => subject.until_failed(&shop, FaultKind::UnknownStatus).await,
        }
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        shop.answer_again();
        shop.until(&field("status", "ORD-1"), "paid").await;
    });
}

#[tokio::test]
async fn a_refused_key_stops_the_account_and_says_nothing_of_the_orders() {
    for subject in SUBJECTS {
        let shop = subject.shop_with(Some("another-key")).await;
        subject.follow_nothing(&shop).await;
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
            subject.created(&shop, external_id).await;
            assert_eq!(shop.ask(&events(external_id)).await, "payment.pending");
        }
        let orders = match subject.keeps {
            Books::Orders { .. } => 2,
            Books::Ledger { .. } => 0,
        };
        assert_eq!(shop.world.orders().len(), orders, "{}", subject.provider);
        let order = subject.created(&shop, "ORD-2").await;
        subject.pay(&shop, &order, false);
        shop.until(&field("status", "ORD-2"), "paid").await;
        daemon.stop().await;
    }
}
