//! From an invoice inserted into SQLite to one event in the outbox and on stdout.

use payrecond::config::Config;
use payrecond::daemon;
use payrecond::sandbox::SimulatedPayment;

use crate::shop::{Shop, environment};

#[tokio::test]
async fn a_payment_becomes_one_event_in_the_outbox_and_on_stdout() {
    let shop = Shop::open().await;
    let daemon = shop.start();
    let id = shop.drop_in("ORD-1").await;
    shop.until("SELECT polls > 0 FROM invoices", "1").await;
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    shop.until("SELECT acked_seq FROM consumers WHERE name = 'stdout'", "1")
        .await;
    let stdout = daemon.stop().await;
    let payload = shop.ask("SELECT payload FROM outbox").await;
    assert_eq!(
        stdout,
        format!(
            "MSG payments.default.paid 1 {}\r\n{payload}\r\n",
            payload.len()
        )
    );
    assert!(
        payload.contains(r#""status":"paid","previous_status":"pending","late":false"#),
        "{payload}"
    );
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "1");
    assert_eq!(
        shop.ask("SELECT next_poll_at IS NULL FROM invoices").await,
        "1"
    );
}

#[tokio::test]
async fn a_requested_invoice_gets_its_order_and_its_links() {
    let shop = Shop::open().await;
    let daemon = shop.start();
    shop.execute(
        r#"INSERT INTO invoices (external_id, amount, currency, description, options, metadata)
           VALUES ('ORD-2', '1.50', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', '{"chat": 9007199254740993}')"#,
    )
    .await;
    shop.until("SELECT status FROM invoices", "pending").await;
    let link = shop.ask("SELECT direct_pay_link FROM invoices").await;
    assert!(link.starts_with("https://t.me/wallet"), "{link}");
    let id = shop.ask("SELECT order_id FROM invoices").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    let types = "SELECT group_concat(type || version) FROM (SELECT * FROM outbox ORDER BY seq)";
    assert_eq!(shop.ask(types).await, "payment.pending1,payment.paid2");
    assert_eq!(
        shop.ask("SELECT json_extract(payload, '$.data.metadata.chat') FROM outbox LIMIT 1")
            .await,
        "9007199254740993"
    );
}

/// The sandbox is unreachable until after the orders' expiry. Whatever the clock shows meanwhile,
/// nothing is recorded about an order before the provider was polled.
#[tokio::test]
async fn after_an_outage_every_overdue_invoice_is_polled_before_any_event() {
    let shop = Shop::as_shipped().await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(shop.drop_in(&format!("ORD-{n}")).await);
        }
        ids
    };
    let daemon = shop.start();
    let all_looked_at =
        "SELECT min(polls) > 0 OR (SELECT list_read_to FROM accounts) >= 20 FROM invoices";
    shop.until(all_looked_at, "1").await;
    shop.answer_nothing();
    // During the outage, some orders are paid, some end; all of them expire.
    for (n, id) in ids.iter().enumerate() {
        match n % 2 {
            0 => drop(shop.world.pay(id, &SimulatedPayment::default()).unwrap()),
            _ => drop(shop.world.expire(id, false).unwrap()),
        }
    }
    shop.until("SELECT state FROM accounts", "paused").await;
    assert_eq!(
        shop.ask("SELECT count(*) FROM outbox").await,
        "0",
        "nothing is said unasked"
    );
    assert_eq!(
        shop.ask("SELECT group_concat(DISTINCT status) FROM invoices")
            .await,
        "pending"
    );
    shop.answer_again();
    shop.until("SELECT count(*) FROM outbox", "20").await;
    let counts = "SELECT group_concat(status || n) FROM (SELECT status, count(*) AS n FROM invoices GROUP BY status)";
    assert_eq!(shop.ask(counts).await, "expired10,paid10");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_the_start_is_clean() {
    let shop = Shop::open().await;
    for _ in 0..20 {
        shop.start().stop().await;
    }
}

#[tokio::test]
async fn a_missing_directory_is_reported_with_the_command_that_creates_it() {
    let shop = Shop::open().await;
    let config = shop.config_text();
    let config = config.replace("payrecond.db", "nowhere/payrecond.db");
    let config = Config::parse(&config, &environment()).unwrap();
    let ended = daemon::run_once(config, &environment(), tokio::io::sink()).await;
    let why = ended.unwrap_err().to_string();
    let shown = "the directory of database.path does not exist; create it with `mkdir -p";
    assert!(why.contains(shown), "{why}");
}
