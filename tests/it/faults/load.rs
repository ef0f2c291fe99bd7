//! Many programs write and read while the daemon works as fast as it can.

use std::path::Path;
use std::time::Duration;

use payrecond::domain::time::UnixMillis;
use payrecond::sandbox::{NewOrder, SimulatedPayment};
use payrecond::store::sqlite::migrate;
use serde_json::{Value, json};
use sqlx::Executor as _;
use tokio::task::JoinHandle;

use super::kill::all_delivered;
use super::laws;
use super::program::{self, Program};
use crate::schema::drivers;
use crate::shop::Shop;

const PROGRAMS: usize = 8;
/// Rows per second of each program; overridden by `PAYRECOND_LOAD_PER_SECOND`.
const PER_SECOND: usize = 10;
/// Overridden by `PAYRECOND_LOAD_SECONDS`.
const SECONDS: usize = 5;
/// The programs' own `PRAGMA synchronous`; overridden by `PAYRECOND_LOAD_SYNCHRONOUS`.
const SYNCHRONOUS: &str = "FULL";
/// Maximum size of the write-ahead log while programs write and read without a pause: from 16 MiB
/// on it starts over as soon as readers allow it.
const WAL_BYTES: u64 = 128 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_programs_beside_a_busy_daemon_never_get_busy_errors() {
    if !drivers::has_python() {
        assert!(std::env::var_os("CI").is_none(), "CI needs python3");
        eprintln!("skipped: python3 is missing here");
        return;
    }
    let load = Load::asked_for();
    if std::env::var_os("PAYRECOND_LOAD_SECONDS").is_some() {
        load.without_a_daemon().await;
    }
    let shop = Shop::open().await;
    let daemon = Program::ready(&shop).await;
    let programs = load.start(&shop.database(), load.count() * PROGRAMS, |n| {
        paid_orders(&shop, n, load.count())
    });
    let (mut largest_wal, mut largest_memory) = (0, 0);
    while programs.iter().any(|program| !program.is_finished()) {
        largest_wal = largest_wal.max(size(&shop, "-wal"));
        largest_memory = largest_memory.max(daemon.memory_kib());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for said in ended(programs, "beside the daemon").await {
        assert_eq!(said["errors"], json!([]));
        assert_eq!(said["read"], load.count() * PROGRAMS);
    }
    println!("-wal at most {largest_wal} bytes, memory at most {largest_memory} KiB");
    assert!(largest_wal <= WAL_BYTES, "{largest_wal}");
    all_delivered(&shop).await;
    let left = daemon.stop().await;
    assert!(!left.stderr.contains("ERROR"), "{}", left.stderr);
    laws::hold(&shop, &[left]).await;
}

#[tokio::test]
async fn an_open_read_transaction_is_reported_until_it_ends() {
    let shop = Shop::open().await;
    shop.drop_in("ORD-1").await;
    let mut daemon = Program::ready(&shop).await;
    let mut reader = shop.connect().await;
    reader
        .execute("BEGIN; SELECT count(*) FROM invoices")
        .await
        .unwrap();
    // More than one checkpoint copies at once, while polls of the one order continue to commit.
    shop.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
         INSERT INTO invoices (account, external_id, order_id, metadata)
         SELECT 'elsewhere', 'M-' || i, 'M-' || i, json_quote(hex(zeroblob(15000))) FROM n",
    )
    .await;
    daemon
        .until_said("open read transaction blocks checkpoints")
        .await;
    daemon
        .notified
        .until("STATUS=database: an open read transaction has blocked checkpoints")
        .await;
    reader.execute("COMMIT").await.unwrap();
    daemon.until_said("log checkpointed again").await;
    let left = daemon.stop().await;
    assert!(!left.stderr.contains("ERROR"), "{}", left.stderr);
}

/// The work of the programs.
struct Load {
    per_second: usize,
    seconds: usize,
    synchronous: String,
}

impl Load {
    fn asked_for() -> Self {
        Self {
            per_second: program::times("PAYRECOND_LOAD_PER_SECOND", PER_SECOND),
            seconds: program::times("PAYRECOND_LOAD_SECONDS", SECONDS),
            synchronous: std::env::var_os("PAYRECOND_LOAD_SYNCHRONOUS")
                .map_or(SYNCHRONOUS.to_owned(), |mode| mode.into_string().unwrap()),
        }
    }

    /// The limits of the disk and the library: the same programs without the daemon.
    async fn without_a_daemon(&self) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("alone.db");
        migrate(&database, UnixMillis(1)).await.unwrap();
        let programs = self.start(&database, 0, |program| {
            let orders = (0..self.count()).map(|n| {
                let external_id = format!("ORD-{program}-{n}");
                (external_id, format!("{program}-{n}"))
            });
            orders.collect()
        });
        for said in ended(programs, "without a daemon").await {
            println!("turned away: {}", said["errors"]);
        }
    }

    /// Number of rows of each program.
    fn count(&self) -> usize {
        self.per_second * self.seconds
    }

    /// Starts them; each inserts its share of `orders` and waits until it has read `events`.
    fn start(
        &self,
        database: &Path,
        events: usize,
        orders: impl Fn(usize) -> Vec<(String, String)>,
    ) -> Vec<JoinHandle<Value>> {
        let each = (0..PROGRAMS).map(|n| {
            let case = json!({
                "file": database, "name": format!("bot-{n}"), "per_second": self.per_second,
                "orders": orders(n), "events": events, "synchronous": self.synchronous,
                "patience_s": self.seconds + 120,
            });
            tokio::task::spawn_blocking(move || {
                drivers::python_says(include_str!("load.py"), &case)
            })
        });
        each.collect()
    }
}

async fn ended(programs: Vec<JoinHandle<Value>>, how: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for program in programs {
        let said = program.await.unwrap();
        println!(
            "{how}: one insert took {:.1} ms (p50), {:.1} ms (p99), {:.1} ms (longest)",
            said["p50_ms"].as_f64().unwrap(),
            said["p99_ms"].as_f64().unwrap(),
            said["max_ms"].as_f64().unwrap(),
        );
        all.push(said);
    }
    all
}

fn paid_orders(shop: &Shop, program: usize, count: usize) -> Vec<(String, String)> {
    let orders = (0..count).map(|n| {
        let external_id = format!("ORD-{program}-{n}");
        let order = NewOrder::simple(&external_id, "1.00", "USD");
        let id = shop.world.create(&order).unwrap().order.id;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        (external_id, id)
    });
    orders.collect()
}

fn size(shop: &Shop, end: &str) -> u64 {
    let path = format!("{}{end}", shop.database().display());
    std::fs::metadata(path).map_or(0, |file| file.len())
}
