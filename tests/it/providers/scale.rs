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
