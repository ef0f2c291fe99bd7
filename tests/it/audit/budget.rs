//! The rate limit that the `audit` command shares with the daemon.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use payrecond::clock::{Clock, ManualClock, SystemClock};
use payrecond::daemon;
use payrecond::domain::account::AccountState;
use payrecond::domain::invoice::AccountName;
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::lending::{LOAN, Lender};
use payrecond::limit::{Limits, SharedLimiter};
use payrecond::sandbox::{Fault, FaultKind, Operation, OrderBatch};
use payrecond::store::sqlite::{SqliteOptions, SqliteStore};
use payrecond::store::{AccountRecord, BudgetAsk, ListRecord, Store};

use super::{command, program};
use crate::shop::{Shop, drop_in_all, environment, seed};

const RATE: u32 = 20;
const BURST: u32 = 10;
const IN_FLIGHT: u32 = 4;
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A shop with `orders` invoices, 100 of which fit on a page, and a rate limit.
async fn busy_shop(orders: usize) -> Shop {
    let mut shop = Shop::open().await;
    let limits = format!(
        "requests_per_second = {RATE}\nburst = {BURST}\nmax_in_flight = {IN_FLIGHT}\nstrategy"
    );
    shop.settings = shop.settings.replace("strategy", &limits);
    let batch = OrderBatch {
        count: orders,
        external_id_prefix: "E".into(),
        ..OrderBatch::default()
    };
    let names = seed(&shop.world, &batch);
    let mut connection = shop.connect().await;
    drop_in_all(&shop.world, &mut connection, &names).await;
    shop.world
        .set_faults(vec![Fault::new(FaultKind::ShortPage)]);
    shop
}

