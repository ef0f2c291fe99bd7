//! Many programs write and read while the daemon works as fast as it can.

use std::time::Duration;

use payrecond::sandbox::{NewOrder, Payment};
use serde_json::{Value, json};

use super::kill::all_delivered;
use super::laws;
use super::program::{self, Program};
use crate::schema::drivers;
use crate::shop::Shop;

const PROGRAMS: usize = 8;
/// Rows a second of each; `PAYRECOND_LOAD_PER_SECOND` says another number.
const PER_SECOND: usize = 25;
/// `PAYRECOND_LOAD_SECONDS` says another number.
const SECONDS: usize = 5;
/// The log of the database may grow to this before it is folded in, and to this again while readers
/// hold it: the limit of its file is 64 MiB.
const WAL_BYTES: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_programs_beside_a_busy_daemon_are_never_turned_away() {
    if !drivers::has_python() {
        assert!(std::env::var_os("CI").is_none(), "CI needs python3");
        eprintln!("skipped: python3 is missing here");
        return;
    }
    let per_second = program::times("PAYRECOND_LOAD_PER_SECOND", PER_SECOND);
    let seconds = program::times("PAYRECOND_LOAD_SECONDS", SECONDS);
    let shop = Shop::open().await;
    let daemon = Program::ready(&shop).await;
    let count = per_second * seconds;
    let programs: Vec<_> = (0..PROGRAMS)
        .map(|n| {
            let case = json!({
                "file": shop.database(), "name": format!("bot-{n}"), "per_second": per_second,
                "orders": paid_orders(&shop, n, count), "events": count * PROGRAMS,
                "patience_s": seconds + 120,
            });
            tokio::task::spawn_blocking(move || {
                drivers::python_says(include_str!("load.py"), &case)
            })
        })
        .collect();
    let (mut largest_wal, mut largest_memory) = (0, 0);
    while programs.iter().any(|program| !program.is_finished()) {
        largest_wal = largest_wal.max(size(&shop, "-wal"));
        largest_memory = largest_memory.max(daemon.memory_kib());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for program in programs {
        let said: Value = program.await.unwrap();
        println!("{said}");
        assert_eq!(said["errors"], json!([]));
        assert_eq!(said["read"], count * PROGRAMS);
    }
    println!("-wal at most {largest_wal} bytes, memory at most {largest_memory} KiB");
    assert!(largest_wal <= WAL_BYTES, "{largest_wal}");
    all_delivered(&shop).await;
    let left = daemon.stop().await;
    assert!(!left.stderr.contains("ERROR"), "{}", left.stderr);
    laws::hold(&shop, &[left]).await;
}

fn paid_orders(shop: &Shop, program: usize, count: usize) -> Vec<(String, String)> {
    let orders = (0..count).map(|n| {
        let external_id = format!("ORD-{program}-{n}");
        let order = NewOrder::simple(&external_id, "1.00", "USD");
        let id = shop.world.create(&order).unwrap().order.id.to_string();
        shop.world.pay(&id, &Payment::default()).unwrap();
        (external_id, id)
    });
    orders.collect()
}

fn size(shop: &Shop, end: &str) -> u64 {
    let path = format!("{}{end}", shop.database().display());
    std::fs::metadata(path).map_or(0, |file| file.len())
}
