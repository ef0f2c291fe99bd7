//! A daemon without CPU time, with too few file descriptors, too little memory, or a slow disk.

use std::process::Stdio;
use std::time::Duration;

use payrecond::sandbox::{Operation, SandboxOptions, SimulatedPayment};

use super::kill::{all_delivered, request};
use super::laws;
use super::program::{self, Left, Program, Stdout};
use super::shim::{self, Rule};
use crate::shop::Shop;

/// How long it is stopped; overridden by `PAYRECOND_STOPPED_S`.
const STOPPED_S: usize = 2;

async fn until_paid(shop: &Shop, count: usize) {
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, &count.to_string()).await;
}

#[tokio::test]
async fn after_a_sigstop_it_continues_where_it_was() {
    let shop = Shop::open().await;
    let program = Program::ready(&shop).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(shop.drop_in(&format!("ORD-{n}")).await);
    }
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    // If it were stopped while holding the write lock, it would block every program.
    let mut holder = shop.connect().await;
    let begin = sqlx::query("BEGIN IMMEDIATE").execute(&mut holder);
    begin.await.unwrap();
    program.signal("STOP").await;
    let is_stopped = async {
        while program.status("State:") != "T" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, is_stopped)
        .await
        .unwrap();
    sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
    for id in &ids {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    // Programs continue meanwhile.
    shop.drop_in("ORD-4").await;
    let before = shop.asked(Operation::Preview);
    let stopped = program::times("PAYRECOND_STOPPED_S", STOPPED_S);
    tokio::time::sleep(Duration::from_secs(stopped as u64)).await;
    let in_flight = 16;
    assert!(shop.asked(Operation::Preview) <= before + in_flight);
    // The control: it was really stopped, and payments made meanwhile are not recorded.
    assert_eq!(program.status("State:"), "T");
    let known = "SELECT count(*) FROM invoices WHERE status <> 'pending'";
    assert_eq!(shop.ask(known).await, "0");
    program.signal("CONT").await;
    until_paid(&shop, 4).await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    laws::hold(&shop, &[left]).await;
}

/// Runs it under a limit, through a shell that sets it: an option of `ulimit` and its value.
fn limited(shop: &Shop, option: &str, limit: u32) -> Program {
    let script = format!("ulimit {option} {limit} && exec \"$0\" run");
    let command = program::by_shell(shop, &script);
    Program::spawn(shop, command, Stdout::Read, Stdio::piped())
}

/// Paid orders, and orders to be created.
async fn twenty_of_each(shop: &Shop) {
    for n in 0..20 {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        request(shop, &format!("NEW-{n}")).await;
    }
}

/// Without a limit, unfinished work is completed, and nothing is done twice.
async fn goes_on_without_a_limit(shop: &Shop) -> Left {
    let program = Program::ready(shop).await;
    until_paid(shop, 20).await;
    shop.until("SELECT count(*) FROM invoices WHERE order_id IS NULL", "0")
        .await;
    all_delivered(shop).await;
    let left = program.stop().await;
    assert_eq!(shop.world.orders().len(), 40, "an order made twice");
    left
}

/// Whether anything went wrong; a lowered number of requests in flight is only a warning.
fn has_complained(said: &str) -> bool {
    let is_complaint = |line: &str| line.contains("ERROR") || line.contains("WARN");
    said.lines()
        .any(|line| is_complaint(line) && !line.contains("max_in_flight lowered"))
}

/// Whether it reached the limit: `EMFILE`, or SQLite's error for it.
fn had_too_few_files(left: &Left) -> bool {
    ["Too many open files", "unable to open database file"]
        .iter()
        .any(|words| left.stderr.contains(words))
}

/// A slow provider, so that many requests are in flight at once.
async fn slow_shop() -> Shop {
    let options = SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        latency: Duration::from_millis(300),
        ..SandboxOptions::default()
    };
    let mut shop = Shop::with(options).await;
    // Belongs to the account, whose table is still open.
    shop.settings = format!("max_in_flight = 100\n{}", shop.settings);
    shop
}

/// The connections to the provider leave the database the descriptors that it needs.
#[tokio::test]
async fn with_40_file_descriptors_less_is_in_flight_and_the_database_can_be_used() {
    let shop = slow_shop().await;
    for n in 0..120 {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    }
    let program = limited(&shop, "-n", 40);
    until_paid(&shop, 120).await;
    all_delivered(&shop).await;
    assert!(program.descriptors() <= 40);
    let left = program.stop().await;
    for failure in ["ERROR", "os error 24", "unable to open"] {
        assert!(!left.stderr.contains(failure), "{}", left.stderr);
    }
    let cut = "max_in_flight lowered";
    assert_eq!(left.stderr.matches(cut).count(), 1, "{}", left.stderr);
    assert!(
        left.stderr.contains("max_in_flight=100 lowered_to=10"),
        "{}",
        left.stderr
    );
    laws::hold(&shop, &[left]).await;
}

