//! A long run in waves: invoices come in bulk, end, are recorded, acknowledged and deleted, with
//! faults in between. The daemon's resources must not grow with the number of events.

mod gauges;
mod readers;
mod trouble;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use payrecond::sandbox::{OrderBatch, SimulatedPayment};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use self::gauges::Gauges;
use self::readers::{Bot, Heard, Stdout as Reader};
use self::trouble::Trouble;
use super::laws;
use super::program::{self, Left, Program, Stdout};
use super::shim::{self, WallClock};
use crate::PATIENCE;
use crate::shop::{Shop, drop_in_all, seed};

/// Overridden by `PAYRECOND_SOAK_EVENTS`.
const EVENTS: usize = 4_000;
/// Each kind of fault comes at least once.
const WAVES_AT_LEAST: usize = 4;
const WAVE_AT_MOST: usize = 50_000;
/// Invoices that a program inserts in one transaction.
const CHUNK: usize = 500;
/// The clock is set forward by this much between two waves, so that the data of a wave is old
/// enough to be deleted.
const APART_S: i64 = 25 * 3600;

struct Soak {
    shop: Shop,
    clock: WallClock,
    rng: fastrand::Rng,
    bot: Arc<Heard>,
    stdout: Arc<Heard>,
    gauges: Gauges,
    waves: usize,
    /// Number of invoices in each wave.
    wave: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_run_with_faults_takes_no_more_resources_than_a_short_one() {
    if shim::library().is_none() {
        return;
    }
    let events = program::times("PAYRECOND_SOAK_EVENTS", EVENTS);
    let wave = (events / WAVES_AT_LEAST).min(WAVE_AT_MOST);
    let waves = events / wave;
    let mut soak = Soak::open(waves, wave).await;
    let bot = Bot::start(&soak.shop, Arc::clone(&soak.bot)).await;
    for n in 0..waves {
        soak.play(n, &bot).await;
    }
    bot.stop().await;
    soak.all_was_heard(waves * wave);
    soak.laws_hold_for_the_remaining_data().await;
}

impl Soak {
    async fn open(waves: usize, wave: usize) -> Self {
        let shop = Shop::open().await;
        let clock = WallClock::new(shop.folder.path());
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        Self {
            bot: Heard::of(&shop),
            stdout: Heard::of(&shop),
            gauges: Gauges::of_waves(wave),
            shop,
            clock,
            rng: fastrand::Rng::with_seed(seed),
            waves,
            wave,
        }
    }

