//! The consumer that the documentation shows credits each payment once, also when it is killed.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::server::NatsServer;
use crate::shop::{Shop, ask};
use crate::until::eventually;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/credit_from_nats.py");

fn start(server: &NatsServer, bank: &Path) -> Child {
    Command::new("python3")
        .arg(EXAMPLE)
        .arg(server.url())
        .arg(bank)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn until_credited(bank: &Path, count: u32) {
    eventually(async || {
        if !bank.exists() {
            return None;
        }
        let sql = "SELECT (SELECT count(*) FROM sqlite_master WHERE name = 'credits')";
        if ask(bank, sql).await == "0" {
            return None;
        }
        let credits = ask(bank, "SELECT count(*) FROM credits").await;
        (credits.parse::<u32>().unwrap() >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_credits_each_payment_once() {
    let python = ["-c", "import nats, sqlite3"];
    let found = Command::new("python3").args(python).output().await;
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Python with nats-py here");
        return;
    }
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("A-", 300).await;
    let publisher = shop.start_publisher();
    let bank = shop.folder.path().join("shop.db");
    let mut consumer = start(&server, &bank);
    until_credited(&bank, 20).await;
    consumer.kill().await.unwrap();
    shop.record_payments("B-", 50).await;
    let _consumer = start(&server, &bank);
    until_credited(&bank, 350).await;
    publisher.stop().await;
    assert_eq!(ask(&bank, "SELECT count(*) FROM credits").await, "350");
}
