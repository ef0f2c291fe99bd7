//! Sums: exact, and compared with what is expected.

use super::{field, for_each_provider, told};

#[tokio::test]
async fn amounts_are_told_as_the_provider_writes_them_and_agree_by_value() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "ORD-1").await;
        subject.pay(&shop, &order, false);
        shop.until(&field("paid_amount IS NOT NULL", "ORD-1"), "1").await;
        let (value, currency) = subject.price;
        assert_eq!(shop.ask(&field("amount", "ORD-1")).await, value);
        assert_eq!(shop.ask(&told("amount.currency", "ORD-1")).await, currency);
        // What was paid, less the fee, is what is left: exactly, so far as the three are told.
        let paid = shop.ask(&field("paid_amount", "ORD-1")).await;
        let fee = shop.ask(&field("coalesce(fee_amount, '0')", "ORD-1")).await;
        let net = shop.ask(&field("coalesce(net_amount, '')", "ORD-1")).await;
        if !net.is_empty() {
            let sum = payrecond::domain::money::sum([net.as_str(), fee.as_str()]).unwrap();
            let agrees = payrecond::domain::money::same_value(&sum, &paid);
            assert!(agrees, "{}: {net} + {fee} <> {paid}", subject.provider);
        }
    });
}

#[tokio::test]
async fn an_order_for_another_sum_than_expected_goes_to_a_person_though_paid() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "MADE").await;
        subject.pay(&shop, &order, false);
        shop.until(&field("status", "MADE"), "paid").await;
        // The same order in another shop's books, which expect more.
        let other = subject.shop_beside(&shop).await;
        let (id, currency) = (&order.id, subject.price.1);
        other.execute(&format!(
            "INSERT INTO invoices (external_id, order_id, amount, currency) VALUES ('MADE', '{id}', '2.5', '{currency}')"
        )).await;
        let another = subject.start(&other);
        other.until(&field("status", "MADE"), "review").await;
        assert_eq!(other.ask(&field("reason", "MADE")).await, "amount_mismatch");
        another.stop().await;
    });
}

#[tokio::test]
async fn an_order_of_another_external_id_goes_to_a_person() {
    for_each_provider!(subject, shop, daemon => {
        let order = subject.create(&shop, "MADE").await;
        let other = subject.shop_beside(&shop).await;
        let id = &order.id;
        other.execute(&format!("INSERT INTO invoices (external_id, order_id) VALUES ('OTHER', '{id}')")).await;
        let another = subject.start(&other);
        other.until(&field("coalesce(reason, '-')", "OTHER"), "external_id_mismatch").await;
        another.stop().await;
    });
}
