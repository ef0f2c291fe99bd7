//! A due invoice, as the planner sees it.

use super::cover::By;
use crate::domain::time::UnixMillis;

/// A due invoice, as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When its row was inserted.
    pub created_at: UnixMillis,
    /// Where its order stands in the list.
    pub place: Place,
    /// Which requests can report it.
    pub by: By,
}

/// Where an order stands in the list, as far as pages have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A page showed it there.
    Shown(u64),
    /// No page showed it yet: its creation time tells about where.
    Guessed,
    /// It is not where its creation time puts it.
    Elsewhere,
}

/// Entries by their numbers.
pub type CandidateLookup<'a> = dyn Fn(u32) -> Option<Candidate> + 'a;
