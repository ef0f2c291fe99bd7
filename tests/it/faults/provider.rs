//! A provider that fails in every way it can. Law 1: without an observation, nothing changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use payrecond::sandbox::{Fault, FaultKind, Operation, SandboxOptions, SimulatedPayment};

use crate::shop::Shop;

/// Every kind of failure, with text that `last_error` must contain.
const FAILURES: [(FaultKind, &str); 10] = [
    (FaultKind::Status429, "429"),
    (FaultKind::Status500, "500"),
    (FaultKind::Status502Html, "502"),
    (FaultKind::EnvelopeError, "INTERNAL_ERROR"),
    (FaultKind::Timeout, "timed out"),
    (FaultKind::Reset, "connection"),
    (FaultKind::TruncatedBody, "unreachable"),
    (FaultKind::HugeBody, "larger"),
    (FaultKind::SlowBody, "timed out"),
    (FaultKind::WrongTypeId, "id"),
];

#[tokio::test]
async fn no_failure_changes_a_status_and_each_recovers() {
    for (kind, words) in FAILURES {
        let mut shop = Shop::open().await;
        shop.settings += "[http]\nrequest_timeout = \"300ms\"\n";
        let paid = shop.drop_in("PAID").await;
        shop.drop_in("OPEN").await;
        shop.world.pay(&paid, &SimulatedPayment::default()).unwrap();
        shop.world.set_faults(vec![Fault::new(kind)]);
        let daemon = shop.start();
        shop.until(
            "SELECT count(*) FROM invoices WHERE last_error IS NOT NULL",
            "2",
        )
        .await;
        let error = shop.ask("SELECT last_error FROM invoices LIMIT 1").await;
        assert!(error.contains(words), "{kind}: {error}");
        let untouched = "SELECT group_concat(DISTINCT status || version || polls || (reason IS NULL)) FROM invoices";
        assert_eq!(shop.ask(untouched).await, "pending001", "{kind}");
        assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0", "{kind}");
        shop.answer_again();
        shop.until(
            "SELECT group_concat(status) FROM (SELECT * FROM invoices ORDER BY id)",
            "paid,pending",
        )
        .await;
        shop.until(
            "SELECT count(*) FROM invoices WHERE last_error IS NULL",
            "2",
        )
        .await;
        daemon.stop().await;
    }
}

/// A wait requested by the server holds the whole account; an excessive one is cut.
#[tokio::test]
async fn retry_after_is_kept_and_capped() {
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
    for (asked, cap) in [("2", "10m"), ("999999999", "2s"), (date.as_str(), "2s")] {
        let mut shop = Shop::open().await;
        shop.configure(&format!("[http]\nmax_retry_after = \"{cap}\"\n"));
        let ids = [shop.drop_in("ORD-1").await, shop.drop_in("ORD-2").await];
        let fault = Fault {
            retry_after: Some(asked.into()),
            ..Fault::new(FaultKind::Status429).times(2)
        };
        shop.world.set_faults(vec![fault]);
        for id in &ids {
            shop.world.pay(id, &SimulatedPayment::default()).unwrap();
        }
        let begun = tokio::time::Instant::now();
        let daemon = shop.start();
        shop.until("SELECT state FROM accounts", "held").await;
        let requests = || shop.world.stats().requests[&Operation::Preview];
        let while_held = requests();
        shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "2")
            .await;
        assert!(
            begun.elapsed() >= Duration::from_millis(1900),
            "{asked}: not held"
        );
        assert!(while_held <= 2, "{asked}: {while_held} requests");
        assert!(requests() <= 4, "{asked}: asked while held");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn the_rate_limit_and_max_in_flight_are_kept() {
    let mut shop = Shop::with(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        latency: Duration::from_millis(30),
        ..SandboxOptions::default()
    })
    .await;
    shop.settings = format!(
        "requests_per_second = 20\nburst = 5\nmax_in_flight = 2\n{}",
        shop.settings
    );
    for n in 0..40 {
        shop.drop_in(&format!("ORD-{n}")).await;
    }
    let config = payrecond::config::Config::parse(
        &shop
            .config_text()
            .replacen("requests_per_second = 0\n", "", 1),
        &crate::shop::environment(),
    )
    .unwrap();
    let daemon = crate::shop::Daemon::start(config);
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    daemon.stop().await;
    let stats = shop.world.stats();
    // Counted on arrival: on a busy machine, two requests in flight may arrive late.
    assert!(stats.peak_per_second <= 27, "{}", stats.peak_per_second);
    assert!(stats.in_flight_max <= 2, "{}", stats.in_flight_max);
}

#[tokio::test]
async fn a_nudged_ended_invoice_is_polled() {
    let mut shop = Shop::open().await;
    shop.settings += "checks_after_expiry = [\"1s\"]\n";
    let id = shop.drop_in("ORD-1").await;
    shop.world.expire(&id, false).unwrap();
    let daemon = shop.start();
    shop.until(
        "SELECT status || (next_poll_at IS NULL) FROM invoices",
        "expired1",
    )
    .await;
    let polls = || shop.world.stats().requests[&Operation::Preview];
    let before = polls();
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    shop.until("SELECT next_poll_at IS NULL FROM invoices", "1")
        .await;
    assert_eq!(polls(), before + 1, "one poll");
    // A poll that failed is repeated.
    let late = SimulatedPayment {
        late: true,
        ..SimulatedPayment::default()
    };
    shop.world.pay(&id, &late).unwrap();
    shop.world
        .set_faults(vec![Fault::new(FaultKind::Status500).times(2)]);
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    let late =
        "SELECT json_extract(payload, '$.data.late') FROM outbox WHERE type = 'payment.paid'";
    assert_eq!(shop.ask(late).await, "1");
}

