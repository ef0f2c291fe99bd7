//! Audits of accounts whose providers keep a ledger and no orders.

use std::time::Duration;

use payrecond::sandbox::{NewTransaction, SandboxOptions, SimulatedProvider};
use serde_json::Value;

use super::found;
use crate::shop::{Daemon, Shop};

const KEY: (&str, &str) = ("PAYRECOND_API_KEY_DEFAULT", "123456:canary-key-0123456789");
const SAID: &str = "SELECT count(*) FROM outbox WHERE type = 'audit.discrepancy'";

/// A shop with its daemon in a hurry.
async fn shop(provider: SimulatedProvider) -> Shop {
    let mut shop = Shop::with(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        ..SandboxOptions::default()
    })
    .await;
    shop.settings = format!(
        "provider = \"{provider}\"\n[polling]\nmin_interval = \"100ms\"\nmax_interval = \"200ms\"\n\
         intake_interval = \"50ms\"\n"
    );
    shop
}

fn start(shop: &Shop) -> Daemon {
    Daemon::start_in(shop.config(), [KEY].into_iter().collect())
}

/// What the command reports, with its exit status.
fn report(shop: &Shop, arguments: &[&str]) -> (i32, Value, Vec<String>) {
    let mut command = super::command(shop, arguments);
    let output = command.arg("--json").env(KEY.0, KEY.1).output().unwrap();
    let code = output.status.code().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).expect(&said);
    (code, report, found(&output))
}

async fn expect(shop: &Shop, external_id: &str, amount: &str, currency: &str) {
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, amount, currency, status)
         VALUES ('{external_id}', '{amount}', '{currency}', 'pending')"
    ))
    .await;
}

/// A payment; its id.
fn pay(shop: &Shop, provider: SimulatedProvider, label: &str, amount: &str) -> String {
    let new = NewTransaction {
        external_id: Some(label.to_owned()),
        amount: Some(amount.to_owned()),
        ..NewTransaction::default()
    };
    let made = shop.world.add_transaction(provider, &new).unwrap();
    made.transaction_id
}