    /// Single requests and pages alternate.
    fn configure(&mut self, wave: usize) {
        let strategy = if wave.is_multiple_of(2) {
            "preview"
        } else {
            "list"
        };
        self.shop.settings = format!(
            "strategy = {strategy:?}
             [polling]
             min_interval = \"500ms\"
             intake_interval = \"50ms\"
             age_factor = 0.0
             checks_after_expiry = [\"1s\"]
             [http]
             request_timeout = \"2s\"
             [feed]
             stdout = \"jsonl\"
             [jobs]
             audit = \"\"
             retention = \"*/2 * * * * *\"
             [retention]
             outbox = \"1h\"
             invoices = \"1h\"
             [log]
             level = \"warn\"\n"
        );
    }

    async fn start(&self) -> (Program, Reader) {
        let mut command = program::command(&self.shop);
        self.clock.show(&mut command);
        let mut program = Program::spawn(&self.shop, command, Stdout::Unread, Stdio::piped());
        let stdout = program.unread.take().expect("it is a pipe");
        let reader = Reader::start(stdout, Arc::clone(&self.stdout));
        program.notified.until("READY=1").await;
        (program, reader)
    }

    async fn play(&mut self, n: usize, bot: &Bot) {
        self.configure(n);
        let (mut program, mut reader) = self.start().await;
        let filling = tokio::spawn(fill(
            self.shop.world.clone(),
            self.connect().await,
            n,
            self.wave,
        ));
        Trouble::of_wave(n)
            .play(self, &mut program, &mut reader)
            .await;
        let pause = Duration::from_millis(self.rng.u64(0..500));
        tokio::time::sleep(pause).await;
        self.gauges.read(&self.shop, &program);
        program.signal("KILL").await;
        unharmed(&program.ended_within(PATIENCE).await);
        reader.ended().await;
        (program, reader) = self.start().await;
        filling.await.unwrap();
        self.until_none("invoices WHERE next_poll_at IS NOT NULL", &program)
            .await;
        self.until_none("outbox_unread", &program).await;
        if n + 1 < self.waves {
            self.clock.set((i64::try_from(n).unwrap() + 1) * APART_S);
            self.until_none("outbox", &program).await;
            self.until_none("invoices", &program).await;
        }
        self.gauges.read(&self.shop, &program);
        program.signal("TERM").await;
        let left = program.ended_within(PATIENCE).await;
        assert_eq!(left.code, Some(0), "{}", left.stderr);
        unharmed(&left);
        reader.ended().await;
        self.gauges.end_wave(n, (n + 1) * self.wave, bot.repeats());
    }

    /// Waits until a table or a part of it is empty, and measures the daemon's resources meanwhile.
    async fn until_none(&mut self, rows: &str, program: &Program) {
        let none = format!("NOT EXISTS (SELECT 1 FROM {rows})");
        let mut connection = self.connect().await;
        let sql = format!("SELECT {none}");
        let waiting = async {
            loop {
                let sql = AssertSqlSafe(sql.clone());
                let is_empty: bool = sqlx::query_scalar(sql)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                self.gauges.read(&self.shop, program);
                if is_empty {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{rows}: still some: {}", program.said());
        connection.close().await.unwrap();
    }

    async fn connect(&self) -> SqliteConnection {
        readers::connect(&self.shop).await
    }

    /// Each order was reported to both consumers by one event.
    fn all_was_heard(&self, events: usize) {
        for (name, heard) in [("bot", &self.bot), ("stdout", &self.stdout)] {
            assert_eq!(heard.distinct(), (events, events), "{name}");
        }
    }

    async fn laws_hold_for_the_remaining_data(&self) {
        let said = laws::hold_in_the_database(&self.shop).await;
        assert!(!said.is_empty(), "the last wave is still there");
        // Only now: reading the file by other means would drop the locks of the readers here.
        laws::key_is_nowhere(&self.shop, &[]);
    }
}

fn unharmed(left: &Left) {
    assert!(!left.stderr.contains("panicked"), "{}", left.stderr);
    assert!(!left.stderr.contains(program::CANARY));
}

/// The orders of one wave: half of them end before the invoice is inserted, half after it.
async fn fill(
    world: Arc<payrecond::sandbox::World>,
    mut program: SqliteConnection,
    n: usize,
    wave: usize,
) {
    let mut rng = fastrand::Rng::with_seed(n as u64);
    for made in (0..wave).step_by(CHUNK) {
        let batch = OrderBatch {
            count: CHUNK.min(wave - made),
            external_id_prefix: readers::PREFIX.into(),
            timeout_seconds: 864_000,
            ..OrderBatch::default()
        };
        let names = seed(&world, &batch);
        let (before, after) = names.split_at(names.len() / 2);
        end(&world, before, &mut rng);
        drop_in_all(&world, &mut program, &names).await;
        end(&world, after, &mut rng);
    }
    program.close().await.unwrap();
}

/// Most are paid, some expire, some are cancelled.
fn end(world: &payrecond::sandbox::World, names: &[String], rng: &mut fastrand::Rng) {
    for name in names {
        let ended = match rng.u32(0..6) {
            0 => world.expire(name, false),
            1 => world.cancel(name, false),
            _ => world.pay(name, &SimulatedPayment::default()),
        };
        ended.unwrap();
    }
}
