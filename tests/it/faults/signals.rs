//! Signals, and notifications to a service manager.

use std::process::Stdio;
use std::time::Duration;

use payrecond::sandbox::{Fault, FaultKind, Operation, SimulatedPayment};

use super::kill::{all_delivered, request};
use super::laws;
use super::program::{self, Program, Stdout};
use crate::shop::Shop;

/// Runs that are ended by two signals.
const TOLD_TWICE: usize = 10;

#[tokio::test]
async fn the_service_manager_gets_the_status() {
    let shop = Shop::open().await;
    let mut command = program::command(&shop);
    command.env("WATCHDOG_USEC", "200000");
    let mut program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
    for words in ["READY=1", "STATUS=default: polling", "WATCHDOG=1"] {
        program.notified.until(words).await;
    }
    // Repeatedly, not once.
    for _ in 0..3 {
        program.notified.messages.clear();
        program.notified.until("WATCHDOG=1").await;
    }
    program.signal("TERM").await;
    program.notified.until("STOPPING=1").await;
    let left = program.ended().await;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
}

/// Its socket takes some messages and then blocks the sender.
#[tokio::test]
async fn a_service_manager_that_does_not_read_delays_nothing() {
    let shop = Shop::open().await;
    let mut command = program::command(&shop);
    command.env("WATCHDOG_USEC", "200000");
    let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped())
        .until_ready()
        .await;
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"X=1", program.notified.path()).is_ok() {}
    let id = shop.drop_in("ORD-1").await;
    // Several times the pause between two messages.
    let polls = shop.asked(Operation::Preview);
    shop.until_asked(Operation::Preview, polls + 20).await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    laws::hold(&shop, &[left]).await;
}

#[tokio::test]
async fn a_long_interval_does_not_stop_watchdog_pings() {
    let mut shop = Shop::open().await;
    shop.settings = "[polling]\nintake_interval = \"1m\"\n".into();
    let mut command = program::command(&shop);
    command.env("WATCHDOG_USEC", "24000000");
    let mut program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped())
        .until_ready()
        .await;
    program.notified.messages.clear();
    // A task that is silent for half of the limit counts as stalled: at the third poll none may be.
    for _ in 0..3 {
        program.notified.messages.clear();
        program.notified.until("WATCHDOG=1").await;
    }
    let left = program.stop().await;
    assert!(!left.stderr.contains("task stalled"), "{}", left.stderr);
}

#[tokio::test]
async fn requests_in_flight_are_finished_before_the_exit() {
    let mut shop = Shop::open().await;
    // The answer takes a second or two; one byte at a time is too slow for the default.
    shop.settings += "intake_interval = \"1m\"\n";
    shop.settings = shop
        .settings
        .replacen("intake_interval = \"50ms\"\n", "", 1);
    for n in 0..10 {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        request(&shop, &format!("NEW-{n}")).await;
    }
    let program = Program::start(&shop, Stdout::Read);
    let asked = async {
        while shop.world.stats().requests[&Operation::Preview] == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, asked).await.unwrap();
    let first = program.stop().await;
    let under_way =
        "SELECT count(*) FROM invoices WHERE status = 'requested' AND create_sent_at IS NOT NULL";
    let unfinished: usize = shop.ask(under_way).await.parse().unwrap();
    let made = shop.world.stats().requests[&Operation::Create];
    let known: u64 = shop
        .ask("SELECT count(*) FROM invoices WHERE external_id LIKE 'NEW%' AND order_id IS NOT NULL")
        .await
        .parse()
        .unwrap();
    assert_eq!(
        known, made,
        "each order that was made is known; {unfinished} wait"
    );
    let program = Program::ready(&shop).await;
    shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "10")
        .await;
    shop.until(
        "SELECT count(*) FROM invoices WHERE status = 'requested'",
        "0",
    )
    .await;
    all_delivered(&shop).await;
    let second = program.stop().await;
    laws::hold(&shop, &[first, second]).await;
}

/// A provider that never answers, and a time-out far longer than the limit of the stop.
#[tokio::test]
async fn a_silent_provider_does_not_delay_the_stop() {
    let mut shop = Shop::open().await;
    shop.settings =
        "[polling]\nintake_interval = \"1m\"\n[http]\nrequest_timeout = \"5m\"\n".into();
    shop.world.set_faults(vec![Fault::new(FaultKind::Timeout)]);
    shop.drop_in("ORD-1").await;
    let program = Program::ready(&shop).await;
    let asked = async {
        while shop.world.stats().in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, asked).await.unwrap();
    let left = program.stop().await;
    assert!(
        left.stderr.contains("are repeated after the next start"),
        "{}",
        left.stderr
    );
    laws::hold(&shop, &[left]).await;
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    let mut shop = Shop::open().await;
    shop.settings += "[http]\nrequest_timeout = \"5m\"\n";
    shop.world.set_faults(vec![Fault::new(FaultKind::Timeout)]);
    shop.drop_in("ORD-1").await;
    let mut program = Program::ready(&shop).await;
    while shop.world.stats().in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    program.signal("INT").await;
    program.notified.until("STOPPING=1").await;
    program.signal("TERM").await;
    // A stop that finishes requests in flight would exit with 0.
    assert_eq!(program.ended().await.code, Some(1));
}

/// Stopped, and stopped again before it has ended, at any moment of its work.
#[tokio::test]
async fn two_signals_at_any_moment_lose_nothing() {
    let shop = Shop::open().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut runs, mut at_once) = (Vec::new(), 0);
    for life in 0..TOLD_TWICE {
        let program = Program::ready(&shop).await;
        for n in 0..2 {
            let id = shop.drop_in(&format!("ORD-{life}-{n}")).await;
            shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
            request(&shop, &format!("NEW-{life}-{n}")).await;
        }
        tokio::time::sleep(Duration::from_micros(rng.u64(0..60_000))).await;
        program.signal("TERM").await;
        tokio::time::sleep(Duration::from_micros(rng.u64(0..5_000))).await;
        // It may have ended by then, and waits to be reaped.
        program.signal("INT").await;
        let left = program.ended().await;
        assert!(matches!(left.code, Some(0 | 1)), "{:?}", left.code);
        at_once += u32::from(left.code == Some(1));
        runs.push(left);
    }
    println!("{at_once} of {TOLD_TWICE} ended at once");
    let program = Program::ready(&shop).await;
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, &(TOLD_TWICE * 2).to_string()).await;
    let requested = "SELECT count(*) FROM invoices WHERE status = 'requested'";
    shop.until(requested, "0").await;
    all_delivered(&shop).await;
    runs.push(program.stop().await);
    laws::hold(&shop, &runs).await;
    assert_eq!(shop.world.orders().len(), TOLD_TWICE * 4, "made twice");
}
