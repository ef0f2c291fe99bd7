//! Random faults, one after the other: daemons that are killed, stopped, paused and cut off, and a server
//! that is killed. `PAYRECOND_POSTGRES_ROUNDS` is their number.

use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Asked, Cluster};
use super::shop::{ACCOUNTS, ServerShop};
use crate::faults::program::times;

const ROUNDS: usize = 3;
const DAEMONS: [&str; 3] = ["one", "two", "three"];
/// Longer than the lease of 3 s at times.
const LONGEST_FAULT_MS: u64 = 5000;

/// Of every account, over all daemons.
const PER_SECOND: f64 = 10.0;
const BURST: usize = 60;
const IN_FLIGHT: usize = 4;
/// Orders of each account that stay open, so that it always has more to ask than it may.
const OPEN: usize = 30;
/// By how much a request may arrive after it was allowed, on a machine with other work.
const ARRIVES_WITHIN_S: f64 = 2.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    Pause,
    /// Packets are dropped; then they arrive late.
    Silence,
    /// Packets are dropped for good.
    Loss,
    Cut,
    ServerKill,
}

const FAULTS: [Fault; 7] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Pause,
    Fault::Silence,
    Fault::Loss,
    Fault::Cut,
    Fault::ServerKill,
];

/// How long an account was not asked for after its daemon went.
#[derive(Default)]
struct Failovers {
    killed: Vec<Duration>,
    stopped: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_lose_and_repeat_nothing_and_keep_the_rate_limits() {
    let Some(mut shop) = ServerShop::open_alone().await else {
        return;
    };
    shop.account_settings =
        "requests_per_second = 10\nburst = 60\nmax_in_flight = 4\nstrategy = \"single\"\n";
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::start(shop, &DAEMONS).await;
    for account in ACCOUNTS {
        for number in 0..OPEN {
            let external_id = format!("open-{number}");
            cluster.shop.drop_in(account, &external_id).await;
        }
    }
    let (mut failovers, mut paused) = (Failovers::default(), 0);
    let rounds = times("PAYRECOND_POSTGRES_ROUNDS", ROUNDS);
    let mut faults = Vec::new();
    for round in 0..rounds {
        if faults.is_empty() {
            faults = FAULTS.to_vec();
            rng.shuffle(&mut faults);
        }
        let fault = faults.pop().unwrap_or(Fault::Kill);
        let place = rng.usize(..DAEMONS.len());
        println!("round {round}: {fault:?} {}", DAEMONS[place]);
        cluster.pay_in_each(&format!("before-{round}")).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(..300))).await;
        strike(&mut cluster, fault, place, &mut rng, &mut failovers).await;
        cluster.pay_in_each(&format!("after-{round}")).await;
        cluster.settle().await;
        paused += usize::from(fault == Fault::Pause);
    }
    let asked = cluster.asked();
    report(rounds, &failovers, &asked);
    for account in ACCOUNTS {
        within_the_limit(&asked, account, paused);
    }
    cluster.end().await;
}

/// One fault from its begin to its end, with payments in between.
async fn strike(
    cluster: &mut Cluster,
    fault: Fault,
    place: usize,
    rng: &mut fastrand::Rng,
    failovers: &mut Failovers,
) {
    let owned = cluster.accounts_of(DAEMONS[place]).await;
    let begun = Instant::now();
    let lasts = Duration::from_millis(rng.u64(..LONGEST_FAULT_MS));
    match fault {
        Fault::Kill => cluster.kill(place).await,
        Fault::Stop => cluster.stop_one(place).await,
        Fault::Pause => cluster.signal(place, "STOP"),
        Fault::Silence | Fault::Loss => cluster.daemons[place].line.silence(),
        Fault::Cut => cluster.daemons[place].line.cut(),
        Fault::ServerKill => cluster.shop.database.server.kill(),
    }
    if fault == Fault::ServerKill {
        tokio::time::sleep(lasts / 2).await;
        cluster.shop.database.server.start_again();
    }
    cluster.pay_in_each(&format!("amid-{}", rng.u64(..))).await;
    match fault {
        Fault::Kill => {
            let gap = first_asked_after(cluster, DAEMONS[place], &owned, begun).await;
            failovers.killed.extend(gap);
        }
        Fault::Stop => {
            let gap = first_asked_after(cluster, DAEMONS[place], &owned, begun).await;
            failovers.stopped.extend(gap);
        }
        Fault::Pause | Fault::Silence | Fault::Loss | Fault::Cut | Fault::ServerKill => {
            tokio::time::sleep(lasts.saturating_sub(begun.elapsed())).await;
        }
    }
    match fault {
        Fault::Kill | Fault::Stop => cluster.start_again(place),
        Fault::Pause => cluster.signal(place, "CONT"),
        Fault::Silence | Fault::Cut => cluster.daemons[place].line.heal(),
        Fault::Loss => cluster.daemons[place].line.heal_without_the_lost(),
        Fault::ServerKill => {}
    }
}

/// How long until another daemon asked for each account of the one that went.
async fn first_asked_after(
    cluster: &mut Cluster,
    gone: &str,
    accounts: &[&'static str],
    at: Instant,
) -> Vec<Duration> {
    let mut gaps = Vec::new();
    for account in accounts {
        let first = crate::until::eventually(async || {
            let by_others =
                |asked: &&Asked| asked.account == *account && asked.daemon != gone && asked.at > at;
            let asked = cluster.asked();
            asked.iter().find(by_others).map(|asked| asked.at)
        });
        gaps.push(first.await.duration_since(at));
    }
    gaps
}

/// Never more requests in any time than one daemon alone might make.
fn within_the_limit(asked: &[Asked], account: &str, paused: usize) {
    let of_account = asked.iter().filter(|asked| asked.account == account);
    let mut times: Vec<Instant> = of_account.map(|asked| asked.at).collect();
    times.sort_unstable();
    // What was allowed just before a pause arrives after it.
    let arrives_late = IN_FLIGHT * paused;
    for (first, begun) in times.iter().enumerate() {
        for (last, ended) in times.iter().enumerate().skip(first) {
            let lasted = ended.duration_since(*begun).as_secs_f64() + ARRIVES_WITHIN_S;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            let earned = (lasted * PER_SECOND).ceil() as usize;
            let allowed = BURST + arrives_late + earned;
            let made = last - first + 1;
            assert!(
                made <= allowed,
                "{account}: {made} requests within {lasted:.1} s, {allowed} allowed"
            );
        }
    }
}

fn report(rounds: usize, failovers: &Failovers, asked: &[Asked]) {
    println!("{rounds} rounds, {} requests", asked.len());
    for (what, gaps) in [
        ("after a kill, with a lease of 3 s", &failovers.killed),
        ("after a stop", &failovers.stopped),
    ] {
        let mut gaps = gaps.clone();
        gaps.sort_unstable();
        if let (Some(longest), p50) = (gaps.last(), gaps.get(gaps.len() / 2)) {
            println!(
                "{what}: asked by another daemon after {:?} (p50), {longest:?} (longest), {} accounts",
                p50.copied().unwrap_or_default(),
                gaps.len()
            );
        }
    }
}
