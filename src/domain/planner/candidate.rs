//! A due invoice, as the planner sees it.

use super::cover::By;
use crate::domain::time::UnixMillis;

/// A due invoice, as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When its row was inserted.
    pub created_at: UnixMillis,
    /// Position of its order in the list.
    pub place: Place,
    /// Which requests can report it.
    pub by: By,
}

/// The position of an order in the list, as far as pages have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A page showed it at this position.
    Shown(u64),
    /// No page showed it yet; its creation time gives an estimate.
    Guessed,
    /// It is not at the position that its creation time implies.
    Elsewhere,
}

/// Looks up an entry by its number.
pub type CandidateLookup<'a> = dyn Fn(u32) -> Option<Candidate> + 'a;
