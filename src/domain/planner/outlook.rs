//! Turns due entries into the requests that cover them.
//!
//! Entries whose position in the list is known, or estimated closely enough, go to `cover`. Entries
//! somewhere in a wide stretch are found by reading that stretch page by page if there are enough
//! of them; otherwise each is requested singly.

use std::collections::VecDeque;

use super::candidate::{Candidate, CandidateLookup, Place};
use super::cover::{By, Costs, PlannedRequest, Reach, Wanted, cover};
use super::sweep::Sweep;
use super::terms::Shapes;
use crate::domain::listing::{Count, Estimate, MARGIN, Positions};

/// Maximum number of entries to plan individually; if more are due, the whole stretch is read.
pub(super) const MOST_PLANNED: usize = 20_000;
/// An estimate this close counts as known.
const CLOSE: u64 = 4 * MARGIN;
/// Fixed cost of a request, in bytes, where requests are not limited.
pub(super) const REQUEST_BYTES: u64 = 4096;
/// Size of an answer about one order, in bytes.
pub(super) const ONE_BYTES: u64 = 600;
/// With at least this many entries, the number of orders is worth a request of its own.
const WORTH_COUNTING: usize = 8;

/// The planned requests.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Most urgent first.
    pub(super) requests: VecDeque<PlannedRequest<u32>>,
    pub(super) sweep: Option<Sweep>,
    /// Whether the number of orders should be requested first.
    pub(super) needs_count: bool,
}

/// What is known of the account's list, and which requests are allowed.
pub(super) struct Outlook<'a> {
    pub(super) positions: &'a Positions,
    /// No page limit = pages do not work at present.
    pub(super) shapes: Shapes,
    /// As measured.
    pub(super) item_bytes: u64,
    /// Fixed cost of a request, in bytes.
    pub(super) request_bytes: u64,
    pub(super) count: Count,
}

/// The range of positions in which an entry may be.
#[derive(Clone, Copy)]
pub(super) enum Whereabouts {
    At(u64),
    /// From the first position, inclusive, to the second, exclusive.
    Within(u64, u64),
    /// No page can show it.
    Nowhere,
}

/// An entry with its range of positions.
#[derive(Clone, Copy)]
pub(super) struct LocatedEntry {
    pub(super) slot: u32,
    pub(super) by: By,
    pub(super) at: Whereabouts,
}

impl Outlook<'_> {
    /// Plans the `due` entries, most urgent first.
    pub(super) fn plan(&self, due: &[u32], view: &CandidateLookup<'_>) -> Planned {
        if due.len() > MOST_PLANNED && self.shapes.page_limit > 0 {
            return self.sweep_all(due, view);
        }
        let mut tail = 0;
        let found: Vec<LocatedEntry> = due
            .iter()
            .filter_map(|&slot| self.find(slot, view(slot)?, &mut tail))
            .collect();
        let vague_ones = found.iter().filter(|found| found.is_vague()).count();
        let total = self.positions.total();
        let total_matters = vague_ones >= WORTH_COUNTING && total == 0;
        let sweep = self.best_sweep(&found);
        let end_matters = sweep.as_ref().is_some_and(|s| s.end >= total) && self.end_is_unknown();
        let count_helps = total_matters || tail >= WORTH_COUNTING || end_matters;
        let mut planned = Planned {
            needs_count: !self.is_counted() && count_helps && self.shapes.page_limit > 0,
            sweep: sweep.filter(|_| !end_matters),
            ..Planned::default()
        };
        let wanted: Vec<Wanted<u32>> = found
            .iter()
            .filter(|found| !self.waits(found, &planned, vague_ones))
            .map(|found| Wanted {
                key: found.slot,
                place: match found.at {
                    Whereabouts::At(place) => Some(place),
                    Whereabouts::Within(..) | Whereabouts::Nowhere => None,
                },
                by: found.by,
            })
            .collect();
        let plan = cover(&wanted, &self.reach(), &self.costs());
        planned.requests.extend(plan.requests);
        for request in &mut planned.requests {
            self.reach_beyond_the_end(request);
        }
        planned
    }

    /// Whether an entry waits, either for the sweep or for the number of orders.
    fn waits(&self, found: &LocatedEntry, planned: &Planned, vague_ones: usize) -> bool {
        match found.at {
            Whereabouts::At(place) => planned.needs_count && place >= self.positions.total(),
            Whereabouts::Within(from, to) => {
                let sweep = planned.sweep.as_ref();
                let is_member = sweep.is_some_and(|s| s.from <= from && to <= s.end);
                let turn_comes = sweep.is_some() && self.worth_reading(vague_ones, from, to);
                is_member || turn_comes || planned.needs_count
            }
            Whereabouts::Nowhere => false,
        }
    }

    fn reach(&self) -> Reach {
        Reach {
            one: self.shapes.single,
            batch_limit: self.shapes.batch_limit,
            page_limit: self.shapes.page_limit,
            overlap: u32::try_from(MARGIN).unwrap_or_default(),
        }
    }

    fn costs(&self) -> Costs {
        Costs {
            request: self.request_bytes,
            one_bytes: ONE_BYTES,
            item_bytes: self.item_bytes,
        }
    }

    /// Extends a page beyond the known end: orders made since may be there, and missing ones cost
    /// nothing.
    fn reach_beyond_the_end(&self, request: &mut PlannedRequest<u32>) {
        if let PlannedRequest::Page { offset, count, .. } = request
            && *offset + u64::from(*count) > self.positions.total()
        {
            *count = self.shapes.page_limit;
        }
    }

    /// None = no request that works at present can report it.
    fn find(&self, slot: u32, candidate: Candidate, tail: &mut usize) -> Option<LocatedEntry> {
        let by = candidate.by;
        let has_pages = self.shapes.page_limit > 0;
        if by == By::Page && !has_pages {
            return None;
        }
        let at = if by == By::Alone || !has_pages {
            Whereabouts::Nowhere
        } else {
            self.whereabouts(&candidate, tail)
        };
        Some(LocatedEntry { slot, by, at })
    }

    fn whereabouts(&self, candidate: &Candidate, tail: &mut usize) -> Whereabouts {
        let total = self.positions.total();
        let anywhere = Whereabouts::Within(0, total.max(1));
        match candidate.place {
            Place::Shown(place) => return Whereabouts::At(place),
            Place::Elsewhere => return anywhere,
            Place::Guessed => {}
        }
        match self.positions.place_of(candidate.created_at) {
            Estimate::Unknown => anywhere,
            Estimate::Tail => {
                *tail += 1;
                Whereabouts::At(total + *tail as u64 - 1)
            }
            Estimate::At { position, within } if within <= CLOSE => Whereabouts::At(position),
            Estimate::At { position, within } => Whereabouts::Within(
                position.saturating_sub(within),
                (position + within).min(total),
            ),
        }
    }
}

impl LocatedEntry {
    fn is_vague(&self) -> bool {
        matches!(self.at, Whereabouts::Within(..))
    }
}

#[cfg(test)]
mod tests;