fn refund(shop: &Shop, id: &str) {
    let back = NewTransaction {
        is_out: true,
        transaction_id: Some(id.to_owned()),
        ..NewTransaction::default()
    };
    let stars = SimulatedProvider::TelegramStars;
    shop.world.add_transaction(stars, &back).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_only_the_ledger_shows_is_found_by_kind_and_recorded_once() {
    let provider = SimulatedProvider::TelegramStars;
    let shop = shop(provider).await;
    for name in ["AGREES", "FURTHER", "RETURNED"] {
        expect(&shop, name, "100", "XTR").await;
        pay(&shop, provider, name, "100");
    }
    let daemon = start(&shop);
    shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "3")
        .await;
    daemon.stop().await;
    let (code, agreed, kinds) = report(&shop, &[]);
    assert_eq!((code, kinds.len()), (0, 0), "{agreed}");
    assert_eq!(agreed["checked"], 3);

    // No daemon sees what follows.
    expect(&shop, "OPEN", "100", "XTR").await;
    pay(&shop, provider, "OPEN", "100");
    expect(&shop, "ROUBLES", "100", "RUB").await;
    pay(&shop, provider, "ROUBLES", "100");
    pay(&shop, provider, "FURTHER", "7");
    let of_returned = "SELECT transaction_id FROM transactions WHERE external_id = 'RETURNED'";
    refund(&shop, &shop.ask(of_returned).await);
    let nobody = pay(&shop, provider, "NOBODY", "30");
    // Returned, and nothing is left of it; and what bears no label is nobody's to ask about.
    refund(&shop, &pay(&shop, provider, "GIVEN-BACK", "30"));
    let gift = NewTransaction::default();
    shop.world.add_transaction(provider, &gift).unwrap();

    let (code, first, kinds) = report(&shop, &[]);
    assert_eq!(code, 3);
    let expected = [
        "unknown_payment NOBODY -/succeeded",
        "status OPEN pending/received",
        "refund RETURNED paid/received",
        "received FURTHER paid/received",
        "amount ROUBLES pending/received",
    ];
    assert_eq!(kinds, expected);
    let payment = &first["discrepancies"][0];
    assert_eq!(payment["transaction_id"], *nobody);
    assert_eq!(payment["theirs"]["amount"]["value"], "30");
    assert_eq!(
        first["discrepancies"][3]["theirs"]["received"]["value"],
        "107"
    );
    assert_eq!(
        first["discrepancies"][4]["theirs"]["amount"]["currency"],
        "XTR"
    );
    assert_eq!(shop.ask(SAID).await, "5");
    let (code, second, _) = report(&shop, &[]);
    assert_eq!(
        (code, &second),
        (3, &first),
        "every report lists all that stands"
    );
    assert_eq!(shop.ask(SAID).await, "5", "and says nothing twice");
    let said = "SELECT json_extract(payload, '$.data.transaction_id') FROM outbox WHERE external_id = 'NOBODY'";
    assert_eq!(shop.ask(said).await, nobody);

    let table = audit_table(&shop);
    for words in [
        "payment without an invoice",
        "PAID at the provider only",
        "refund at the provider only",
        "received sum differs",
        "amount differs",
        "11 transactions compared, 5 differ",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

fn audit_table(shop: &Shop) -> String {
    let mut command = super::command(shop, &[]);
    let output = command.env(KEY.0, KEY.1).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_unknown_payments_are_adopted_and_settled_by_the_daemon() {
    let provider = SimulatedProvider::YooMoney;
    let shop = shop(provider).await;
    pay(&shop, provider, "DONATION", "150.00");
    pay(&shop, provider, "DONATION", "50.00");
    let (code, taken, kinds) = report(&shop, &["--adopt"]);
    assert_eq!(
        (code, kinds.len(), &taken["adopted"]),
        (3, 2, &Value::from(1))
    );
    assert_eq!(shop.ask(SAID).await, "0", "its own events tell of it");
    let row = "SELECT external_id || ' ' || status || ' ' || coalesce(order_id, amount, '-') FROM invoices";
    assert_eq!(shop.ask(row).await, "DONATION pending -");
    let daemon = start(&shop);
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    assert_eq!(
        shop.ask("SELECT received_amount FROM invoices").await,
        "198.01"
    );
    let (code, again, _) = report(&shop, &["--adopt"]);
    assert_eq!((code, &again["adopted"]), (0, &Value::from(0)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_ledger_shows_no_more_is_missing() {
    let provider = SimulatedProvider::YooMoney;
    let mut first = shop(provider).await;
    expect(&first, "GONE", "100", "RUB").await;
    let id = pay(&first, provider, "GONE", "100");
    let daemon = start(&first);
    first.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    // The same books, and a wallet that knows nothing of it, later.
    let other = shop(provider).await;
    first.base_url.clone_from(&other.base_url);
    other.world.advance(Duration::from_mins(1));
    let (code, missing, kinds) = report(&first, &[]);
    assert_eq!(
        (code, kinds),
        (3, vec!["missing_order GONE paid/-".to_owned()])
    );
    assert_eq!(missing["discrepancies"][0]["transaction_id"], *id);
}

/// The service counts what is not in Stars, and leaves it out.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_behind_empty_pages_is_not_missing() {
    let provider = SimulatedProvider::TelegramStars;
    let shop = shop(provider).await;
    let hidden = NewTransaction {
        kind: Some("hidden".into()),
        ..NewTransaction::default()
    };
    for (name, gap) in [("BEFORE", 250), ("BEHIND", 0)] {
        expect(&shop, name, "100", "XTR").await;
        pay(&shop, provider, name, "100");
        for _ in 0..gap {
            shop.world.add_transaction(provider, &hidden).unwrap();
        }
    }
    let daemon = start(&shop);
    shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "2")
        .await;
    daemon.stop().await;
    // What is as recent as the audit itself would not be missed.
    shop.world.advance(Duration::from_mins(1));
    let (code, agreed, kinds) = report(&shop, &[]);
    assert_eq!((code, kinds.len()), (0, 0), "{agreed}");
    assert_eq!(agreed["checked"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_read_is_a_failure_and_records_nothing() {
    let shop = shop(SimulatedProvider::TelegramStars).await;
    expect(&shop, "ORD-1", "100", "XTR").await;
    shop.answer_nothing();
    let mut command = super::command(&shop, &["--json"]);
    let output = command.env(KEY.0, KEY.1).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be read"));
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
}

/// The command takes half of the rate, and the daemon goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_ledger_is_read_beside_the_daemon_at_half_the_rate() {
    let provider = SimulatedProvider::YooMoney;
    let mut shop = shop(provider).await;
    shop.settings = shop.settings.replace(
        "\n[polling]",
        "\nrequests_per_second = 20.0\nburst = 2\n[polling]",
    );
    for number in 0..450 {
        pay(&shop, provider, &format!("ORD-{number}"), "100");
    }
    expect(&shop, "ORD-0", "100", "RUB").await;
    let daemon = start(&shop);
    shop.until("SELECT status FROM invoices", "paid").await;
    expect(&shop, "OPEN", "100", "RUB").await;
    let (code, report, kinds) = report(&shop, &[]);
    assert_eq!((code, kinds.len()), (3, 449));
    assert_eq!(report["checked"], 450);
    assert!(
        shop.world.stats().peak_per_second <= 22,
        "{:?}",
        shop.world.stats()
    );
    daemon.stop().await;
}
