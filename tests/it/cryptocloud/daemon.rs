//! CryptoCloud end to end: the daemon and the audit command beside the sandbox.

use std::process::Command;

use payrecond::sandbox::{
    Fault, FaultKind, Operation, OrderBatch, SandboxOptions, SimulatedPayment, SimulatedProvider,
    Variant,
};

use super::*;
use crate::shop::{Shop, drop_in_all, seed};

const ACCOUNT: &str = "provider = \"cryptocloud\"\n";
const SETTINGS: &str = "[account.settings]\nshop_id = \"shop\"\n[polling]\n\
    intake_interval = \"50ms\"\nage_factor = 0.0\njitter = 0.0\n";
const FAST: &str = "min_interval = \"100ms\"\nchecks_after_expiry = [\"100ms\", \"1h\"]\n";
const STATES: &str = "SELECT group_concat(shown, ', ') FROM (SELECT external_id || ' ' || status \
    || coalesce(' ' || reason, '') AS shown FROM invoices ORDER BY external_id)";

async fn shop(variants: &[Variant], settings: &str) -> Shop {
    let mut shop = Shop::with(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        variants: variants.to_vec(),
        ..SandboxOptions::default()
    })
    .await;
    settings.clone_into(&mut shop.settings);
    shop
}

async fn request(shop: &Shop, names: &[&str]) {
    for name in names {
        shop.execute(&format!(
            "INSERT INTO invoices (external_id, amount, currency, description) \
             VALUES ('{name}', '100.00', 'USD', 'VPN for a month')"
        ))
        .await;
    }
}

