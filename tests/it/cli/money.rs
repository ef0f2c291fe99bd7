//! Sums and transactions as commands show them, and an order that the shop created itself.

use payrecond::domain::observation::{LedgerObservation, Observation, ObservedMoney, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, Transaction, TransactionStatus};

use super::{Shop, commit, decided, drop_in};
use crate::rows::{INSERTED, money};

fn transaction(id: &str, direction: Direction, value: &str) -> Transaction {
    Transaction {
        id: id.into(),
        direction,
        external_id: Some("ORD-1".into()),
        amount: money(value, "USD"),
        is_net: direction == Direction::In,
        status: TransactionStatus::Succeeded,
        happened_at: UnixMillis(INSERTED.0 - 7),
    }
}

#[tokio::test]
async fn show_lists_transactions_and_finds_an_invoice_by_one() {
    let shop = Shop::new();
    let store = shop.store().await;
    let invoice = drop_in(&store, "ORD-1", "1").await;
    drop_in(&store, "ORD-2", "2").await;
    let paid = Observation::Ledger(LedgerObservation {
        state: OrderState::Paid,
        provider_status: "success".into(),
        observed_at: INSERTED,
        paid_at: Some(INSERTED),
        payment: None,
        money: ObservedMoney {
            transactions: vec![
                transaction("T-100", Direction::In, "1.00"),
                transaction("T-200", Direction::Out, "0.25"),
            ],
            ..ObservedMoney::default()
        },
    });
    commit(&store, &[decided(&invoice, paid)]).await;
    let shown = shop.run(&["show", "T-200", "--json"]).json();
    assert_eq!(shown["external_id"], "ORD-1");
    assert_eq!(shown["received_amount"], "1.00");
    assert_eq!(shown["refunded_amount"], "0.25");
    assert_eq!(shown["refunded_at"], INSERTED.0 - 7);
    let expected = serde_json::json!({
        "transaction_id": "T-100", "direction": "in", "external_id": "ORD-1", "amount": "1.00",
        "currency": "USD", "is_net": true, "status": "succeeded", "happened_at": INSERTED.0 - 7,
        "seen_at": shown["transactions"][0]["seen_at"],
    });
    assert_eq!(shown["transactions"][0], expected);
    assert!(shown["transactions"][0]["seen_at"].is_i64());
    let types: Vec<&str> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["payment.paid", "payment.refunded"]);
    let told = shop.run(&["show", "ORD-1"]).stdout;
    for part in [
        "Transactions",
        "T-100",
        "1.00 USD net",
        "refunded",
        "0.25 USD",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let listed = shop.run(&["list", "--json"]).json();
    assert_eq!(listed[1]["received_amount"], "1.00");
    assert_eq!(listed[0]["received_amount"], serde_json::Value::Null);
    let other = shop.run(&["show", "T-100", "--account", "second"]);
    assert_eq!(other.code, 1);
}

#[test]
fn an_order_created_by_the_shop_is_followed_by_its_external_id() {
    let shop = Shop::new();
    let added = shop.run(&["add", "--external-id", "ORD-1", "--follow", "--json"]);
    let row = added.json();
    assert_eq!(
        (row["status"].as_str(), row["order_id"].as_str()),
        (Some("pending"), None)
    );
    let why = shop.run(&["why", "ORD-1"]);
    assert!(
        why.stdout.contains("with this external id"),
        "{}",
        why.stdout
    );
    let both = ["add", "--external-id", "B", "--order-id", "1", "--follow"];
    assert_eq!(shop.run(&both).code, 2);
    let without = shop.run(&["add", "--external-id", "C"]);
    assert_eq!(without.code, 1);
    assert!(
        without.stderr.contains("invoices.amount: must be given"),
        "{}",
        without.stderr
    );
}
