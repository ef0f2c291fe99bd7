//! The log of the database, left behind by a kill, is cut short or has bits flipped.

use payrecond::sandbox::SimulatedPayment;

use super::kill::all_delivered;
use super::laws;
use super::program::{self, Program};
use crate::shop::Shop;

/// `PAYRECOND_LOG_DAMAGES` says another number.
const DAMAGES: usize = 8;
const INVOICES: usize = 10;

/// What the damage took is noticed, asked again, and said again under the same ids.
#[tokio::test]
async fn a_damaged_log_loses_nothing_that_is_not_asked_again() {
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

/// One log; whether the damage took events.
async fn damaged(rng: &mut fastrand::Rng, is_cut: bool) -> bool {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for n in 0..INVOICES {
        ids.push(shop.drop_in(&format!("ORD-{n}")).await);
    }
    // What programs wrote is theirs to keep: it lies in the file, not in the log.
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
    // As after a crash: what SQLite keeps in shared memory is gone.
    let _ = std::fs::remove_file(format!("{}-shm", shop.database().display()));
    let program = Program::ready(&shop).await;
    all_paid(&shop).await;
    let second = program.stop().await;
    let said = laws::hold_in_the_books(&shop).await;
    assert_eq!(said.len(), INVOICES);
    // Whoever removes repeats by their ids has heard of each once.
    let frames = [&first, &second].map(|left| laws::nats_frames(&left.stdout));
    let mut heard: Vec<String> = frames.into_iter().flatten().map(|(id, _)| id).collect();
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), INVOICES);
    second.stderr.contains("put back")
}

async fn all_paid(shop: &Shop) {
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, &INVOICES.to_string()).await;
    all_delivered(shop).await;
}
