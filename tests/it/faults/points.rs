//! Killed at named points: after a request, around a commit, within a line of output.

use super::program;
use super::shim::{self, Rule};
use super::struck::{Came, Struck, play};

/// The points, as call, file and moment. Each is hit at its first occurrences; long runs use later
/// ones.
const POINTS: &[(&str, &str, &str)] = &[
    // A request was sent, possibly a creation, and its answer not received, or received.
    ("send", "socket", "kill-after"),
    ("recv", "socket", "kill-after"),
    // Around the commit: while its pages are written, before and after it is durable.
    ("write", "-wal", "kill-half"),
    ("sync", "-wal", "kill-before"),
    ("sync", "-wal", "kill-after"),
    // Committed, before or after the side file was written.
    ("write", ".high-water", "kill-before"),
    ("write", ".high-water", "kill-after"),
    ("rename", ".high-water", "kill-before"),
    // Before a line, within it, and after it but not acknowledged.
    ("write", "stdout", "kill-before"),
    ("write", "stdout", "kill-half"),
    ("write", "stdout", "kill-after"),
    // During a checkpoint.
    ("write", "payrecond.db", "kill-half"),
    ("sync", "payrecond.db", "kill-before"),
    ("unlink", "-wal", "kill-before"),
];

/// How often each point is hit; overridden by `PAYRECOND_KILL_POINTS`.
const TIMES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_nothing_is_recorded_twice() {
    if shim::library().is_none() {
        return;
    }
    let times = u32::try_from(program::times("PAYRECOND_KILL_POINTS", TIMES)).unwrap();
    let rules = POINTS.iter().flat_map(|&(call, file, then)| {
        (1..=times).map(move |nth| Rule {
            call,
            file,
            then,
            nth,
            times: 1,
        })
    });
    let hits = play(rules.collect(), killed).await;
    for &(call, file, then) in POINTS {
        let here = |rule: &Rule| (rule.call, rule.file, rule.then) == (call, file, then);
        let hit = hits.iter().filter(|(rule, hit)| here(rule) && *hit).count();
        println!("{call} {file} {then}: hit {hit} of {times}");
        assert!(hit > 0, "{call} {file} {then} was never hit");
    }
}

/// Whether the point was reached.
async fn killed(rule: Rule) -> bool {
    let mut struck = Struck::open().await;
    let mut program = struck.start_under(rule);
    let left = match struck.until(&mut program, &[]).await {
        Came::Settled => {
            program.signal("TERM").await;
            program.ended().await
        }
        Came::Ended | Came::Said => program.ended().await,
    };
    let was_hit = left.code.is_none();
    struck.keep(left);
    struck.heal();
    struck.settles().await;
    was_hit
}