/// A shell's usual limit is only the soft one.
#[tokio::test]
async fn a_soft_limit_of_open_files_is_raised_as_far_as_the_hard_one() {
    let shop = slow_shop().await;
    let program = limited(&shop, "-Sn", 40).until_ready().await;
    let limits = program.limits();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3], words[4], "soft and hard: {limits}");
    let left = program.stop().await;
    assert!(
        !left.stderr.contains("max_in_flight lowered"),
        "{}",
        left.stderr
    );
}

/// Too few to start, too few to work, or just enough: it works, or exits with a cause.
#[tokio::test]
async fn with_few_file_descriptors_it_works_or_exits_with_a_cause() {
    for (files, is_too_few) in [(8, true), (14, true), (18, true), (32, false)] {
        let shop = Shop::open().await;
        twenty_of_each(&shop).await;
        let first = under_limit(&shop, files).await;
        let second = goes_on_without_a_limit(&shop).await;
        // The control: the limit is the cause, and without one there is no error.
        let cannot_load = first.code == Some(127);
        let felt = cannot_load || had_too_few_files(&first);
        assert!(felt || !is_too_few, "{files}: {}", first.stderr);
        assert!(!had_too_few_files(&second), "{}", second.stderr);
        laws::hold(&shop, &[first, second]).await;
    }
}

/// Too little to start, too little to work, or enough: it works, or it ends at once, in any way,
/// and the next start continues.
#[tokio::test]
async fn with_little_memory_it_works_or_ends_and_nothing_is_lost() {
    let mut ended_early = Vec::new();
    for mebibytes in [8, 12, 16, 20, 24, 28, 256] {
        let shop = Shop::open().await;
        twenty_of_each(&shop).await;
        let mut program = limited(&shop, "-d", mebibytes << 10);
        let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
        // Some wait for a database that cannot be opened, and report it; they neither end nor have
        // to.
        until_settled(&shop, &mut program, paid).await;
        if program.has_ended() {
            ended_early.push(mebibytes);
        } else {
            program.signal("TERM").await;
        }
        let first = program.ended().await;
        println!("{mebibytes} MiB: {:?} {}", first.code, shop.ask(paid).await);
        let second = goes_on_without_a_limit(&shop).await;
        laws::hold(&shop, &[first, second]).await;
    }
    // The controls: low limits have an effect, and a higher one has none.
    assert!(ended_early.contains(&8), "{ended_early:?}");
    assert!(!ended_early.contains(&256), "{ended_early:?}");
}

/// Waits until all are paid, or the program has ended or reported what prevents it from continuing.
async fn until_settled(shop: &Shop, program: &mut Program, paid: &str) {
    let waiting = async {
        while !program.has_ended()
            && shop.ask(paid).await != "20"
            && !has_complained(&program.said())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(crate::PATIENCE, waiting).await;
    assert!(in_time.is_ok(), "silent: {}", program.said());
}

async fn under_limit(shop: &Shop, files: u32) -> Left {
    let mut program = limited(shop, "-n", files);
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    until_settled(shop, &mut program, paid).await;
    if !program.has_ended() {
        program.signal("TERM").await;
    }
    let left = program.ended().await;
    println!("{files}: {:?}", left.code);
    let has_cause = left.stderr.contains("payrecond: ");
    let is_clear = left.code == Some(0) || left.code == Some(1) && has_cause;
    let cannot_load = files < 12 && left.code == Some(127);
    assert!(
        is_clear || cannot_load,
        "{files}: {:?} {}",
        left.code,
        left.stderr
    );
    left
}

/// Each sync takes 50 ms: requests continue meanwhile, and nothing is abandoned.
#[tokio::test]
async fn a_slow_disk_only_slows_it_down() {
    if shim::library().is_none() {
        return;
    }
    let shop = Shop::open().await;
    for n in 0..100 {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    }
    let slow = Rule {
        call: "sync",
        file: "*",
        then: "slow",
        nth: 1,
        times: 0,
    };
    let mut command = program::command(&shop);
    slow.onto(&mut command, &shop.folder.path().join("never"));
    let slowed = shop.folder.path().join("slowed");
    command.env("SHIM_SLOWED", &slowed);
    let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
    until_paid(&shop, 100).await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    assert!(!left.stderr.contains("ERROR"), "{}", left.stderr);
    // The control: each sync really took that long.
    let took = std::fs::read_to_string(slowed).unwrap();
    let took: Vec<u32> = took.lines().map(|line| line.parse().unwrap()).collect();
    assert!(took.len() > 1, "{took:?}");
    assert!(took.iter().all(|ms| *ms >= shim::SLOW_MS), "{took:?}");
    laws::hold(&shop, &[left]).await;
}