/// "Not found" counts after the grace, and only while the service works.
#[tokio::test]
async fn a_missing_order_goes_to_review_only_while_the_service_works() {
    let mut shop = Shop::open().await;
    shop.settings += "not_found_grace = \"500ms\"\n";
    shop.drop_in("THERE").await;
    let daemon = shop.start();
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    shop.execute("INSERT INTO invoices (external_id, order_id) VALUES ('MISSING', '12345')")
        .await;
    let missing = "SELECT status || ' ' || reason FROM invoices WHERE external_id = 'MISSING'";
    shop.until(missing, "review order_not_found").await;
    // From now on the service answers "not found" to every request, also for the missing order.
    // That proves nothing, and no request to the service succeeds.
    shop.world.set_faults(vec![Fault::new(FaultKind::NotFound)]);
    shop.execute("INSERT INTO invoices (external_id, order_id) VALUES ('MISSING-TOO', '54321')")
        .await;
    shop.until("SELECT state FROM accounts", "paused").await;
    let why = "SELECT last_error LIKE '%404%' FROM accounts";
    shop.until(why, "1").await;
    // Longer than the grace.
    let probes = shop.asked(Operation::Amount);
    shop.until_asked(Operation::Amount, probes + 2).await;
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "1");
    shop.answer_again();
    shop.until("SELECT state FROM accounts", "working").await;
    let too = "SELECT status FROM invoices WHERE external_id = 'MISSING-TOO'";
    shop.until(too, "review").await;
    daemon.stop().await;
    let said = "SELECT group_concat(external_id || ' ' || type) FROM outbox";
    assert_eq!(
        shop.ask(said).await,
        "MISSING payment.review,MISSING-TOO payment.review"
    );
}

#[tokio::test]
async fn a_payment_withdrawn_by_the_provider_stays_paid() {
    let shop = Shop::open().await;
    let ended = shop.drop_in("ENDED").await;
    shop.world.cancel(&ended, false).unwrap();
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "cancelled").await;
    shop.world.set_faults(vec![Fault::new(FaultKind::FlipBack)]);
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    shop.until(
        "SELECT status || ' ' || reason FROM invoices",
        "cancelled contradiction",
    )
    .await;
    shop.world
        .set_faults(vec![Fault::new(FaultKind::UnknownStatus)]);
    shop.drop_in("ODD").await;
    let odd = "SELECT status || ' ' || reason FROM invoices WHERE external_id = 'ODD'";
    shop.until(odd, "pending unknown_status").await;
    shop.answer_again();
    shop.until(
        "SELECT count(*) FROM invoices WHERE reason IS NULL AND external_id = 'ODD'",
        "1",
    )
    .await;
    daemon.stop().await;
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "1");
}

/// Requests for some orders always fail, and these orders are the newest. The others do not wait
/// for them.
#[tokio::test]
async fn a_few_failing_orders_do_not_starve_others() {
    let poison = Arc::new(Mutex::new(HashSet::<String>::new()));
    let mut shop = Shop::open().await;
    let gate = poisoned(&shop, Arc::clone(&poison)).await;
    shop.settings = format!("requests_per_second = 50\nburst = 5\n{}", shop.settings);
    let mut healthy = Vec::new();
    for n in 0..20 {
        healthy.push(shop.drop_in(&format!("GOOD-{n}")).await);
    }
    for n in 0..12 {
        let id = shop.drop_in(&format!("POISON-{n}")).await;
        poison.lock().unwrap().insert(id);
    }
    let text = shop
        .config_text()
        .replacen("requests_per_second = 0\n", "", 1);
    let text = text.replacen(&format!("{:?}", shop.base_url), &format!("{gate:?}"), 1);
    let config = payrecond::config::Config::parse(&text, &crate::shop::environment()).unwrap();
    let daemon = crate::shop::Daemon::start(config);
    let looked = "SELECT min(polls) > 1 FROM invoices WHERE external_id LIKE 'GOOD%'";
    shop.until(looked, "1").await;
    for id in &healthy {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "20")
        .await;
    let poisoned = "SELECT group_concat(DISTINCT status || version) FROM invoices WHERE external_id LIKE 'POISON%'";
    assert_eq!(shop.ask(poisoned).await, "pending0");
    poison.lock().unwrap().clear();
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    daemon.stop().await;
}

/// The sandbox behind a proxy that answers 500 for some orders. Returns the proxy's address.
async fn poisoned(shop: &Shop, poison: Arc<Mutex<HashSet<String>>>) -> String {
    let world = Arc::clone(&shop.world);
    let preview = move |Query(query): Query<HashMap<String, String>>| {
        let id = query["id"].clone();
        let order = world.order(&id).unwrap();
        let is_poison = poison.lock().unwrap().contains(&id);
        async move {
            if is_poison {
                return (StatusCode::INTERNAL_SERVER_ERROR, String::new());
            }
            let status = order.status;
            let body = serde_json::json!({"status": "SUCCESS", "message": "",
                "data": {"id": id, "status": status}});
            (StatusCode::OK, body.to_string())
        }
    };
    let path = "/wpay/store-api/v1/order/preview";
    let routes = axum::Router::new().route(path, axum::routing::get(preview));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}
