//! What must hold for any bytes. `fuzz_targets` looks for bytes with which it does not;
//! `tests/it/fuzzed.rs` holds it for the seeds, and for a few changes of each, with every test.

pub mod bodies;
pub mod configuration;
pub mod frames;
pub mod intake;
pub mod patterns;

/// Text that may stand in a log line or a terminal.
fn is_one_harmless_line(text: &str) -> bool {
    !text.contains(|c: char| c.is_control())
}
