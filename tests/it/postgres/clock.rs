//! Daemons whose own clock is wrong: times in the database are the database's.

use std::time::Duration;

use super::server::As;
use super::shop::{ACCOUNTS, ServerShop, stopped};
use crate::faults::shim::{self, WallClock};

/// How wrong the clock of a daemon is, in seconds.
const WRONG_S: [i64; 2] = [600, -600];
/// What may pass between an insert and the answer about it on the slowest machine.
const SLOWEST: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_with_a_wrong_clock_uses_that_of_the_database() {
    if shim::library().is_none() {
        return;
    }
    for wrong_s in WRONG_S {
        let Some(shop) = ServerShop::open().await else {
            return;
        };
        let clock = WallClock::new(shop.folder.path());
        clock.set(wrong_s);
        let daemon = shop.daemon_with("wrong", |command| clock.show(command));
        shop.pay_in_each("paid").await;
        // A daemon behind would not see them due yet.
        shop.until_paid(ACCOUNTS.len()).await;
        let off = format!(
            "SELECT count(*) FROM invoices
              WHERE abs(last_polled_at - created_at) > {0} OR abs(updated_at - created_at) > {0}",
            SLOWEST.as_millis()
        );
        assert_eq!(
            shop.ask(&off).await,
            "0",
            "{wrong_s} s: times of the daemon's own clock"
        );
        let told = format!(
            "SELECT count(*) FROM outbox WHERE abs(created_at - now_ms()) > {}",
            SLOWEST.as_millis()
        );
        assert_eq!(shop.ask(&told).await, "0", "{wrong_s} s");
        // Set while it runs.
        clock.set(-wrong_s);
        shop.pay_in_each("jumped").await;
        shop.until_paid(2 * ACCOUNTS.len()).await;
        assert_eq!(shop.ask(&off).await, "0", "{wrong_s} s: after a jump");
        stopped(daemon).await;
        once(&shop, &clock, wrong_s).await;
    }
}

/// `run --once`, which has no second turn to correct itself.
async fn once(shop: &ServerShop, clock: &WallClock, wrong_s: i64) {
    clock.set(wrong_s);
    shop.pay_in_each("once").await;
    let mut command = shop.command(&["run", "--once"]);
    clock.show(&mut command);
    let output = command.output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{wrong_s} s: {error}");
    shop.until_paid(3 * ACCOUNTS.len()).await;
    let mut daemon = shop.database.connect(As::Daemon).await;
    let ahead =
        "SELECT count(*) FROM payrecond.outbox WHERE created_at > payrecond.now_ms() + 1000";
    let ahead: i64 = sqlx::query_scalar(ahead)
        .fetch_one(&mut daemon)
        .await
        .unwrap();
    assert_eq!(ahead, 0);
}
