//! Killed at named points: after the question, around the commit, in the middle of a line.

use super::program;
use super::shim::{self, Rule};
use super::struck::{Came, Struck, play};

/// The points, as call, file and moment. Each is hit at its first times, further ones in long runs.
const POINTS: &[(&str, &str, &str)] = &[
    // A question was sent, a creation among them, and its answer not heard; or it was heard.
    ("send", "socket", "kill-after"),
    ("recv", "socket", "kill-after"),
    // Around the commit: in the middle of its pages, before and after it is safe.
    ("write", "-wal", "kill-half"),
    ("sync", "-wal", "kill-before"),
    ("sync", "-wal", "kill-after"),
    // Committed, and the side file does not know yet; or it does and nobody else.
    ("write", ".high-water", "kill-before"),
    ("write", ".high-water", "kill-after"),
    ("rename", ".high-water", "kill-before"),
    // Before a line, in the middle of it, and said but not acknowledged.
    ("write", "stdout", "kill-before"),
    ("write", "stdout", "kill-half"),
    ("write", "stdout", "kill-after"),
    // While the log is folded into the file.
    ("write", "payrecond.db", "kill-half"),
    ("sync", "payrecond.db", "kill-before"),
    ("unlink", "-wal", "kill-before"),
];

/// How often each point is hit; `PAYRECOND_KILL_POINTS` says another number.
const TIMES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_it_goes_on_and_says_nothing_twice() {
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

/// Whether the point was come to.
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
