//! Killed at arbitrary moments and started again.

use std::time::Duration;

use payrecond::sandbox::{Fault, FaultKind, Operation, SimulatedPayment};

use super::laws;
use super::program::{self, Program};
use crate::shop::Shop;

/// Overridden by `PAYRECOND_KILLS`.
const KILLS: usize = 40;
/// New invoices in each run; half need an order to be created, half have one.
const INVOICES_A_LIFE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_nothing_is_lost_or_recorded_twice() {
    let shop = Shop::open().await;
    // Answers are lost too, so that creations are repeated.
    let lost = Fault::new(FaultKind::Reset).on(Operation::Create);
    shop.world.set_faults(vec![lost.with_probability(0.2)]);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut runs = Vec::new();
    let kills = program::times("PAYRECOND_KILLS", KILLS);
    let mut ready_after = Vec::new();
    for life in 0..kills {
        let started = tokio::time::Instant::now();
        let program = Program::ready(&shop).await;
        ready_after.push(started.elapsed());
        for n in 0..INVOICES_A_LIFE {
            let external_id = format!("ORD-{life}-{n}");
            if n % 2 == 0 {
                shop.drop_in(&external_id).await;
            } else {
                request(&shop, &external_id).await;
            }
        }
        end_some_orders(&shop, &mut rng);
        tokio::time::sleep(Duration::from_micros(rng.u64(0..120_000))).await;
        runs.push(program.kill().await);
    }
    ready_after.sort_unstable();
    let part = |percent: usize| ready_after[(kills - 1) * percent / 100];
    let (p50, p99, longest) = (part(50), part(99), part(100));
    println!("ready after {p50:?} (p50), {p99:?} (p99), {longest:?} (longest)");
    shop.answer_again();
    let unharmed = Program::ready(&shop).await;
    shop.until(
        "SELECT count(*) FROM invoices WHERE status = 'requested'",
        "0",
    )
    .await;
    end_some_orders(&shop, &mut rng);
    let truth = |status| {
        let orders = shop.world.orders();
        orders
            .iter()
            .filter(|order| order.state == status)
            .count()
            .to_string()
    };
    for (status, row) in [
        (payrecond::sandbox::OrderTruth::Paid, "paid"),
        (payrecond::sandbox::OrderTruth::Expired, "expired"),
        (payrecond::sandbox::OrderTruth::Cancelled, "cancelled"),
    ] {
        let count = format!("SELECT count(*) FROM invoices WHERE status = '{row}'");
        shop.until(&count, &truth(status)).await;
    }
    all_delivered(&shop).await;
    runs.push(unharmed.stop().await);
    laws::hold(&shop, &runs).await;
    let orders = shop.world.orders().len();
    let invoices = kills * INVOICES_A_LIFE;
    assert_eq!(orders, invoices, "no order was made twice, none is missing");
}

pub async fn request(shop: &Shop, external_id: &str) {
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, amount, currency, description, options)
         VALUES ('{external_id}', '1.50', 'USD', 'Six eggs', '{{\"customerTelegramUserId\": 42}}')"
    ))
    .await;
}

/// Waits until stdout has taken every event.
pub async fn all_delivered(shop: &Shop) {
    let behind = "SELECT count(*) FROM outbox_unread WHERE consumer = 'stdout'";
    shop.until(behind, "0").await;
}

fn end_some_orders(shop: &Shop, rng: &mut fastrand::Rng) {
    for order in shop.world.orders() {
        if order.state != payrecond::sandbox::OrderTruth::Open {
            continue;
        }
        let id = order.id;
        match rng.u32(0..6) {
            0..=2 => drop(shop.world.pay(&id, &SimulatedPayment::default())),
            3 => drop(shop.world.expire(&id, false)),
            4 => drop(shop.world.cancel(&id, false)),
            _ => {}
        }
    }
}
