//! A failing disk: the nth call of a kind fails, once or from then on.

use super::program;
use super::shim::{self, Rule};
use super::struck::{Came, Struck, play};

/// Number of cases; overridden by `PAYRECOND_DISK_ERRORS`.
const CASES: usize = 16;
/// Calls of a kind in a run without faults.
const DEPTH: u32 = 24;
/// The failing calls; `*` is each file of the database.
const KINDS: &[(&str, &str)] = &[
    ("sync", "*"),
    ("sync", "-wal"),
    ("sync", "payrecond.db"),
    ("write", "*"),
    ("write", "-wal"),
    ("write", "payrecond.db"),
    ("write", "-shm"),
    ("write", ".high-water"),
    ("open", "*"),
    ("open", "-wal"),
    ("open", "-shm"),
    ("open", "payrecond.db"),
    ("open", ".high-water"),
];
/// Messages that it waits, or that the side file is not written.
const DEGRADED: &[&str] = &[
    "database unavailable; retrying",
    "database unavailable; feed retrying",
    "high-water mark could not be written",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_makes_it_wait_or_exit_without_wrong_events() {
    if shim::library().is_none() {
        return;
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let cases = program::times("PAYRECOND_DISK_ERRORS", CASES);
    let rules = (0..cases).map(|_| any_rule(&mut rng)).collect();
    let came = play(rules, failed).await;
    for what in ["settled", "waited", "killed", "ended"] {
        let count = came.iter().filter(|(_, came)| *came == what).count();
        println!("{what}: {count}");
    }
}

fn any_rule(rng: &mut fastrand::Rng) -> Rule {
    let (call, file) = KINDS[rng.usize(..KINDS.len())];
    let deepest = rng.u32(1..=DEPTH);
    Rule {
        call,
        file,
        then: if rng.bool() { "eio" } else { "enospc" },
        // More early ones: they affect the start, and more kinds of calls.
        nth: rng.u32(1..=deepest),
        times: rng.u32(0..2),
    }
}

/// How it reacted.
async fn failed(rule: Rule) -> &'static str {
    let mut struck = Struck::open().await;
    let mut program = struck.start_under(rule);
    let first = struck.until(&mut program, DEGRADED).await;
    let (what, left) = if first == Came::Said && rule.nth.is_multiple_of(2) {
        ("killed", program.kill().await)
    } else {
        struck.heal();
        match (struck.until(&mut program, &[]).await, first) {
            (Came::Settled, Came::Said) => ("waited", program.stop().await),
            (Came::Settled, _) => ("settled", program.stop().await),
            _ => ("ended", program.ended().await),
        }
    };
    if what == "ended" {
        let said = &left.stderr;
        assert_eq!(left.code, Some(1), "{said}");
        assert!(said.contains("payrecond: "), "no cause: {said}");
        assert!(said.contains("payrecond.db"), "no file: {said}");
        // The start may fail; later it waits.
        assert!(!said.contains("daemon: polling"), "{said}");
    }
    struck.keep(left);
    struck.heal();
    struck.settles().await;
    what
}

/// An unreadable file is not taken for a missing one, which would begin a new epoch.
#[tokio::test]
async fn an_unreadable_side_file_is_no_sign_of_a_restore() {
    if shim::library().is_none() {
        return;
    }
    let mut struck = Struck::open().await;
    let rule = |nth| Rule {
        call: "open",
        file: ".high-water",
        then: "eio",
        nth,
        times: 1,
    };
    let mut first = struck.start_under(rule(u32::MAX));
    assert_eq!(struck.until(&mut first, &[]).await, Came::Settled);
    let first = first.stop().await;
    let second = struck.start_under(rule(1)).ended().await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("side file"), "{}", second.stderr);
    struck.keep(first);
    struck.keep(second);
    struck.settles().await;
}
