//! Faults: requested in JSON, selected by a seeded generator.

mod deck;
mod fault;
mod json;
mod spoil;

pub use fault::{Fault, FaultKind, FaultTarget};
pub use json::{FaultError, parse_faults};

pub(super) use deck::{Dealt, Deck};
pub(super) use json::faults_of_json;
pub(super) use spoil::{DataShape, spoil};
