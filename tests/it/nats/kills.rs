//! The daemon killed at every point of the publisher, and both sides at random.

use std::process::Stdio;
use std::time::Duration;

use payrecond::sandbox::SimulatedPayment;

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, forgetful};
use crate::faults::program::{self, Program, Stdout};
use crate::faults::shim::{self, Rule};
use crate::shop::Shop;

/// The points, each as call, file and moment. Only the publisher runs, so every socket is that of NATS, and
/// every write to the database is its acknowledgement.
const POINTS: &[(&str, &str, &str)] = &[
    // Before and after a message is sent.
    ("send", "socket", "kill-before"),
    ("send", "socket", "kill-after"),
    // Before and after an answer is received.
    ("recv", "socket", "kill-before"),
    ("recv", "socket", "kill-after"),
    // While the consumer acknowledges.
    ("write", "-wal", "kill-before"),
    ("write", "-wal", "kill-half"),
    ("sync", "-wal", "kill-before"),
    ("sync", "-wal", "kill-after"),
];

/// How often each point is hit, at further and further calls; `PAYRECOND_KILL_POINTS` says another number.
const TIMES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_killed_at_any_point_leaves_a_stream_equal_to_the_outbox() {
    if shim::library().is_none() {
        return;
    }
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let times = program::times("PAYRECOND_KILL_POINTS", TIMES);
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let healed = shop.folder.path().join("healed");
    let mut events = 0;
    for &(call, file, then) in POINTS {
        let mut hits = 0;
        for time in 0..times {
            shop.record_payments(&format!("{call}-{then}-{file}-{time}-"), 400)
                .await;
            events += 400;
            let rule = Rule {
                call,
                file,
                then,
                nth: u32::try_from(1 + 4 * time).unwrap(),
                times: 1,
            };
            program::write_config(&shop);
            let mut command = program::program(shop.folder.path());
            command.args(["publish", "--once"]);
            rule.onto(&mut command, &healed);
            let publisher = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
            let left = publisher.ended().await;
            assert!(!left.stderr.contains("panicked"), "{}", left.stderr);
            hits += usize::from(left.code.is_none());
        }
        println!("{call} {file} {then}: hit {hits} of {times}");
        assert!(hits > 0, "{call} {file} {then} was never hit");
    }
    let publisher = shop.start_publisher_with(&["--once"]);
    let left = publisher.ended().await;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    assert_eq!(shop.outbox().await.len(), events);
    assert_stream_is_outbox(&server, &shop).await;
}

/// Rounds of the test below; `PAYRECOND_NATS_ROUNDS` says another number.
const ROUNDS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_on_both_sides_leave_a_stream_equal_to_the_outbox() {
    let Some(mut server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let rounds = program::times("PAYRECOND_NATS_ROUNDS", ROUNDS);
    let mut daemon = Program::ready(&shop).await;
    for round in 0..rounds {
        for n in 0..rng.usize(1..6) {
            let id = shop.drop_in(&format!("ORD-{round}-{n}")).await;
            shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        }
        shop.record_payments(&format!("BULK-{round}-"), rng.usize(1..400))
            .await;
        tokio::time::sleep(Duration::from_micros(rng.u64(0..80_000))).await;
        match rng.u32(0..5) {
            0 => {
                daemon.kill().await;
                daemon = Program::ready(&shop).await;
            }
            1 => {
                server.kill();
                // Longer than the duplicate window, now and then.
                tokio::time::sleep(Duration::from_millis(rng.u64(0..300))).await;
                server.run();
            }
            2 => {
                server.signal("STOP");
                tokio::time::sleep(Duration::from_millis(rng.u64(0..300))).await;
                daemon.kill().await;
                server.signal("CONT");
                daemon = Program::ready(&shop).await;
            }
            3 => {
                server.kill();
                daemon.kill().await;
                server.run();
                daemon = Program::ready(&shop).await;
            }
            _ => {
                server.signal("STOP");
                tokio::time::sleep(Duration::from_millis(rng.u64(0..300))).await;
                server.signal("CONT");
            }
        }
    }
    shop.until("SELECT count(*) FROM invoices WHERE status <> 'paid'", "0")
        .await;
    shop.until_published().await;
    daemon.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
    println!("{rounds} rounds, {} events", shop.outbox().await.len());
}
