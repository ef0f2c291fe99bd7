//! From the insert to each end.

use super::{events, field, for_each_provider, told};

#[tokio::test]
async fn an_order_is_created_with_its_link_and_noticed_when_it_is_paid() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        let link = shop.ask(&field("pay_link", "ORD-1")).await;
        assert!(link.starts_with("https://"), "{}: {link}", subject.provider);
        subject.pay(&shop, &order, false);
        shop.until(&field("status", "ORD-1"), "paid").await;
        let all = shop.ask(&events("ORD-1")).await;
        assert!(all.starts_with("payment.pending,payment.paid"), "{}: {all}", subject.provider);
        assert_eq!(shop.ask(&told("provider", "ORD-1")).await, subject.provider.name());
        assert_eq!(shop.ask(&told("late", "ORD-1")).await, "0");
    });
}

#[tokio::test]
async fn an_order_whose_time_is_over_is_expired_and_paid_late_all_the_same() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        shop.world.expire(&order.id, false).unwrap();
        shop.until(&field("status", "ORD-1"), "expired").await;
        subject.pay(&shop, &order, true);
        shop.until(&field("status", "ORD-1"), "paid").await;
        let paid = "SELECT json_extract(payload, '$.data.late') FROM outbox WHERE type = 'payment.paid'";
        assert_eq!(shop.ask(paid).await, "1", "{}", subject.provider);
        let all = shop.ask(&events("ORD-1")).await;
        let begin = "payment.pending,payment.expired,payment.paid";
        assert!(all.starts_with(begin), "{}: {all}", subject.provider);
    });
}

#[tokio::test]
async fn an_order_that_is_cancelled_ends_as_the_provider_tells_it() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        shop.world.cancel(&order.id, false).unwrap();
        let (status, reason) = subject.cancelled;
        shop.until(&field("status", "ORD-1"), status).await;
        assert_eq!(shop.ask(&field("reason", "ORD-1")).await, reason, "{}", subject.provider);
    });
}

#[tokio::test]
async fn an_order_that_nobody_has_goes_to_a_person_after_the_grace() {
    for_each_provider!(subject, shop, daemon => {
        let id = subject.unknown_id;
        let row = format!("INSERT INTO invoices (external_id, order_id) VALUES ('ORD-1', '{id}')");
        shop.execute(&row).await;
        shop.until(&field("status", "ORD-1"), "review").await;
        assert_eq!(shop.ask(&field("reason", "ORD-1")).await, "order_not_found");
    });
}

#[tokio::test]
async fn what_can_never_be_created_is_rejected_with_its_rule() {
    for_each_provider!(subject, shop, daemon => {
        let (value, currency) = subject.price;
        shop.execute(&format!(
            "INSERT INTO invoices (external_id, amount, currency, description, options)
             VALUES ('ORD-1', '{value}', '{currency}', 'Six eggs', '{{\"nonsense\":1}}')"
        )).await;
        shop.until(&field("status", "ORD-1"), "rejected").await;
        let reason = shop.ask(&field("reason", "ORD-1")).await;
        assert!(reason.contains("nonsense"), "{}: {reason}", subject.provider);
    });
}
