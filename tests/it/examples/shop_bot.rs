//! `examples/shop`: the whole payment module of a bot, through deaths, repeats and bad ends.

use std::collections::BTreeSet;
use std::path::PathBuf;

use payrecond::sandbox::{Bill, BillPayment, NewOrder, SimulatedPayment, SimulatedProvider};

use super::{Bot, EXAMPLES, ask, daemon, daemon_at, python_is_here, shop_at, until};
use crate::shop::Shop;

fn start(shop: &Shop) -> Bot {
    let script = format!("{EXAMPLES}/shop/bot.py");
    Bot::start(shop, &["python3", &script], &["eggs.db"])
}

fn bank(shop: &Shop) -> PathBuf {
    shop.folder.path().join("eggs.db")
}

async fn eggs(shop: &Shop) -> String {
    ask(&bank(shop), "SELECT sum(eggs) FROM customers").await
}

/// Types an order in and waits for its link.
async fn buy(bot: &mut Bot, message: u32, eggs: u32) {
    bot.type_in(&format!("42 {message} /buy {eggs}")).await;
    let line = bot.line().await;
    // The sandbox's own quickpay page has no TLS.
    let expected = format!("to 42: EGGS-42-{message}: pay here: http");
    assert!(line.starts_with(&expected), "{line}");
}

fn pay(shop: &Shop, external_id: &str) {
    shop.world
        .pay(external_id, &SimulatedPayment::default())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_bot_credits_what_was_paid_while_it_was_dead_and_no_repeated_event() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    let mut bot = start(&shop);
    buy(&mut bot, 1, 6).await;
    bot.kill().await;
    pay(&shop, "EGGS-42-1");
    shop.until("SELECT status FROM invoices", "paid").await;

    let mut bot = start(&shop);
    assert_eq!(bot.line().await, "to 42: EGGS-42-1: 1.20 USD paid");
    assert_eq!(eggs(&shop).await, "6");
    // Killed before it has noted what it told, it would rightly tell it again.
    let untold = "SELECT count(*) FROM orders WHERE told < news";
    until(&bank(&shop), untold, "0").await;
    bot.kill().await;

    // Every event once more. The next thing said is about the next order.
    shop.execute("DELETE FROM consumers").await;
    let mut bot = start(&shop);
    shop.until(
        "SELECT acked_seq = (SELECT max(seq) FROM outbox) FROM consumers WHERE name = 'shop'",
        "1",
    )
    .await;
    buy(&mut bot, 2, 4).await;
    pay(&shop, "EGGS-42-2");
    assert_eq!(bot.line().await, "to 42: EGGS-42-2: 0.80 USD paid");
    assert_eq!(eggs(&shop).await, "10");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_bot_takes_a_message_that_comes_twice_as_one_order() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    let mut bot = start(&shop);
    buy(&mut bot, 1, 6).await;
    buy(&mut bot, 1, 6).await;
    assert_eq!(shop.ask("SELECT count(*) FROM invoices").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_bot_gives_a_link_that_came_while_it_was_dead() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let mut bot = start(&shop);
    bot.type_in("42 1 /buy 6").await;
    shop.until("SELECT status FROM invoices", "requested").await;
    bot.kill().await;
    let _daemon = daemon(&shop);
    shop.until("SELECT status FROM invoices", "pending").await;

    let mut bot = start(&shop);
    let line = bot.line().await;
    let expected = "to 42: EGGS-42-1: pay here: https://";
    assert!(line.starts_with(expected), "{line}");
    pay(&shop, "EGGS-42-1");
    assert_eq!(bot.line().await, "to 42: EGGS-42-1: 1.20 USD paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_bot_drops_in_again_what_the_database_does_not_know() {
    if !python_is_here().await {
        return;
    }
    let before = Shop::open().await;
    let mut bot = start(&before);
    bot.type_in("42 1 /buy 6").await;
    before
        .until("SELECT status FROM invoices", "requested")
        .await;
    bot.kill().await;

    // As after a death just before the INSERT, or with an older copy put back.
    let shop = Shop::open().await;
    std::fs::copy(bank(&before), bank(&shop)).unwrap();
    let _daemon = daemon(&shop);
    let mut bot = start(&shop);
    let line = bot.line().await;
    assert!(line.starts_with("to 42: EGGS-42-1: pay here: "), "{line}");
    pay(&shop, "EGGS-42-1");
    assert_eq!(bot.line().await, "to 42: EGGS-42-1: 1.20 USD paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_bot_tells_every_other_end_and_credits_a_late_payment() {
    if !python_is_here().await {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    let mut bot = start(&shop);
    buy(&mut bot, 1, 6).await;
    buy(&mut bot, 2, 6).await;
    shop.world.expire("EGGS-42-1", false).unwrap();
    shop.world.cancel("EGGS-42-2", false).unwrap();
    let told = BTreeSet::from([bot.line().await, bot.line().await]);
    let expected = ["to 42: EGGS-42-1: expired", "to 42: EGGS-42-2: cancelled"];
    assert_eq!(told, expected.map(str::to_owned).into());

    // More than the provider takes for one order.
    bot.type_in(&format!("42 3 /buy {}", u64::MAX)).await;
    assert_eq!(bot.line().await, "to 42: EGGS-42-3: rejected");

    // Somebody has used the id for another order.
    let other = NewOrder::simple("EGGS-42-4", "9.00", "USD");
    shop.world.create(&other).unwrap();
    bot.type_in("42 4 /buy 6").await;
    assert_eq!(
        bot.line().await,
        "to operator: EGGS-42-4: review: create_conflict"
    );

    pay(&shop, "EGGS-42-1");
    shop.execute("UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'EGGS-42-1'")
        .await;
    assert_eq!(
        bot.line().await,
        "to 42: EGGS-42-1: 1.20 USD paid, late but welcome"
    );
    assert_eq!(eggs(&shop).await, "6");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_bot_sells_at_every_provider() {
    if !python_is_here().await {
        return;
    }
    for provider in SimulatedProvider::ALL {
        let shop = shop_at(*provider).await;
        let _daemon = daemon_at(&shop, *provider);
        let script = format!("{EXAMPLES}/shop/bot.py");
        let arguments = ["eggs.db", provider.name()];
        let mut bot = Bot::start(&shop, &["python3", &script], &arguments);
        buy(&mut bot, 1, 6).await;
        let amount = shop.ask("SELECT amount FROM invoices").await;
        let bill = Bill {
            provider: *provider,
            external_id: "EGGS-42-1".into(),
            price: amount.clone(),
        };
        shop.world.pay_bill(&bill, BillPayment::Whole).unwrap();
        let currency = shop.world.sample(*provider).unwrap().currency;
        let told = format!("to 42: EGGS-42-1: {amount} {currency} paid");
        assert_eq!(bot.line().await, told);
        assert_eq!(eggs(&shop).await, "6", "{provider}");
        bot.kill().await;
    }
}
