//! The write-ahead log left behind by a kill is cut short or has flipped bits.

use payrecond::sandbox::SimulatedPayment;

use super::kill::all_delivered;
use super::laws;
use super::program::{self, Program};
use crate::shop::Shop;

/// Overridden by `PAYRECOND_LOG_DAMAGES`.
const DAMAGES: usize = 8;
const INVOICES: usize = 10;

/// Lost data is noticed, polled again, and recorded again with the same ids.
#[tokio::test]
async fn data_lost_with_a_damaged_log_is_polled_again() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut put_back = 0;
    let damages = program::times("PAYRECOND_LOG_DAMAGES", DAMAGES);
    for n in 0..damages {
        put_back += usize::from(damaged(&mut rng, n.is_multiple_of(2)).await);
    }
    println!("{put_back} of {damages} took events");
    assert!(put_back > 0, "no damage was any");
}

/// Damages one log; returns whether events were lost.
async fn damaged(rng: &mut fastrand::Rng, is_cut: bool) -> bool {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for n in 0..INVOICES {
        ids.push(shop.drop_in(&format!("ORD-{n}")).await);
    }
    // Rows written by programs cannot be recovered, so they are checkpointed before.
    shop.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let program = Program::ready(&shop).await;
    for id in &ids {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    all_paid(&shop).await;
    let first = program.kill().await;
    let log = format!("{}-wal", shop.database().display());
    let mut bytes = std::fs::read(&log).unwrap();
    let place = rng.usize(..bytes.len());
    if is_cut {
        bytes.truncate(place);
    } else {
        bytes[place] ^= 1 << rng.u32(..8);
    }
    std::fs::write(&log, bytes).unwrap();
    // As after a crash: SQLite's shared memory is lost.
    let _ = std::fs::remove_file(format!("{}-shm", shop.database().display()));
    let program = Program::ready(&shop).await;
    all_paid(&shop).await;
    let second = program.stop().await;
    let said = laws::hold_in_the_database(&shop).await;
    assert_eq!(said.len(), INVOICES);
    // A consumer that removes duplicates by id has received each event once.
    let frames = [&first, &second].map(|left| laws::nats_frames(&left.stdout));
    let mut heard: Vec<String> = frames.into_iter().flatten().map(|(id, _)| id).collect();
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), INVOICES);
    second.stderr.contains("restored from an older copy")
}

async fn all_paid(shop: &Shop) {
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, &INVOICES.to_string()).await;
    all_delivered(shop).await;
}
