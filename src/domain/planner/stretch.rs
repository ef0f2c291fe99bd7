//! Stretches of the list that are read completely: where entries are somewhere within them, or
//! where so much is due that reading everything is cheaper.

use super::candidate::{CandidateLookup, Place};
use super::cover::{By, PlannedRequest};
use super::outlook::{LocatedEntry, ONE_BYTES, Outlook, Planned, Whereabouts};
use super::sweep::{Sweep, SweepEnd};
use crate::domain::listing::{Count, MARGIN};

/// A stretch of the list that contains entries at unknown positions.
struct Stretch {
    from: u64,
    end: u64,
    members: Vec<u32>,
    /// Whether one of them cannot be found in any other way.
    is_needed: bool,
}

impl Outlook<'_> {
    /// Whether only pages indicate where the list ends. The count is then requested first;
    /// otherwise orders after the assumed end would never be read, and orders that no page showed
    /// could be taken for missing.
    pub(super) fn end_is_unknown(&self) -> bool {
        !self.is_counted()
    }

    pub(super) fn is_counted(&self) -> bool {
        self.count != Count::NotRequested
    }

    pub(super) fn sweep(&self, from: u64, end: u64, members: Vec<u32>) -> Sweep {
        let end_is = if self.positions.goes_on() {
            SweepEnd::Open
        } else if self.count == Count::Known && end >= self.positions.total() {
            SweepEnd::Counted
        } else {
            SweepEnd::Believed
        };
        Sweep::new(from, end, members, end_is, self.positions.total())
    }

    /// Whether reading a stretch is cheaper than `polls` single requests. It never takes more
    /// requests.
    pub(super) fn worth_reading(&self, polls: usize, from: u64, to: u64) -> bool {
        if self.shapes.page_limit == 0 {
            return false;
        }
        if !self.shapes.has_fetches() {
            return true;
        }
        let items = to.saturating_sub(from);
        let pages = items.div_ceil(u64::from(self.shapes.page_limit)).max(1);
        let request = self.request_bytes;
        let by_pages = pages.saturating_mul(request) + items.saturating_mul(self.item_bytes);
        let batch = if self.shapes.batch_limit > 0 {
            self.shapes.batch_limit as usize
        } else {
            1
        };
        let requests = polls.div_ceil(batch) as u64;
        let by_polls = requests * request + polls as u64 * ONE_BYTES;
        let total_is_known = self.positions.total() > 0;
        total_is_known && pages <= requests && by_pages < by_polls
    }

    /// Of the stretches with vague entries that are worth reading, the one with the most entries.
    pub(super) fn best_sweep(&self, found: &[LocatedEntry]) -> Option<Sweep> {
        let mut vague: Vec<(u64, u64, u32, bool)> = Vec::new();
        for found in found {
            if let Whereabouts::Within(from, to) = found.at {
                vague.push((from, to, found.slot, found.by == By::Page));
            }
        }
        vague.sort_unstable();
        let mut stretches: Vec<Stretch> = Vec::new();
        for (from, to, slot, only_there) in vague {
            match stretches.last_mut().filter(|last| from < last.end) {
                Some(last) => {
                    last.end = to.max(last.end);
                    last.members.push(slot);
                    last.is_needed |= only_there;
                }
                None => stretches.push(Stretch {
                    from,
                    end: to,
                    members: vec![slot],
                    is_needed: only_there,
                }),
            }
        }
        let best = stretches
            .into_iter()
            .filter(|s| s.is_needed || self.worth_reading(s.members.len(), s.from, s.end))
            .max_by_key(|s| s.members.len())?;
        Some(self.sweep(best.from, best.end, best.members))
    }

    /// Reads everything from the first to the last due entry.
    pub(super) fn sweep_all(&self, due: &[u32], view: &CandidateLookup<'_>) -> Planned {
        let mut planned = Planned::default();
        let total = self.positions.total();
        let goes_on = total == 0 || self.positions.goes_on();
        if goes_on && !self.is_counted() {
            planned.needs_count = true;
            return planned;
        }
        let (mut from, mut end) = (u64::MAX, 0);
        let mut members = Vec::new();
        for &slot in due {
            let Some(candidate) = view(slot) else {
                continue;
            };
            if candidate.by == By::Alone {
                planned
                    .requests
                    .push_back(PlannedRequest::Fetch(vec![slot]));
            } else if let Place::Shown(place) = candidate.place {
                from = from.min(place.saturating_sub(MARGIN));
                end = end.max(place + MARGIN + 1);
            } else {
                members.push(slot);
            }
        }
        if !members.is_empty() {
            if self.end_is_unknown() {
                return Planned {
                    needs_count: true,
                    ..planned
                };
            }
            (from, end) = (0, end.max(total).max(1));
        }
        planned.sweep = (from < end).then(|| self.sweep(from, end, members));
        planned
    }
}
