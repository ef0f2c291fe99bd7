//! The provider is unreachable for a day and returns while a great many polls are due.

use std::process::Stdio;
use std::time::Duration;

use payrecond::sandbox::{OrderBatch, Sandbox, SandboxOptions, SandboxStats, SimulatedPayment};
use sqlx::Connection as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::laws;
use super::program::{self, Program, Stdout};
use super::shim::{self, WallClock};
use crate::PATIENCE;
use crate::shop::{Shop, drop_in_all, seed};

/// Overridden by `PAYRECOND_OUTAGE_INVOICES`.
const INVOICES: usize = 2_000;
/// One in this many is paid meanwhile, and as many have expired.
const ENDED_ONE_IN: usize = 20;
const OUTAGE_S: i64 = 24 * 3600;
/// The orders expire before the outage ends.
const ORDERS_LIVE_S: i64 = 3 * 3600;
/// The default rate limit.
const PER_SECOND: f64 = 5.0;
const BURST: f64 = 10.0;
const MAX_IN_FLIGHT: u64 = 16;
/// Maximum memory: base, and for each due invoice.
const MEMORY_KIB: u64 = 112 << 10;
const INVOICE_BYTES: u64 = 512;
/// Invoices that a program inserts in one transaction.
const CHUNK: usize = 5_000;

/// The connection to the provider: refuses everything while it is shut.
struct Way {
    listener: std::net::SocketAddr,
    provider: String,
    open: Option<JoinHandle<()>>,
}

impl Way {
    async fn to(provider: &str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut way = Self {
            listener: socket.local_addr().unwrap(),
            provider: provider.trim_start_matches("http://").to_owned(),
            open: None,
        };
        way.serve(socket);
        way
    }

