//! Seeds, many on two threads or one alone.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::regressions::shown_by;
use crate::script::{Outcome, Sinks, Tally, live_through};
use crate::trace::{Broken, Trace};

/// Seeds under way at once.
const THREADS: usize = 2;
/// Of a failed seed's story, so much is shown unless it is run alone.
const LINES_SHOWN: usize = 60;

/// The one seed that is asked for.
pub fn one() -> Option<u64> {
    Some(
        variable("PAYRECOND_SIM_SEED")?
            .parse()
            .expect("PAYRECOND_SIM_SEED: a number"),
    )
}

/// The seeds that are asked for.
pub fn range() -> Option<Range<u64>> {
    let text = variable("PAYRECOND_SIM_SEEDS")?;
    let (from, to) = text
        .split_once("..")
        .expect("PAYRECOND_SIM_SEEDS: FROM..TO");
    let number = |text: &str| text.parse().expect("PAYRECOND_SIM_SEEDS: numbers");
    Some(number(from)..number(to))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own switch, no configuration"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Lives through a seed; a panic breaks a law of its own.
fn attempt(seed: u64, sinks: Sinks) -> Outcome {
    let mut kept: Option<Arc<Trace>> = None;
    let lived = catch_unwind(AssertUnwindSafe(|| {
        live_through(seed, sinks, |trace| kept = Some(trace))
    }));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&t| t.to_owned()));
        Outcome {
            broken: Some(Broken {
                law: "nothing panics",
                how: text.unwrap_or_default(),
            }),
            story: kept.map(|trace| trace.lines()).unwrap_or_default(),
            tally: Tally::default(),
        }
    })
}

/// The story of a seed.
pub fn story(seed: u64) -> Vec<String> {
    attempt(seed, Sinks::Stdout).story
}

/// One seed, with its story.
pub fn alone(seed: u64) {
    let outcome = attempt(seed, Sinks::Stdout);
    for line in &outcome.story {
        println!("{line}");
    }
    println!("{:?}", outcome.tally);
    if let Some(broken) = outcome.broken {
        panic!("seed {seed} breaks a law: {broken}");
    }
}

/// All these seeds; says which failed, at once and at the end, and shows the end of the first one's
/// story.
pub fn run_all(seeds: &[u64]) {
    run_each(seeds, Sinks::Stdout);
}

/// The same with a stream as second sink.
pub fn run_all_with_stream(seeds: Range<u64>) {
    run_each(&seeds.collect::<Vec<_>>(), Sinks::StdoutAndStream);
}

fn run_each(seeds: &[u64], sinks: Sinks) {
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let failed: Mutex<Vec<(u64, Outcome)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = attempt(seed, sinks);
                    total.lock().unwrap().add(outcome.tally);
                    if let Some(broken) = &outcome.broken {
                        println!("seed {seed} breaks a law: {broken}");
                        if let Some(once) = shown_by(seed) {
                            println!("once it showed: {once}");
                        }
                        failed.lock().unwrap().push((seed, outcome));
                    }
                }
            });
        }
    });
    let count = seeds.len();
    println!("{count} seeds: {:?}", total.into_inner().unwrap());
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, outcome) in &failed {
        if let Some(broken) = &outcome.broken {
            println!("seed {seed} breaks a law: {broken}");
        }
    }
    if let Some((seed, outcome)) = failed.first() {
        let from = outcome.story.len().saturating_sub(LINES_SHOWN);
        for line in &outcome.story[from..] {
            println!("{line}");
        }
        panic!(
            "{} of {count} seeds failed; the first again, with its whole story: \
             PAYRECOND_SIM_SEED={seed} cargo test --test sim -- --nocapture",
            failed.len()
        );
    }
}
