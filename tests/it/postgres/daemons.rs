//! Daemons as they ship, on one database: alone, killed, stopped, paused for longer than their leases.

use payrecond::sandbox::SimulatedPayment;

use super::shop::{ACCOUNTS, ServerShop, signal, stopped};
use crate::until::eventually;

async fn commands_work_beside_a_daemon(shop: &ServerShop) {
    let added = shop
        .run(&[
            "add",
            "--account",
            "a",
            "--external-id",
            "ORD-1",
            "--amount",
            "1.00",
            "--currency",
            "USD",
            "--description",
            "Six eggs",
            "--options",
            r#"{"customerTelegramUserId": 42}"#,
            "--json",
        ])
        .await;
    assert!(added.contains("ORD-1"), "{added}");
    shop.until(
        "SELECT status FROM invoices WHERE external_id = 'ORD-1'",
        "pending",
    )
    .await;
    assert!(
        shop.run(&["show", "ORD-1", "--json"])
            .await
            .contains("pending")
    );
    assert!(shop.run(&["why", "ORD-1"]).await.contains("pending"));
    shop.run(&["nudge", "ORD-1"]).await;
    assert!(
        shop.run(&["list", "--status", "paid"])
            .await
            .contains("first-a")
    );
    let stats = shop.run(&["stats", "--json"]).await;
    assert!(
        stats.contains(r#""owner":"only""#) || stats.contains(r#""owner": "only""#),
        "{stats}"
    );
    let feed = shop
        .run(&["feed", "--consumer", "bot", "--format", "jsonl"])
        .await;
    assert_eq!(feed.lines().count(), ACCOUNTS.len() + 1, "{feed}");
    shop.until("SELECT acked_seq FROM consumers WHERE name = 'bot'", "5")
        .await;
    let check = shop.run(&["check"]).await;
    assert!(check.contains("intact and writable"), "{check}");
    for arguments in [["backup", "copy.db"], ["restore", "copy.db"]] {
        let output = shop.command(&arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("pg_dump") || error.contains("pg_restore"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_daemon_polls_and_every_command_works_beside_it() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("only");
    shop.pay_in_each("first").await;
    shop.until_paid(ACCOUNTS.len()).await;
    commands_work_beside_a_daemon(&shop).await;
    stopped(daemon).await;
    shop.until(
        "SELECT count(*) FROM leases WHERE owner IS NOT NULL AND name NOT LIKE 'consumer:%'",
        "0",
    )
    .await;
    shop.pay_in_each("second").await;
    shop.run(&["run", "--once"]).await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_share_the_accounts_and_take_over_from_one_that_is_killed_or_stopped() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let one = shop.daemon("one");
    let all = "SELECT count(*) FROM leases WHERE owner = 'one'";
    shop.until(all, &(ACCOUNTS.len() + 1).to_string()).await;
    let mut two = shop.daemon("two");
    eventually(async || (shop.accounts_of("two").await == "2").then_some(())).await;
    shop.pay_in_each("both").await;
    shop.until_paid(ACCOUNTS.len()).await;
    two.kill().await.unwrap();
    shop.pay_in_each("killed").await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
    eventually(async || (shop.accounts_of("one").await == "4").then_some(())).await;
    let three = shop.daemon("three");
    eventually(async || (shop.accounts_of("three").await == "2").then_some(())).await;
    stopped(one).await;
    shop.pay_in_each("stopped").await;
    shop.until_paid(3 * ACCOUNTS.len()).await;
    stopped(three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_paused_for_longer_than_its_leases_tells_nothing_twice() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let one = shop.daemon("one");
    let all = "SELECT count(*) FROM leases WHERE owner = 'one'";
    shop.until(all, &(ACCOUNTS.len() + 1).to_string()).await;
    let mut ids = Vec::new();
    for account in ACCOUNTS {
        ids.push(shop.drop_in(account, account).await);
    }
    shop.until("SELECT min(polls) > 0 FROM invoices", "true")
        .await;
    signal(&one, "STOP");
    let two = shop.daemon("two");
    for id in &ids {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    shop.until_paid(ACCOUNTS.len()).await;
    assert_eq!(shop.accounts_of("two").await, "4", "all were taken over");
    signal(&one, "CONT");
    // Awake again it gets its share, by leases of its own.
    eventually(async || (shop.accounts_of("one").await == "2").then_some(())).await;
    shop.pay_in_each("later").await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
    for daemon in [one, two] {
        stopped(daemon).await;
    }
}