fn part(amount: &str) -> SimulatedPayment {
    SimulatedPayment {
        amount: Some(amount.into()),
        ..SimulatedPayment::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_money_case_is_detected() {
    let shop = shop(&[], &format!("{ACCOUNT}{SETTINGS}{FAST}")).await;
    let names = [
        "ACCEPTED",
        "CANCELLED",
        "EXPIRED",
        "HALF",
        "LATE",
        "MORE",
        "PAID",
        "PARTS",
    ];
    request(&shop, &names).await;
    let daemon = shop.start();
    let open = "SELECT count(*) FROM invoices WHERE status = 'pending' \
        AND pay_link LIKE 'https://pay.trybit.com/%' AND order_id LIKE 'INV-%'";
    shop.until(open, "8").await;
    let world = &shop.world;
    world.pay("PAID", &SimulatedPayment::default()).unwrap();
    world.pay("MORE", &part("130")).unwrap();
    world.cancel("CANCELLED", false).unwrap();
    world.expire("EXPIRED", false).unwrap();
    world.expire("LATE", false).unwrap();
    for name in ["ACCEPTED", "HALF", "PARTS"] {
        world.pay(name, &part("40")).unwrap();
    }
    let states = "ACCEPTED pending partially_paid, CANCELLED cancelled, EXPIRED expired, \
        HALF pending partially_paid, LATE expired, MORE paid, PAID paid, \
        PARTS pending partially_paid";
    shop.until(STATES, states).await;
    let accept = SimulatedPayment {
        confirm: true,
        ..SimulatedPayment::default()
    };
    world.pay("ACCEPTED", &accept).unwrap();
    world.pay("PARTS", &part("60")).unwrap();
    world.expire("HALF", false).unwrap();
    let late = SimulatedPayment {
        late: true,
        ..SimulatedPayment::default()
    };
    world.pay("LATE", &late).unwrap();
    shop.execute("UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'LATE'")
        .await;
    let states = "ACCEPTED paid, CANCELLED cancelled, EXPIRED expired, HALF review partially_paid, \
        LATE paid, MORE paid, PAID paid, PARTS paid";
    shop.until(STATES, states).await;
    let partial = "SELECT count(*) FROM outbox WHERE type = 'payment.partial'";
    assert_eq!(shop.ask(partial).await, "3");
    // Net of fees: below the requested amount, although it is paid in full.
    let received = "SELECT CAST(received_amount AS REAL) BETWEEN 90 AND 99.99 AND paid_currency = 'USDT' \
        AND CAST(net_amount AS REAL) < CAST(paid_amount AS REAL) FROM invoices WHERE external_id = 'PAID'";
    assert_eq!(shop.ask(received).await, "1");
    let over =
        "SELECT CAST(received_amount AS REAL) > 120 FROM invoices WHERE external_id = 'MORE'";
    assert_eq!(shop.ask(over).await, "1");
    let events = "SELECT json_extract(payload, '$.data.late') FROM outbox \
        WHERE type = 'payment.paid' AND external_id = 'LATE'";
    assert_eq!(shop.ask(events).await, "1");
    daemon.stop().await;
}

/// What came is told in the invoice's currency only for dollars.
#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_an_invoice_in_rubles_is_recorded_with_what_was_sent_in_the_coin() {
    let shop = shop(&[], &format!("{ACCOUNT}{SETTINGS}{FAST}")).await;
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description) \
         VALUES ('R', '1000.00', 'RUB', 'VPN for a month')",
    )
    .await;
    let daemon = shop.start();
    shop.until(STATES, "R pending").await;
    let parts = "SELECT count(*) FROM outbox WHERE type = 'payment.partial' \
        AND json_extract(payload, '$.data.received') IS NULL \
        AND json_extract(payload, '$.data.payment.value') IS NOT NULL";
    for (amount, count) in [("400", "1"), ("300", "2")] {
        shop.world.pay("R", &part(amount)).unwrap();
        shop.until(parts, count).await;
    }
    shop.world.pay("R", &part("300")).unwrap();
    shop.until(STATES, "R paid").await;
    let sums = "SELECT count(DISTINCT json_extract(payload, '$.data.payment.value')) || ' ' \
        || max(json_extract(payload, '$.data.payment.currency')) FROM outbox \
        WHERE type IN ('payment.partial', 'payment.paid')";
    assert_eq!(shop.ask(sums).await, "3 USDT");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_payment_goes_to_review_unless_accepted() {
    for (accepted, state) in [(false, "T review test_payment"), (true, "T paid")] {
        let accept = format!("accept_test_payments = {accepted}\n");
        let settings = format!("{ACCOUNT}{accept}{SETTINGS}{FAST}");
        let shop = shop(&[Variant::CryptoCloudTestMode], &settings).await;
        request(&shop, &["T"]).await;
        let daemon = shop.start();
        shop.until(STATES, "T pending").await;
        shop.world.pay("T", &SimulatedPayment::default()).unwrap();
        shop.until(STATES, state).await;
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_answer_was_lost_makes_no_second_invoice() {
    let shop = shop(&[], &format!("{ACCOUNT}{SETTINGS}{FAST}")).await;
    let mut lost = Fault::new(FaultKind::LostAnswer);
    lost.on = Some(Operation::CryptoCloudCreate.into());
    lost.count = Some(1);
    shop.world.set_faults(vec![lost]);
    request(&shop, &["LOST"]).await;
    let daemon = shop.start();
    shop.until(STATES, "LOST pending").await;
    let made = shop.world.orders();
    assert_eq!(made.len(), 1);
    assert_eq!(shop.ask("SELECT order_id FROM invoices").await, made[0].id);
    assert_eq!(shop.asked(Operation::CryptoCloudCreate), 1);
    shop.world
        .pay("LOST", &SimulatedPayment::default())
        .unwrap();
    shop.until(STATES, "LOST paid").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_about_the_invoice_becomes_the_reason_of_rejected() {
    let shop = shop(&[], &format!("{ACCOUNT}{SETTINGS}{FAST}")).await;
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description) \
         VALUES ('NO', '1', 'XYZ', 'VPN for a month')",
    )
    .await;
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "rejected").await;
    let reason = shop.ask("SELECT reason FROM invoices").await;
    assert!(
        reason.starts_with("currency: Invalid account currency"),
        "{reason}"
    );
    daemon.stop().await;
}

