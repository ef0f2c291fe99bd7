//! The watchdog is pinged as long as tasks make progress: one stalled task stops the pings, waiting
//! does not.

use std::process::Stdio;
use std::time::Duration;

use payrecond::sandbox::{Operation, SimulatedPayment};

use super::program::{self, Program, Stdout};
use super::shim::{self, Rule};
use crate::free_port::free_port;
use crate::shop::Shop;

/// Half of it is the limit for a task, a quarter the pause between two pings.
const SHORT: Duration = Duration::from_secs(8);
/// Half of it is longer than any task sleeps or waits for the database.
const LONG: Duration = Duration::from_secs(24);

fn watched(command: &mut tokio::process::Command, limit: Duration) {
    command.env("WATCHDOG_USEC", limit.as_micros().to_string());
}

fn spawn(shop: &Shop, command: tokio::process::Command) -> Program {
    Program::spawn(shop, command, Stdout::Read, Stdio::piped())
}

/// Pinged before; now `duty` hangs, and the pings stop.
async fn starves(program: &mut Program, duty: &str) {
    program.until_said("withholding watchdog ping").await;
    assert!(program.said().contains(duty), "{}", program.said());
    // Messages from before.
    program.notified.received_within(SHORT / 8).await;
    let shown = program.notified.received_within(LONG / 2).await;
    assert!(!shown.iter().any(|line| line == "WATCHDOG=1"), "{shown:?}");
}

/// Pinged repeatedly, for longer than the limit.
async fn is_fed(program: &mut Program) {
    for _ in 0..4 {
        program.notified.messages.clear();
        program.notified.until("WATCHDOG=1").await;
    }
    assert!(
        !program.said().contains("withholding watchdog ping"),
        "{}",
        program.said()
    );
}

#[tokio::test]
async fn a_hanging_poller_stops_the_watchdog_pings() {
    let mut shop = Shop::open().await;
    let key = shop.folder.path().join("other.key");
    std::fs::write(&key, "other-key-9876543210").unwrap();
    let name = key.display().to_string();
    shop.configure(&format!(
        "[[account]]\nname = \"other\"\nbase_url = {:?}\napi_key_file = {name:?}\n",
        shop.base_url
    ));
    shop.drop_in("ORD-1").await;
    let mut command = program::command(&shop);
    watched(&mut command, SHORT);
    let mut program = spawn(&shop, command);
    program.notified.until("WATCHDOG=1").await;
    // A pipe without a writer: reading the key again blocks.
    std::fs::remove_file(&key).unwrap();
    let made = tokio::process::Command::new("mkfifo").arg(&key).status();
    assert!(made.await.unwrap().success());
    program.signal("HUP").await;
    starves(&mut program, "poll other").await;
    assert!(!program.said().contains("poll default"));
    // The other tasks continue: only one hangs.
    let asked = shop.asked(Operation::Preview);
    shop.until_asked(Operation::Preview, asked + 3).await;
    program.kill().await;
}

#[tokio::test]
async fn a_hanging_write_stops_the_watchdog_pings() {
    if shim::library().is_none() {
        return;
    }
    let shop = Shop::open().await;
    let healed = shop.folder.path().join("healed");
    std::fs::write(&healed, "").unwrap();
    let mut command = program::command(&shop);
    // Tasks that wait for the writer give up after 5 s and continue: their pings never stop.
    watched(&mut command, LONG);
    let never_ends = Rule {
        call: "sync",
        file: "*",
        then: "hang",
        nth: 1,
        times: 0,
    };
    never_ends.onto(&mut command, &healed);
    let mut program = spawn(&shop, command);
    program.notified.until("WATCHDOG=1").await;
    let id = shop.drop_in("ORD-1").await;
    std::fs::remove_file(&healed).unwrap();
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    starves(&mut program, "writer").await;
    // The write continues after all: everything is written.
    std::fs::write(&healed, "").unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    program.notified.messages.clear();
    program.notified.until("WATCHDOG=1").await;
    program.stop().await;
}

#[tokio::test]
async fn an_unreachable_provider_does_not_stop_watchdog_pings() {
    let mut shop = Shop::open().await;
    shop.base_url = format!("http://127.0.0.1:{}", free_port());
    for n in 0..10 {
        shop.drop_in(&format!("ORD-{n}")).await;
    }
    let mut command = program::command(&shop);
    watched(&mut command, LONG);
    let mut program = spawn(&shop, command);
    shop.until("SELECT state FROM accounts", "paused").await;
    is_fed(&mut program).await;
    program.stop().await;
}

/// Each task of each account waits for the lock in turn, each for the whole time-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_database_lock_does_not_stop_watchdog_pings() {
    let mut shop = Shop::open().await;
    let stores = ["one", "two", "three", "four"];
    for name in stores {
        let account = format!(
            "[[account]]\nname = {name:?}\nbase_url = {:?}\nstrategy = \"preview\"\n",
            shop.base_url
        );
        shop.configure(&account);
    }
    let mut command = program::command(&shop);
    for name in stores {
        let key = format!("PAYRECOND_API_KEY_{}", name.to_uppercase());
        command.env(key, "other-key-9876543210");
    }
    watched(&mut command, LONG);
    let id = shop.drop_in("ORD-1").await;
    for name in stores {
        shop.execute(&format!(
            "INSERT INTO invoices (account, external_id, order_id) VALUES ('{name}', '{name}', '{id}')"
        ))
        .await;
    }
    let mut program = spawn(&shop, command);
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    let mut holder = shop.connect().await;
    let begin = sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await;
    begin.unwrap();
    program.until_said("database unavailable; retrying").await;
    is_fed(&mut program).await;
    sqlx::Connection::close(holder).await.unwrap();
    program.until_said("database available again").await;
    program.stop().await;
}
