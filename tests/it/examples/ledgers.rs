//! The recipes for providers that keep a ledger: a bot that sells for Stars, a page for donations.

use std::time::Duration;

use payrecond::sandbox::{NewTransaction, SimulatedProvider};
use tokio::process::{Child, Command};

use super::{Bot, EXAMPLES, ask, python_is_here, until};
use crate::faults::program;
use crate::shop::Shop;

async fn shop(settings: &str) -> Shop {
    let mut shop = Shop::open().await;
    shop.settings = format!(
        "{settings}\n[polling]\nmin_interval = \"100ms\"\nmax_interval = \"200ms\"\nintake_interval = \"50ms\"\n\
         [feed]\nstdout = \"off\"\n"
    );
    shop
}

fn daemon(shop: &Shop) -> Child {
    let mut command: Command = program::command(shop);
    let key = "123456:canary-key-0123456789";
    command
        .env("PAYRECOND_API_KEY_DEFAULT", key)
        .spawn()
        .unwrap()
}

fn pay(shop: &Shop, provider: SimulatedProvider, label: &str, amount: &str) -> String {
    let new = NewTransaction {
        external_id: Some(label.to_owned()),
        amount: Some(amount.to_owned()),
        ..NewTransaction::default()
    };
    let made = shop.world.add_transaction(provider, &new).unwrap();
    made.transaction_id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_for_stars_approves_what_waits_and_credits_once_what_the_ledger_shows() {
    if !python_is_here().await {
        return;
    }
    let stars = SimulatedProvider::TelegramStars;
    let shop = shop("provider = \"telegram-stars\"").await;
    let _daemon = daemon(&shop);
    let script = format!("{EXAMPLES}/stars.py");
    let open = || Bot::start(&shop, &["python3", &script], &["shop.db", "default"]);
    let bank = shop.folder.path().join("shop.db");
    let mut bot = open();
    // An update that Telegram sends twice is the same order.
    for _ in 0..2 {
        bot.type_in("42 1 /buy 6").await;
        assert_eq!(
            bot.line().await,
            "to 42: invoice EGGS-42-1: Eggs: 6, 60 XTR"
        );
    }
    bot.type_in("42 1 checkout").await;
    assert_eq!(bot.line().await, "to 42: go on");
    bot.kill().await;
    let id = pay(&shop, stars, "EGGS-42-1", "60");
    shop.until("SELECT status FROM invoices", "paid").await;

    let mut bot = open();
    assert_eq!(bot.line().await, "to 42: payment.paid EGGS-42-1");
    bot.type_in("42 1 checkout").await;
    assert_eq!(
        bot.line().await,
        "to 42: this invoice cannot be paid any more"
    );
    let acknowledged = "SELECT acked_seq FROM consumers WHERE name = 'stars'";
    shop.until(acknowledged, "1").await;
    bot.kill().await;

    // Every event once more, and the Stars go back.
    shop.execute("DELETE FROM consumers").await;
    let mut bot = open();
    let refund = NewTransaction {
        is_out: true,
        transaction_id: Some(id),
        ..NewTransaction::default()
    };
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('OTHER', 'pending')")
        .await;
    shop.until(acknowledged, "1").await;
    assert_eq!(ask(&bank, "SELECT eggs FROM customers").await, "6");
    shop.world.add_transaction(stars, &refund).unwrap();
    assert_eq!(bot.line().await, "to 42: payment.refunded EGGS-42-1");
    assert_eq!(ask(&bank, "SELECT eggs FROM customers").await, "0");
}

#[expect(clippy::disallowed_methods, reason = "the browser of a donor")]
fn browser() -> reqwest::Client {
    // Chosen before by another test of this binary, or now.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_mins(1))
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_donations_leads_to_a_link_and_thanks_once_for_what_arrived() {
    if !python_is_here().await {
        return;
    }
    let wallet = SimulatedProvider::YooMoney;
    let shop =
        shop("provider = \"yoomoney\"\n[account.settings]\nreceiver = \"410011234567890\"").await;
    let _daemon = daemon(&shop);
    let script = format!("{EXAMPLES}/donate.py");
    let arguments = ["donations.db", "default", "0"];
    let mut page = Bot::start(&shop, &["python3", &script], &arguments);
    let listening = page.line().await;
    let address = listening.strip_prefix("listening on ").unwrap().to_owned();
    let client = browser();
    let post = async |body: &'static str| {
        let request = client.post(format!("{address}/donate")).body(body);
        request.send().await.unwrap()
    };
    assert_eq!(post("name=Ann&sum=-5").await.status(), 400);
    let sent = post("name=Ann+%3Cb%3E&sum=150").await;
    assert_eq!(sent.status(), 303);
    let link = sent.headers()["location"].to_str().unwrap().to_owned();
    let label = link.split("label=").nth(1).unwrap().to_owned();
    assert!(
        link.contains("/quickpay/confirm?receiver=410011234567890"),
        "{link}"
    );
    assert!(link.contains("sum=150.00"), "{link}");

    pay(&shop, wallet, &label, "150.00");
    assert_eq!(page.line().await, format!("{label}: 148.51 RUB"));
    pay(&shop, wallet, &label, "10");
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('OTHER', 'pending')")
        .await;
    assert_eq!(page.line().await, format!("{label}: 158.41 RUB"));
    let shown = client
        .get(&address)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(shown.contains("<li>Ann &lt;b&gt;: 158.41 RUB"), "{shown}");
    page.kill().await;

    shop.execute("DELETE FROM consumers").await;
    let page = Bot::start(&shop, &["python3", &script], &arguments);
    let all =
        "SELECT (SELECT acked_seq FROM consumers WHERE name = 'donate') = max(seq) FROM outbox";
    shop.until(all, "1").await;
    let bank = shop.folder.path().join("donations.db");
    until(&bank, "SELECT received FROM donors", "158.41").await;
    page.kill().await;
}
