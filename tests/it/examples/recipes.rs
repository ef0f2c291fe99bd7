//! The small recipes, one a language.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use payrecond::sandbox::{Bill, BillPayment, NewOrder, SimulatedPayment, SimulatedProvider};
use tokio::process::Command;

use super::{
    Bot, EXAMPLES, ask, daemon, daemon_at, is_here, python_is_here, shop_at, skipped, works,
};
use crate::PATIENCE;
use crate::shop::Shop;

const ALL_ACKNOWLEDGED: &str =
    "SELECT count(*) || ' of ' || (SELECT count(*) FROM consumers) FROM outbox_unread";
const DEBIAN_GO_PATH: &str = "/usr/share/gocode";

fn example(name: &str) -> String {
    format!("{EXAMPLES}/{name}")
}

/// One order from its invoice to the end of the bot.
async fn sell(shop: &Shop, command: &[&str], external_id: &str) -> Vec<String> {
    let bot = Bot::start(shop, command, &[external_id]);
    let has_link = format!(
        "SELECT count(*) FROM invoices WHERE external_id = '{external_id}' AND pay_link > ''"
    );
    shop.until(&has_link, "1").await;
    shop.world
        .pay(external_id, &SimulatedPayment::default())
        .unwrap();
    bot.ends().await
}

/// What every recipe keeps. `eggs` asks how many eggs the customer has.
async fn credits_once(command: &[&str], in_payrecond: bool, eggs: &str) {
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    let bank = if in_payrecond {
        shop.database()
    } else {
        shop.folder.path().join("shop.db")
    };

    let lines = sell(&shop, command, "ORD-1").await;
    let tells = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(tells("pay here: https://"), "{lines:?}");
    assert!(tells("payment.paid ORD-1"), "{lines:?}");
    assert!(tells("credited ORD-1"), "{lines:?}");
    assert_eq!(ask(&bank, eggs).await, "6");
    assert_eq!(shop.ask(ALL_ACKNOWLEDGED).await, "0 of 1");

    // Started again, it finds its work done.
    let again = Bot::start(&shop, command, &["ORD-1"]).ends().await;
    assert_eq!(again, ["credited ORD-1"].map(str::to_owned).as_slice());

    // As after a death between credit and acknowledgement: every event comes once more.
    shop.execute("DELETE FROM consumers").await;
    let lines = sell(&shop, command, "ORD-2").await;
    assert!(
        lines.contains(&"payment.paid ORD-1".to_owned()),
        "{lines:?}"
    );
    assert_eq!(ask(&bank, eggs).await, "12");
    assert_eq!(shop.ask(ALL_ACKNOWLEDGED).await, "0 of 1");
}

