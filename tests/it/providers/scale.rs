//! How many requests many open invoices cost.

use std::time::Duration;

use payrecond::sandbox::{NewTransaction, Operation, OrderBatch, SimulatedProvider};

use super::{Payable, SUBJECTS, Subject, field};
use crate::shop::{Shop, drop_in_all, seed};

fn subject(provider: SimulatedProvider) -> &'static Subject {
    let mut all = SUBJECTS.iter();
    all.find(|one| one.provider == provider).unwrap()
}

/// 2,500 open invoices are three batches; the paid one among them is noticed.
#[tokio::test]
async fn crypto_pay_polls_2500_open_invoices_by_at_most_four_requests_a_round() {
    let subject = subject(SimulatedProvider::CryptoPay);
    let mut shop = subject.shop().await;
    shop.settings = shop
        .settings
        .replace("min_interval = \"100ms\"", "min_interval = \"10m\"")
        .replace("max_interval = \"200ms\"", "max_interval = \"10m\"")
        .replace("request_timeout = \"500ms\"", "request_timeout = \"1m\"");
    let batch = OrderBatch {
        provider: subject.provider,
        count: 2500,
        ..OrderBatch::default()
    };
    let names = seed(&shop.world, &batch);
    let mut program = shop.connect().await;
    drop_in_all(&shop.world, &mut program, &names).await;
    let paid = shop.world.order(&names[1700]).unwrap();
    subject.pay(&shop, &Payable { id: paid.id }, false);
    let daemon = subject.start(&shop);
    shop.until("SELECT min(polls) FROM invoices", "1").await;
    shop.until(&field("status", &names[1700]), "paid").await;
    daemon.stop().await;
    let requests = shop.asked(Operation::CryptoPayGetInvoices);
    assert!(requests <= 4, "{requests}");
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, "2499");
}

/// A shop whose invoices are polled once within the test.
async fn patient_shop(subject: &Subject) -> Shop {
    let mut shop = subject.shop().await;
    let alone = format!("\"{}\"\nlist_bytes_per_second = 0\n", subject.provider);
    shop.settings = shop
        .settings
        .replace(&format!("\"{}\"\n", subject.provider), &alone)
        .replace("min_interval = \"100ms\"", "min_interval = \"10m\"")
        .replace("max_interval = \"200ms\"", "max_interval = \"10m\"");
    shop
}

/// Requests that one round over so many open invoices takes; the last of them is paid.
async fn requests_of_a_round(subject: &Subject, reading: Operation, count: usize) -> u64 {
    let shop = patient_shop(subject).await;
    shop.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO invoices (external_id, status) SELECT 'ORD-' || i, 'pending' FROM n"
    ))
    .await;
    let name = format!("ORD-{count}");
    subject.pay(&shop, &Payable { id: name.clone() }, false);
    let daemon = subject.start(&shop);
    shop.until(&field("status", &name), "paid").await;
    daemon.stop().await;
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, (count - 1).to_string());
    shop.asked(reading)
}

#[tokio::test]
async fn a_reading_of_a_ledger_costs_the_same_for_one_open_invoice_and_for_500() {
    for (provider, reading, most) in [
        (
            SimulatedProvider::TelegramStars,
            Operation::StarsGetTransactions,
            5,
        ),
        (SimulatedProvider::YooMoney, Operation::YooMoneyHistory, 1),
    ] {
        let subject = subject(provider);
        let of_one = requests_of_a_round(subject, reading, 1).await;
        let of_many = requests_of_a_round(subject, reading, 500).await;
        assert_eq!(of_one, of_many, "{provider}");
        assert!(of_many <= most, "{provider}: {of_many}");
    }
}

#[tokio::test]
async fn behind_10000_old_transactions_of_stars_the_first_payment_is_found_by_20_requests() {
    let subject = subject(SimulatedProvider::TelegramStars);
    let shop = patient_shop(subject).await;
    for number in 0..10_000 {
        let old = NewTransaction {
            external_id: Some(format!("OLD-{number}")),
            ..NewTransaction::default()
        };
        shop.world.add_transaction(subject.provider, &old).unwrap();
    }
    shop.world.advance(Duration::from_hours(48));
    subject.follow_nothing(&shop).await;
    let id = "ORD-1".to_owned();
    subject.pay(&shop, &Payable { id }, false);
    let daemon = subject.start(&shop);
    shop.until(&field("status", "ORD-1"), "paid").await;
    daemon.stop().await;
    let requests = shop.asked(Operation::StarsGetTransactions);
    assert!(requests <= 20, "{requests}");
    assert_eq!(shop.ask("SELECT count(*) FROM transactions").await, "1");
}
