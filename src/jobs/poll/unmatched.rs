//! What pages showed and nobody has judged yet.

use std::collections::VecDeque;

use super::page::Shown;
use crate::domain::time::UnixMillis;

/// What pages showed and nobody has judged yet.
#[derive(Default)]
pub(super) struct Unmatched {
    pub(super) shown: VecDeque<(Source, Shown)>,
    /// Entries that a complete reading of the list did not show.
    pub(super) missing: Vec<u32>,
    /// The number of the first page of the sweep that goes on.
    pub(super) sweep_began: Option<u32>,
}

/// The page that something was shown on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) number: u32,
    pub(super) started_at: UnixMillis,
    /// Places all plans of the page within their jitter: what it showed together is due together, so
    /// the next poll is one page again, and the index of plans is written in its order.
    pub(super) roll: f64,
}

impl Unmatched {
    pub(super) fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.missing.is_empty()
    }
}