fn begin(shop: &Shop, name: &str) -> Child {
    program(shop, name)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn requests(shop: &Shop) -> u64 {
    shop.world.stats().requests.values().sum()
}

/// The number of requests that the sandbox had seen, and the times before and after it was read.
struct Sample {
    before: Instant,
    requests: u64,
    after: Instant,
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "real processes are watched by the real clock"
)]
async fn daemon_and_command_together_keep_the_rate_limit() {
    let shop = busy_shop(4000).await;
    let mut daemon = begin(&shop, "run");
    shop.until_asked(Operation::Preview, 60).await;
    let mut audit = begin(&shop, "audit");
    let mut samples = Vec::new();
    let pages = shop.asked(Operation::List);
    while audit.try_wait().unwrap().is_none() {
        samples.push(Sample {
            before: Instant::now(),
            requests: requests(&shop),
            after: Instant::now(),
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let polls = shop.asked(Operation::Preview);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(audit.wait().unwrap().code(), Some(0));
    assert!(shop.asked(Operation::List) - pages >= 40);
    assert!(polls > 60, "the daemon went on polling: {polls}");
    for (index, first) in samples.iter().enumerate().step_by(20) {
        for last in &samples[index..] {
            let span = (last.after - first.before).as_secs_f64();
            // Requests that began before the span may be counted within it.
            let most = f64::from(BURST + IN_FLIGHT) + f64::from(RATE) * span + 1.0;
            let made = u32::try_from(last.requests - first.requests).unwrap();
            assert!(f64::from(made) <= most, "{made} requests in {span} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_audit_of_an_account_is_refused() {
    let shop = busy_shop(4000).await;
    let mut first = begin(&shop, "audit");
    shop.until_asked(Operation::List, 1).await;
    let second = command(&shop, &[]).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(words.contains("another audit of it runs"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_that_cannot_be_shared_is_reported() {
    let mut shop = busy_shop(100).await;
    shop.settings = shop.settings.replace("burst = 10", "burst = 1");
    let mut daemon = begin(&shop, "run");
    shop.until_asked(Operation::Preview, 1).await;
    let refused = command(&shop, &[]).output().unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(words.contains("burst and max_in_flight"), "{words}");
    let alone = command(&shop, &[]).output().unwrap();
    assert_eq!(alone.status.code(), Some(0));
}

/// The command obeys the hold that the running daemon has recorded for its account.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_makes_no_request_during_a_hold() {
    let shop = Shop::open().await;
    shop.drop_in("A").await;
    let store = open(&shop).await;
    let far = UnixMillis(i64::MAX / 2);
    store.record_account(&held_until(far)).await.unwrap();
    let mut audit = begin(&shop, "audit");
    shop.until(
        "SELECT count(*) FROM meta WHERE key = 'budget_ask:default'",
        "1",
    )
    .await;
    assert_eq!(requests(&shop), 0);
    store
        .record_account(&held_until(NOW.minus(LOAN)))
        .await
        .unwrap();
    audit.kill().unwrap();
    audit.wait().unwrap();
    assert_eq!(shop.asked(Operation::List), 0);
}

/// The daemon may probe minutes later: a person must not wait without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_reported_at_once() {
    let shop = Shop::refusing_the_key().await;
    shop.drop_in("A").await;
    let daemon = shop.start();
    shop.until("SELECT state FROM accounts", "key_refused")
        .await;
    let mut audit = program(&shop, "audit")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(audit.stderr.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let told = lines.find(|line| line.contains("audit waits"));
    let told = told.expect("a line about the wait");
    assert!(told.contains("API key refused"), "{told}");
    assert!(told.contains("next_probe"), "{told}");
    audit.kill().unwrap();
    audit.wait().unwrap();
    daemon.stop().await;
}

/// An audit that began without a daemon uses what it asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_pass_lends_what_was_asked_for_before_it() {
    let shop = Shop::open().await;
    let store = open(&shop).await;
    let now = SystemClock::new().now();
    let ask = BudgetAsk {
        account: AccountName::from("default"),
        owner: "audit".to_owned(),
        until: now.plus(LOAN),
        held_until: None,
    };
    assert!(store.ask_for_budget(&ask, now).await.unwrap());
    daemon::run_once(shop.config(), &environment(), tokio::io::sink())
        .await
        .unwrap();
    let granted = store.budget_grant(&ask.account).await.unwrap();
    assert_eq!(granted, Some(ask.until));
}

#[tokio::test]
async fn a_loan_ends_by_itself_when_its_borrower_was_killed() {
    let mut desk = Desk::open().await;
    desk.ask("killed", NOW.plus(LOAN), None).await;
    desk.lender.run_once().await.unwrap();
    assert_eq!(desk.rate(), Some(f64::from(RATE) / 2.0));
    assert_eq!(desk.granted().await, Some(NOW.plus(LOAN)));
    desk.clock.advance(LOAN);
    assert_eq!(desk.rate(), Some(f64::from(RATE)));
    assert!(desk.ask("next", NOW.plus(LOAN).plus(LOAN), None).await);
}

#[tokio::test]
async fn a_loan_is_recorded_once_requests_in_flight_fit_the_rest() {
    let mut desk = Desk::open().await;
    let take = || desk.limiter.lock().take(desk.clock.monotonic()).unwrap();
    let mut permits: Vec<_> = (0..IN_FLIGHT).map(|_| take()).collect();
    desk.ask("audit", NOW.plus(LOAN), None).await;
    desk.lender.run_once().await.unwrap();
    assert!(desk.lender.is_pending());
    assert_eq!(desk.granted().await, None);
    let permit = permits.pop().unwrap();
    let now = desk.clock.monotonic();
    desk.limiter.lock().settle(&permit, Ok(()), now);
    desk.lender.run_once().await.unwrap();
    assert!(!desk.lender.is_pending());
    assert_eq!(desk.granted().await, Some(NOW.plus(LOAN)));
}

#[tokio::test]
async fn a_hold_reported_by_the_borrower_holds_the_daemon() {
    let mut desk = Desk::open().await;
    let pause = Duration::from_mins(1);
    desk.ask("audit", NOW.plus(LOAN), Some(NOW.plus(pause)))
        .await;
    desk.lender.run_once().await.unwrap();
    let state = desk.limiter.lock().state(desk.clock.monotonic());
    assert_eq!(state, (AccountState::Held, Some(pause)));
}

#[tokio::test]
async fn a_returned_loan_ends_at_once() {
    let mut desk = Desk::open().await;
    desk.ask("audit", NOW.plus(LOAN), None).await;
    desk.lender.run_once().await.unwrap();
    desk.ask("audit", UnixMillis(0), None).await;
    desk.lender.run_once().await.unwrap();
    assert_eq!(desk.rate(), Some(f64::from(RATE)));
    assert!(desk.ask("next", NOW.plus(LOAN), None).await);
}

/// The lending side of a daemon, with a clock that stands still.
struct Desk {
    shop: Shop,
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    limiter: SharedLimiter,
    lender: Lender,
}

impl Desk {
    async fn open() -> Self {
        let shop = Shop::open().await;
        let store = open(&shop).await;
        let clock = Arc::new(ManualClock::at(NOW));
        let limits = Limits {
            requests_per_second: f64::from(RATE),
            burst: BURST,
            max_in_flight: IN_FLIGHT as usize,
        };
        let limiter = SharedLimiter::new(limits, clock.monotonic());
        let account = (AccountName::from("default"), limits, limiter.clone());
        let jobs_store = Arc::clone(&store) as Arc<dyn Store>;
        let lender = Lender::new(jobs_store, Arc::clone(&clock) as Arc<dyn Clock>, [account]);
        Self {
            shop,
            store,
            clock,
            limiter,
            lender,
        }
    }

    async fn ask(&self, owner: &str, until: UnixMillis, held_until: Option<UnixMillis>) -> bool {
        let ask = BudgetAsk {
            account: AccountName::from("default"),
            owner: owner.to_owned(),
            until,
            held_until,
        };
        let now = self.clock.now();
        self.store.ask_for_budget(&ask, now).await.unwrap()
    }

    async fn granted(&self) -> Option<UnixMillis> {
        let account = AccountName::from("default");
        self.store.budget_grant(&account).await.unwrap()
    }

    fn rate(&self) -> Option<f64> {
        let _ = self.shop.database();
        let mut limiter = self.limiter.lock();
        limiter.room(self.clock.monotonic());
        limiter.rate()
    }
}

async fn open(shop: &Shop) -> Arc<SqliteStore> {
    let options = SqliteOptions::new(shop.database(), "payments");
    Arc::new(SqliteStore::open(options).await.unwrap())
}

fn held_until(resume_at: UnixMillis) -> AccountRecord {
    AccountRecord {
        name: AccountName::from("default"),
        provider: "walletpay".into(),
        state: AccountState::Held,
        state_since: NOW,
        is_key_refused: false,
        failures: None,
        resume_at: Some(resume_at),
        last_success_at: None,
        last_failure_at: None,
        last_error: None,
        list: ListRecord::default(),
    }
}