    fn serve(&mut self, socket: TcpListener) {
        let provider = self.provider.clone();
        self.open = Some(tokio::spawn(async move {
            let mut under_way = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = socket.accept().await {
                let provider = provider.clone();
                under_way.spawn(async move {
                    let mut far = TcpStream::connect(provider).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }));
    }

    /// Cuts open connections and refuses new ones.
    async fn shut(&mut self) {
        let open = self.open.take().expect("it is open");
        open.abort();
        assert!(open.await.unwrap_err().is_cancelled());
    }

    async fn open(&mut self) {
        let socket = TcpListener::bind(self.listener).await.unwrap();
        self.serve(socket);
    }
}

struct Outage {
    shop: Shop,
    way: Way,
    clock: WallClock,
    other: Sandbox,
    names: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_days_outage_everything_is_caught_up_within_the_rate_limit() {
    if shim::library().is_none() {
        return;
    }
    let count = program::times("PAYRECOND_OUTAGE_INVOICES", INVOICES);
    let mut outage = Outage::prepare(count).await;
    let first = outage.start().await;
    outage
        .until("SELECT caught_up_at IS NOT NULL FROM accounts WHERE name = 'default'")
        .await;
    outage.way.shut().await;
    outage
        .until("SELECT state = 'paused' FROM accounts WHERE name = 'default'")
        .await;
    let first_memory = first.peak_memory_kib();
    let first = first.stop().await;
    outage.clock.set(OUTAGE_S);
    // Still unreachable.
    let second = outage.start().await;
    outage
        .until("SELECT state = 'paused' FROM accounts WHERE name = 'default'")
        .await;
    outage.other_account_works("OTHER-1").await;
    outage.nothing_is_said().await;
    outage.end_some();
    outage.catch_up(&second).await;
    outage.other_account_works("OTHER-2").await;
    let memory = second.peak_memory_kib().max(first_memory);
    println!("memory at most {memory} KiB");
    let bound = MEMORY_KIB + count as u64 * INVOICE_BYTES / 1024;
    assert!((1..=bound).contains(&memory), "{memory} of {bound} KiB");
    let second = second.stop().await;
    laws::hold(&outage.shop, &[first, second]).await;
}

impl Outage {
    /// Invoices of unpaid orders, and a second store.
    async fn prepare(count: usize) -> Self {
        let mut shop = Shop::as_shipped().await;
        let way = Way::to(&shop.base_url).await;
        shop.base_url = format!("http://{}", way.listener);
        let other = Sandbox::start(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            ..SandboxOptions::default()
        })
        .await
        .unwrap();
        shop.settings = format!(
            "[[account]]\nname = \"other\"\nbase_url = {:?}\n[jobs]\naudit = \"\"\n[log]\nlevel = \"warn\"\n",
            other.url()
        );
        let batch = OrderBatch {
            count,
            timeout_seconds: ORDERS_LIVE_S,
            ..OrderBatch::default()
        };
        let names = seed(&shop.world, &batch);
        insert(&shop, &names).await;
        let clock = WallClock::new(shop.folder.path());
        Self {
            shop,
            way,
            clock,
            other,
            names,
        }
    }

    async fn start(&self) -> Program {
        let mut command = program::command(&self.shop);
        let budget = format!("requests_per_second = {PER_SECOND:?}");
        let text = self
            .shop
            .config_text()
            .replacen("requests_per_second = 0", &budget, 1);
        std::fs::write(self.shop.folder.path().join("payrecond.toml"), text).unwrap();
        command.env("PAYRECOND_API_KEY_OTHER", "another-key-0123456789");
        self.clock.show(&mut command);
        Program::spawn(&self.shop, command, Stdout::Read, Stdio::piped())
            .until_ready()
            .await
    }

    /// Waits until `sql` answers 1, for longer than `Shop::until`.
    async fn until(&self, sql: &str) {
        let waiting = async {
            while self.shop.ask(sql).await != "1" {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{sql}");
    }

    async fn nothing_is_said(&self) {
        let untouched = "SELECT min(status = 'pending' AND version = 0 AND reason IS NULL) FROM invoices WHERE account = 'default'";
        assert_eq!(self.shop.ask(untouched).await, "1");
        let said = "SELECT count(*) FROM outbox WHERE account = 'default'";
        assert_eq!(self.shop.ask(said).await, "0");
    }

    async fn other_account_works(&self, external_id: &str) {
        self.shop
            .drop_in_paid("other", &self.other.world(), external_id)
            .await;
        let paid =
            format!("SELECT status = 'paid' FROM invoices WHERE external_id = '{external_id}'");
        self.until(&paid).await;
    }

    fn end_some(&self) {
        for (n, name) in self.names.iter().enumerate() {
            let world = &self.shop.world;
            match n % ENDED_ONE_IN {
                0 => drop(world.pay(name, &SimulatedPayment::default()).unwrap()),
                1 => drop(world.expire(name, false).unwrap()),
                _ => {}
            }
        }
    }

    /// The provider returns. Every end is recorded, and every invoice was polled.
    async fn catch_up(&mut self, program: &Program) {
        let requests = |stats: &SandboxStats| stats.requests.values().sum::<u64>();
        let before = requests(&self.shop.world.stats());
        let back = Instant::now();
        let caught_up_at = "SELECT coalesce(caught_up_at, 0) FROM accounts WHERE name = 'default'";
        let caught_up_before = self.shop.ask(caught_up_at).await;
        self.way.open().await;
        let each = self.names.len() / ENDED_ONE_IN;
        let done = format!(
            "SELECT (SELECT count(*) FROM invoices WHERE status = 'paid' AND account = 'default') = {each}
                AND (SELECT count(*) FROM invoices WHERE status = 'expired') = {each}
                AND ({caught_up_at}) > {caught_up_before}
                AND NOT EXISTS (SELECT 1 FROM outbox_unread)"
        );
        let waiting = async {
            loop {
                let is_done = self.shop.ask(&done).await == "1";
                let stats = self.shop.world.stats();
                let (made, passed) = (requests(&stats) - before, back.elapsed());
                #[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
                let is_within = made as f64 <= PER_SECOND * passed.as_secs_f64() + BURST;
                assert!(is_within, "{made} requests in {passed:?}");
                assert!(
                    stats.in_flight_max <= MAX_IN_FLIGHT,
                    "{}",
                    stats.in_flight_max
                );
                if is_done {
                    return (made, passed, stats.in_flight_max);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        let Ok((made, passed, at_once)) = waited else {
            panic!("not caught up: {}", program.said());
        };
        println!(
            "{} invoices caught up after {passed:?} by {made} requests, {at_once} at once at most",
            self.names.len()
        );
    }
}

async fn insert(shop: &Shop, names: &[String]) {
    let mut program = shop.connect().await;
    for names in names.chunks(CHUNK) {
        drop_in_all(&shop.world, &mut program, names).await;
    }
    program.close().await.unwrap();
}
