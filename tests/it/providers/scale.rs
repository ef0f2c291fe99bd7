//! How many requests many open invoices cost.

use payrecond::clock::{Clock as _, SystemClock};
use payrecond::sandbox::{Operation, OrderBatch, SimulatedProvider};

use super::{SUBJECTS, Subject, field};
use crate::shop::{Shop, drop_in_all, seed};

fn subject(provider: SimulatedProvider) -> &'static Subject {
    let mut all = SUBJECTS.iter();
    all.find(|one| one.provider == provider).unwrap()
}

/// A shop whose daemon polls each invoice once, and waits for long answers.
async fn shop_of_one_round(subject: &Subject) -> Shop {
    let mut shop = subject.shop().await;
    shop.settings = shop
        .settings
        .replace("min_interval = \"100ms\"", "min_interval = \"10m\"")
        .replace("max_interval = \"200ms\"", "max_interval = \"10m\"")
        .replace("request_timeout = \"500ms\"", "request_timeout = \"1m\"");
    shop
}

/// 2,500 open invoices are three batches; the paid one among them is noticed.
#[tokio::test]
async fn crypto_pay_polls_2500_open_invoices_by_at_most_four_requests_a_round() {
    let subject = subject(SimulatedProvider::CryptoPay);
    let shop = shop_of_one_round(subject).await;
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

/// A thousand open payments cost a dozen requests at first, since pages of new payments stand for polls of
/// each; then one page tells of every payment that was made since the last.
#[tokio::test]
async fn yookassa_polls_1000_open_payments_by_a_page_or_two_a_round() {
    let subject = subject(SimulatedProvider::YooKassa);
    let mut shop = subject.shop().await;
    shop.settings = shop
        .settings
        .replace("min_interval = \"100ms\"", "min_interval = \"3s\"")
        .replace("max_interval = \"200ms\"", "max_interval = \"10m\"")
        .replace("request_timeout = \"500ms\"", "request_timeout = \"1m\"");
    let batch = OrderBatch {
        provider: subject.provider,
        count: 1000,
        ..OrderBatch::default()
    };
    let names = seed(&shop.world, &batch);
    let mut program = shop.connect().await;
    drop_in_all(&shop.world, &mut program, &names).await;
    let daemon = subject.start(&shop);
    let unseen = "SELECT count(*) FROM invoices WHERE last_polled_at IS NULL";
    shop.until(unseen, "0").await;
    let asked = || {
        let pages = shop.asked(Operation::YooKassaListPayments);
        (pages, shop.asked(Operation::YooKassaGetPayment))
    };
    let (first_pages, first_singles) = asked();
    assert!(
        first_pages + first_singles <= 15,
        "{first_pages} pages, {first_singles} polls"
    );
    let clock = SystemClock::new();
    let began = clock.monotonic();
    for name in &names[100..105] {
        let order = shop.world.order(name).unwrap();
        subject.pay(&shop, &order, false);
        shop.until(&field("status", name), "paid").await;
    }
    let (pages, singles) = asked();
    daemon.stop().await;
    // However long it took: a page of payments every other second, and the states of all orders by eleven
    // pages every 20 s. By single polls it were a thousand requests in 3 s.
    let elapsed_s = clock.monotonic().saturating_sub(began).as_secs() + 1;
    let most = 5 + elapsed_s / 2 + 11 * (elapsed_s / 20 + 1);
    assert!(
        pages - first_pages <= most,
        "{pages} pages in {elapsed_s} s"
    );
    assert!(
        singles - first_singles <= 5,
        "{first_singles} polls at first, {singles} in all"
    );
}

/// The list of orders of each provider where one is found by its external id, and its page's size.
const LISTS: [(SimulatedProvider, Operation, u64); 3] = [
    (
        SimulatedProvider::CryptoPay,
        Operation::CryptoPayGetInvoices,
        950,
    ),
    (
        SimulatedProvider::YooKassa,
        Operation::YooKassaListPayments,
        100,
    ),
    (
        SimulatedProvider::CryptoCloud,
        Operation::CryptoCloudList,
        100,
    ),
];

/// One reading of the list serves all invoices whose orders are known only by their external id.
#[tokio::test]
async fn two_hundred_orders_without_their_ids_cost_a_few_readings_of_the_list() {
    for (provider, list, page) in LISTS {
        let subject = subject(provider);
        let shop = shop_of_one_round(subject).await;
        let batch = OrderBatch {
            provider,
            count: 3000,
            external_id_prefix: "S-".into(),
            ..OrderBatch::default()
        };
        let names = seed(&shop.world, &batch);
        for name in names.iter().step_by(15) {
            shop.execute(&format!(
                "INSERT INTO invoices (external_id, status) VALUES ('{name}', 'pending')"
            ))
            .await;
        }
        let daemon = subject.start(&shop);
        shop.until("SELECT count(order_id) FROM invoices", "200")
            .await;
        daemon.stop().await;
        let requests = shop.asked(list);
        let reading = 3000_u64.div_ceil(page) + 2;
        assert!(requests <= reading * 3, "{provider}: {requests}");
    }
}

/// An order that no reading shows may be older than all of them, or made later.
#[tokio::test]
async fn a_search_of_the_list_never_finds_that_there_is_no_order() {
    for (provider, list, _) in LISTS {
        let subject = subject(provider);
        let shop = subject.shop().await;
        shop.execute("INSERT INTO invoices (external_id, status) VALUES ('LATER', 'pending')")
            .await;
        let daemon = subject.start(&shop);
        shop.until_asked(list, 20).await;
        let doubted = "SELECT status || coalesce(reason, '') || coalesce(not_found_since, '') \
            FROM invoices";
        assert_eq!(shop.ask(doubted).await, "pending", "{provider}");
        let batch = OrderBatch {
            provider,
            external_id_prefix: "LATER".into(),
            ..OrderBatch::default()
        };
        let made = seed(&shop.world, &batch);
        shop.execute(&format!(
            "INSERT INTO invoices (external_id, status) VALUES ('{}', 'pending')",
            made[0]
        ))
        .await;
        shop.until("SELECT count(order_id) FROM invoices", "1")
            .await;
        daemon.stop().await;
    }
}