/// The configuration lacks something, which is no fault of the invoice.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_shop_id_invoices_wait_until_it_is_set() {
    let without = SETTINGS.replace("shop_id = \"shop\"\n", "");
    let mut shop = shop(&[], &format!("{ACCOUNT}{without}{FAST}")).await;
    request(&shop, &["A", "B"]).await;
    let daemon = shop.start();
    let waiting = "SELECT count(*) FROM invoices WHERE status = 'requested' AND version = 0 \
        AND create_sent_at IS NULL AND failures = 0 AND last_error LIKE 'account.settings.shop_id%'";
    shop.until(waiting, "2").await;
    shop.execute("DELETE FROM invoices WHERE external_id = 'B'")
        .await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::CryptoCloudCreate), 0);
    shop.settings = format!("{ACCOUNT}{SETTINGS}{FAST}");
    let daemon = shop.start();
    shop.until(STATES, "A pending").await;
    assert_eq!(
        shop.ask("SELECT last_error IS NULL FROM invoices").await,
        "1"
    );
    daemon.stop().await;
}

/// Where the setting never comes, the order's time runs out as ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_waits_for_a_setting_is_rejected_when_it_is_too_late() {
    let without = SETTINGS.replace("shop_id = \"shop\"\n", "");
    let shop = shop(&[], &format!("{ACCOUNT}{without}{FAST}")).await;
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description, timeout_seconds) \
         VALUES ('A', '100.00', 'USD', 'VPN for a month', 30)",
    )
    .await;
    let daemon = shop.start();
    shop.until(STATES, "A rejected too_late").await;
    daemon.stop().await;
}

fn thousand(shop: &Shop, count: usize) -> Vec<String> {
    let batch = OrderBatch {
        provider: SimulatedProvider::CryptoCloud,
        count,
        external_id_prefix: "CC-".into(),
        ..OrderBatch::default()
    };
    seed(&shop.world, &batch)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_open_invoices_take_eleven_requests_a_round_at_most() {
    let once = "min_interval = \"1h\"\nmax_interval = \"1h\"\n";
    let shop = shop(&[], &format!("{ACCOUNT}{SETTINGS}{once}")).await;
    let names = thousand(&shop, 1000);
    drop_in_all(&shop.world, &mut shop.connect().await, &names).await;
    // Without the prefix, an id is that of the same invoice.
    shop.world
        .pay("CC-7", &SimulatedPayment::default())
        .unwrap();
    let daemon = shop.start();
    let polled = "SELECT count(*) FROM invoices WHERE last_polled_at IS NOT NULL";
    shop.until(polled, "1000").await;
    let paid = "SELECT group_concat(external_id) FROM invoices WHERE status = 'paid'";
    shop.until(paid, "CC-7").await;
    let requests = shop.asked(Operation::CryptoCloudInfo);
    assert!(requests <= 11, "{requests}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_reads_all_invoices_under_both_readings_of_limit() {
    for variant in [
        None,
        Some(Variant::CryptoCloudLimitSize),
        Some(Variant::CryptoCloudLimitRefused),
        Some(Variant::CryptoCloudBareUuid),
    ] {
        let variants: Vec<Variant> = variant.into_iter().collect();
        let shop = shop(&variants, &format!("{ACCOUNT}{SETTINGS}")).await;
        let names = thousand(&shop, 230);
        drop_in_all(&shop.world, &mut shop.connect().await, &names[..200]).await;
        shop.execute(
            "INSERT INTO invoices (external_id, order_id) VALUES ('GONE', 'INV-GONE0000')",
        )
        .await;
        shop.world
            .pay("CC-5", &SimulatedPayment::default())
            .unwrap();
        let config = shop.folder.path().join("payrecond.toml");
        std::fs::write(&config, shop.config_text()).unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_payrecond"))
                .arg("--config")
                .arg(&config)
                .args(["audit", "--json"])
                .args(arguments)
                .env("PAYRECOND_API_KEY_DEFAULT", "key")
                .output()
                .unwrap();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let mut counts = std::collections::BTreeMap::new();
            for finding in report["discrepancies"].as_array().unwrap() {
                *counts
                    .entry(finding["kind"].as_str().unwrap().to_owned())
                    .or_insert(0) += 1;
            }
            (output.status.code(), format!("{counts:?}"))
        };
        let found = r#"{"missing_order": 1, "status": 1, "unknown_order": 30}"#;
        assert_eq!(run(&[]), (Some(3), found.to_owned()), "{variant:?}");
        run(&["--adopt"]);
        let left = r#"{"missing_order": 1, "status": 1}"#;
        assert_eq!(run(&[]), (Some(3), left.to_owned()), "{variant:?}");
    }
}
