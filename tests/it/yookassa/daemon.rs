//! YooKassa end to end: creations that are repeated after the key of idempotence is no longer known, and
//! refunds that the audit finds.

use payrecond::sandbox::{Fault, FaultKind, FaultTarget, Operation, SimulatedPayment};

use crate::faults::program;
use crate::providers::audits;
use crate::shop::{Daemon, Shop};

const KEY: &str = "123456:canary-key-0123456789";

async fn shop() -> Shop {
    let mut shop = Shop::open().await;
    shop.settings =
        "provider = \"yookassa\"\n[account.settings]\nreturn_url = \"https://shop.example/back\"\n\
        [polling]\nmin_interval = \"100ms\"\nintake_interval = \"50ms\"\n"
            .into();
    shop
}

fn start(shop: &Shop) -> Daemon {
    let environment = [("PAYRECOND_API_KEY_DEFAULT", KEY)];
    Daemon::start_in(shop.config(), environment.into_iter().collect())
}

async fn request(shop: &Shop, name: &str) {
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, amount, currency, description, timeout_seconds)
         VALUES ('{name}', '100.00', 'RUB', 'Six eggs', 172800)"
    ))
    .await;
}

/// A creation that failed as `fault` has it, and was first sent 25 hours ago.
async fn creation_of_yesterday(fault: FaultKind) -> Shop {
    let shop = shop().await;
    let creation = FaultTarget::Operation(Operation::YooKassaCreatePayment);
    shop.world.set_faults(vec![Fault::new(fault).on(creation)]);
    request(&shop, "ORD-1").await;
    let daemon = start(&shop);
    shop.until_asked(Operation::YooKassaCreatePayment, 1).await;
    shop.until("SELECT last_error IS NOT NULL FROM invoices", "1")
        .await;
    daemon.stop().await;
    shop.execute(
        "UPDATE invoices SET create_sent_at = create_sent_at - 90000000, next_poll_at = 1,
         daemon_writes = daemon_writes + 1",
    )
    .await;
    shop.answer_again();
    shop
}

#[tokio::test]
async fn after_a_day_a_payment_whose_answer_was_lost_is_found_and_not_made_again() {
    let shop = creation_of_yesterday(FaultKind::LostAnswer).await;
    let sent = shop.asked(Operation::YooKassaCreatePayment);
    let daemon = start(&shop);
    shop.until("SELECT status FROM invoices", "pending").await;
    let orders = shop.world.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(
        shop.ask("SELECT order_id FROM invoices").await,
        orders[0].id
    );
    assert_eq!(shop.asked(Operation::YooKassaCreatePayment), sent);
    shop.world
        .pay("ORD-1", &SimulatedPayment::default())
        .unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
}

#[tokio::test]
async fn after_a_day_a_payment_that_was_never_made_is_searched_for_and_then_made() {
    let shop = creation_of_yesterday(FaultKind::Reset).await;
    let (sent, read) = (
        shop.asked(Operation::YooKassaCreatePayment),
        shop.asked(Operation::YooKassaListPayments),
    );
    let daemon = start(&shop);
    shop.until("SELECT status FROM invoices", "pending").await;
    assert_eq!(shop.world.orders().len(), 1);
    assert_eq!(shop.asked(Operation::YooKassaCreatePayment), sent + 1);
    assert!(shop.asked(Operation::YooKassaListPayments) > read);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_a_refund_that_the_daemon_was_not_there_to_see() {
    let shop = shop().await;
    request(&shop, "ORD-1").await;
    let daemon = start(&shop);
    shop.until("SELECT status FROM invoices", "pending").await;
    shop.world
        .pay("ORD-1", &SimulatedPayment::default())
        .unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    shop.world.refund("ORD-1", Some("40.00")).unwrap();
    let said = audits::run(&shop, KEY, &[]).await;
    assert_eq!(
        (said.code, said.counts.as_str()),
        (3, "refund: 1"),
        "{}",
        said.report
    );
    let finding = &said.report["discrepancies"][0];
    assert_eq!(finding["external_id"], "ORD-1", "{finding}");
    assert!(finding["theirs"].to_string().contains("40.00"), "{finding}");
}

/// More refunds than a page shows; the next pass goes on where this one ended.
#[tokio::test]
async fn single_passes_record_refunds_and_how_far_they_were_read() {
    const PLACE: &str = "SELECT list_positions FROM accounts";
    let shop = shop().await;
    request(&shop, "ORD-1").await;
    program::run_once(&shop, KEY).await;
    shop.world
        .pay("ORD-1", &SimulatedPayment::default())
        .unwrap();
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    program::run_once(&shop, KEY).await;
    assert_eq!(shop.ask("SELECT status FROM invoices").await, "paid");
    let before = shop.ask(PLACE).await;
    for _ in 0..120 {
        shop.world.refund("ORD-1", Some("0.50")).unwrap();
    }
    program::run_once(&shop, KEY).await;
    let refunds = "SELECT count(*) FROM outbox WHERE type = 'payment.refunded'";
    assert_eq!(shop.ask(refunds).await, "120");
    let sum = "SELECT refunded_amount FROM invoices";
    assert_eq!(shop.ask(sum).await, "60.00");
    assert_ne!(shop.ask(PLACE).await, before);
    program::run_once(&shop, KEY).await;
    assert_eq!(shop.ask(refunds).await, "120");
}