const EGGS: &str = "SELECT eggs FROM customers WHERE id = '42'";

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_recipe_credits_once() {
    if is_here("sqlite3", &["sqlite3", "-version"]).await {
        let eggs = "SELECT eggs FROM shop_customers WHERE id = '42'";
        credits_once(&["sh", &example("bot.sh")], true, eggs).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_recipe_credits_once() {
    let script = example("bot.mjs");
    for flags in [&[][..], &["--experimental-sqlite"]] {
        let probe = [&["node"], flags, &["-e", "require('node:sqlite')"]].concat();
        if works(&probe).await {
            let command = [&["node"], flags, &[&*script]].concat();
            return credits_once(&command, false, EGGS).await;
        }
    }
    skipped("node with node:sqlite (22.5 or newer)");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlalchemy_recipe_credits_once_from_sqlite_too() {
    let python = super::on_postgres::python();
    if works(&[&python, "-c", "import sqlalchemy"]).await {
        let script = example("postgres/bot_sqlalchemy.py");
        let eggs = "SELECT eggs FROM shop_customers WHERE id = '42'";
        credits_once(&[&python, &script], true, eggs).await;
    } else {
        skipped("SQLAlchemy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_php_recipe_credits_once() {
    let probe = "exit(PHP_VERSION_ID >= 80100 && extension_loaded('pdo_sqlite') ? 0 : 1);";
    if works(&["php", "-r", probe]).await {
        credits_once(&["php", &example("bot.php")], false, EGGS).await;
    } else {
        skipped("php 8.1 with pdo_sqlite");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_recipe_credits_once() {
    let folder = tempfile::tempdir().unwrap();
    match build_go(folder.path()).await {
        Some(program) => credits_once(&[program.to_str().unwrap()], false, EGGS).await,
        None => skipped("go with github.com/mattn/go-sqlite3"),
    }
}

/// The Go recipe as a program, if its module is on this machine: in Go's cache or as Debian's package.
/// A test fetches nothing. What can be built must build.
async fn build_go(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("bot");
    let mut go = Command::new("go");
    go.current_dir(example("go"));
    let cached = Command::new("go")
        .args(["mod", "download"])
        .current_dir(example("go"))
        .env("GOPROXY", "off")
        .stderr(Stdio::null())
        .status()
        .await;
    if cached.ok()?.success() {
        go.env("GOPROXY", "off");
    } else if Path::new(DEBIAN_GO_PATH)
        .join("src/github.com/mattn/go-sqlite3")
        .exists()
    {
        go.env("GO111MODULE", "off").env("GOPATH", DEBIAN_GO_PATH);
    } else {
        return None;
    }
    let built = go.args(["build", "-o"]).arg(&program).arg(".").status();
    assert!(built.await.unwrap().success());
    Some(program)
}

const CREDITS: &str = "SELECT count(*) FROM credits";

#[tokio::test(flavor = "multi_thread")]
async fn the_python_recipe_credits_a_payment_once_and_acknowledges_it() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let bank = shop.folder.path().join("shop.db");
    let _daemon = daemon(&shop);
    let script = example("bot.py");
    let command = ["python3", &*script];

    let lines = sell(&shop, &command, "ORD-1").await;
    let has_link = lines.iter().any(|line| line.contains("https://"));
    assert!(has_link, "{lines:?}");
    assert_eq!(ask(&bank, CREDITS).await, "1");
    assert_eq!(shop.ask(ALL_ACKNOWLEDGED).await, "0 of 1");

    let again = Bot::start(&shop, &command, &["ORD-1"]).ends().await;
    assert_eq!(again, ["ORD-1 is credited"]);

    shop.execute("DELETE FROM consumers").await;
    let lines = sell(&shop, &command, "ORD-2").await;
    assert!(lines.iter().any(|line| line.contains("ORD-1")), "{lines:?}");
    assert_eq!(ask(&bank, CREDITS).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_recipe_follows_an_order_that_is_there() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    let order = NewOrder::simple("ORD-2", "1.00", "USD");
    let id = shop.world.create(&order).unwrap().order.id;
    let bot = Bot::start(
        &shop,
        &["python3", &example("bot.py")],
        &["ORD-2", "walletpay", &id],
    );
    shop.until("SELECT status FROM invoices", "pending").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let lines = bot.ends().await;
    assert!(lines[0].starts_with("payment.paid ORD-2"), "{lines:?}");
    let bank = shop.folder.path().join("shop.db");
    assert_eq!(ask(&bank, CREDITS).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_recipe_ends_with_the_reason_of_a_rejected_order() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    // Options that no order can be made with.
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description, options)
         VALUES ('ORD-1', '1.00', 'USD', 'Six eggs', '{\"customerTelegramUserId\": \"nobody\"}')",
    )
    .await;
    shop.until("SELECT status FROM invoices", "rejected").await;
    let ended = Command::new("python3")
        .args([&*example("bot.py"), "payrecond.db", "ORD-1"])
        .current_dir(shop.folder.path())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{words}");
    assert!(words.starts_with("ORD-1 is rejected: "), "{words}");
}

/// What one invoice asks for, as its recipe inserted it.
async fn bill(shop: &Shop, provider: SimulatedProvider, external_id: &str) -> Bill {
    let price = format!("SELECT amount FROM invoices WHERE external_id = '{external_id}'");
    Bill {
        provider,
        external_id: external_id.into(),
        price: shop.ask(&price).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_recipe_sells_at_every_provider() {
    if !python_is_here().await {
        return;
    }
    for provider in SimulatedProvider::ALL {
        let shop = shop_at(*provider).await;
        let _daemon = daemon_at(&shop, *provider);
        let script = example("bot.py");
        let bot = Bot::start(&shop, &["python3", &script], &["ORD-1", provider.name()]);
        shop.until("SELECT count(*) FROM invoices WHERE pay_link > ''", "1")
            .await;
        let bill = bill(&shop, *provider, "ORD-1").await;
        shop.world.pay_bill(&bill, BillPayment::Whole).unwrap();
        let lines = bot.ends().await;
        let is_paid = lines
            .iter()
            .any(|line| line.starts_with("payment.paid ORD-1"));
        assert!(is_paid, "{provider}: {lines:?}");
        let bank = shop.folder.path().join("shop.db");
        assert_eq!(ask(&bank, CREDITS).await, "1", "{provider}");
    }
}
