//! How many requests many open invoices cost.

use payrecond::sandbox::{Operation, OrderBatch, SimulatedProvider};

use super::{SUBJECTS, Subject, field};
use crate::shop::{drop_in_all, seed};

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
    subject.pay(&shop, &paid, false);
    let daemon = subject.start(&shop);
    shop.until("SELECT min(polls) FROM invoices", "1").await;
    shop.until(&field("status", &names[1700]), "paid").await;
    daemon.stop().await;
    let requests = shop.asked(Operation::CryptoPayGetInvoices);
    assert!(requests <= 4, "{requests}");
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, "2499");
}

/// A thousand open payments within one request a second: a dozen requests for all that was never polled,
/// and then every other second one for whatever became paid.
#[tokio::test]
async fn yookassa_notices_payments_among_a_thousand_open_ones_within_a_request_a_second() {
    let subject = subject(SimulatedProvider::YooKassa);
    let mut shop = subject.shop().await;
    shop.settings = format!("requests_per_second = 1\nburst = 1\n{}", shop.settings)
        .replace("min_interval = \"100ms\"", "min_interval = \"3s\"")
        .replace("max_interval = \"200ms\"", "max_interval = \"10m\"");
    let batch = OrderBatch {
        provider: subject.provider,
        count: 1000,
        ..OrderBatch::default()
    };
    let names = seed(&shop.world, &batch);
    let mut program = shop.connect().await;
    drop_in_all(&shop.world, &mut program, &names).await;
    let daemon = shop.start();
    shop.until(
        "SELECT count(*) FROM invoices WHERE last_polled_at IS NULL",
        "0",
    )
    .await;
    let asked = || {
        let pages = shop.asked(Operation::YooKassaListPayments);
        (pages, shop.asked(Operation::YooKassaGetPayment))
    };
    let (pages, singles) = asked();
    assert!(pages + singles <= 40, "{pages} pages, {singles} polls");
    for name in &names[100..105] {
        let order = shop.world.order(name).unwrap();
        subject.pay(&shop, &order, false);
        shop.until(&field("status", name), "paid").await;
    }
    let (later, more_singles) = asked();
    daemon.stop().await;
    assert!(
        later - pages + more_singles - singles <= 25,
        "{later} pages, {more_singles} polls"
    );
}
