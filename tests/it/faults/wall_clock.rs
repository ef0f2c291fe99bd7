//! The wall clock jumps: during a run, and between two runs.

use std::time::Duration;

use payrecond::sandbox::{Operation, SimulatedPayment};

use tokio::time::Instant;

use super::kill::all_delivered;
use super::laws;
use super::program::Program;
use super::shim::{self, WallClock};
use crate::shop::Shop;

const HOUR_S: i64 = 3600;
/// Jumps relative to the machine's clock, one after the other: ahead, back, far ahead.
const JUMPS_S: [i64; 3] = [HOUR_S, -2 * HOUR_S, 10 * 24 * HOUR_S];
const INVOICES: usize = 6;
/// How long requests are counted after a jump.
const COUNTED: Duration = Duration::from_secs(2);
/// For one invoice: one each 100 ms as configured, one at once, and some more.
const LOOKS_A_SECOND: u64 = 12;

/// Neither a storm of requests nor a stall; then one more order is paid, and soon recorded.
async fn goes_on(shop: &Shop, jump_s: i64, ids: &[String], paid: usize) {
    let polls = || shop.asked(Operation::Preview);
    let (before, begun) = (polls(), Instant::now());
    tokio::time::sleep(COUNTED).await;
    let since = polls() - before;
    // Sleeps take longer on a busy machine, but the daemon continues.
    let passed = begun.elapsed();
    let open = u64::try_from(ids.len() - paid).unwrap();
    let at_most = open * (passed.as_secs() + 1) * LOOKS_A_SECOND;
    assert!(
        since <= at_most,
        "{jump_s} s: {since} polls of {open} in {passed:?}"
    );
    // Each open order is polled again.
    let stalled = format!(
        "SELECT count(*) FROM invoices WHERE status = 'pending' AND polls <= {}",
        shop.ask("SELECT max(polls) FROM invoices WHERE status = 'pending'")
            .await
    );
    shop.until(&stalled, "0").await;
    shop.world
        .pay(&ids[paid], &SimulatedPayment::default())
        .unwrap();
    let known = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(known, &(paid + 1).to_string()).await;
    let ended = "SELECT count(*) FROM invoices WHERE status NOT IN ('pending', 'paid')";
    assert_eq!(shop.ask(ended).await, "0", "the clock ends no invoice");
}

#[tokio::test]
async fn a_clock_jump_causes_no_request_storm_stall_or_wrong_event() {
    if shim::library().is_none() {
        return;
    }
    let shop = Shop::open().await;
    let clock = WallClock::new(shop.folder.path());
    let mut ids = Vec::new();
    for n in 0..INVOICES {
        ids.push(shop.drop_in(&format!("ORD-{n}")).await);
    }
    let mut runs = Vec::new();
    let mut program = Program::ready_by(&shop, &clock).await;
    for (paid, jump_s) in JUMPS_S.into_iter().enumerate() {
        clock.set(jump_s);
        goes_on(&shop, jump_s, &ids, paid).await;
    }
    for (n, jump_s) in JUMPS_S.into_iter().rev().enumerate() {
        runs.push(program.stop().await);
        clock.set(jump_s);
        program = Program::ready_by(&shop, &clock).await;
        if let Some(paid) = Some(JUMPS_S.len() + n).filter(|paid| *paid < INVOICES) {
            goes_on(&shop, jump_s, &ids, paid).await;
        }
    }
    all_delivered(&shop).await;
    runs.push(program.stop().await);
    laws::hold(&shop, &runs).await;
}
