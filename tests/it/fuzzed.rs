//! Properties that hold for any bytes, checked with the seeds of the fuzzer and some changes of
//! each. `fuzz/` searches further: see TESTING.md. Inputs that it once found are seeds.
//!
//! `PAYRECOND_FUZZ_CHANGES` sets the number of changes per seed.

#[path = "../../fuzz/checks/mod.rs"]
mod checks;

use std::path::Path;

use fastrand::Rng;

use crate::faults::program;

/// Changes of each seed.
const CHANGES: usize = 100;
/// Difficult texts for parsers, inserted at any place.
const SPICES: [&str; 16] = [
    "\"", "\\", "{", "[", "}", "]", "\n", "\r\n", "\0", "\u{7f}", "\u{202e}", "null", "-1",
    "1e999", ".", "\\ud800",
];

fn hold(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(!seeds.is_empty());
    let changes = program::times("PAYRECOND_FUZZ_CHANGES", CHANGES);
    let mut rng = Rng::with_seed(7);
    for seed in &seeds {
        check(seed);
        for _ in 0..changes {
            let mut data = seed.clone();
            for _ in 0..rng.usize(1..4) {
                change(&mut data, &mut rng, &seeds);
            }
            let before = data.clone();
            let held = std::panic::catch_unwind(|| check(&data));
            assert!(
                held.is_ok(),
                "not for {:?}",
                String::from_utf8_lossy(&before)
            );
        }
    }
}

fn change(data: &mut Vec<u8>, rng: &mut Rng, seeds: &[Vec<u8>]) {
    let place = rng.usize(0..=data.len());
    let end = rng.usize(place..=data.len().min(place + 40));
    match rng.u8(0..6) {
        0 => drop(data.drain(place..end)),
        1 => data.extend_from_within(place..end),
        2 => data.truncate(place),
        3 => data
            .splice(place..place, rng.choice(SPICES).unwrap_or_default().bytes())
            .for_each(drop),
        4 => {
            let other = rng.choice(seeds).map_or(&[][..], Vec::as_slice);
            let from = rng.usize(0..=other.len());
            data.truncate(place);
            data.extend_from_slice(&other[from..]);
        }
        _ => {
            if let Some(byte) = data.get_mut(place) {
                *byte ^= 1 << rng.u8(0..8);
            }
        }
    }
}

#[test]
fn provider_bodies_parse_the_same_in_any_chunks() {
    hold("bodies", checks::bodies::check);
}

#[test]
fn configurations_are_within_range_or_refused_with_a_message() {
    hold("configuration", checks::configuration::check);
}

#[test]
fn rows_are_refused_at_the_insert_or_work_completely() {
    hold("intake", checks::intake::check);
}

#[test]
fn patterns_match_like_in_nats() {
    hold("patterns", checks::patterns::check);
}

#[test]
fn frames_with_any_payload_round_trip() {
    hold("frames", checks::frames::check);
}
