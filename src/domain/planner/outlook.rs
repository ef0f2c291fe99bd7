//! From what is due to the requests that cover it.
//!
//! Entries whose place in the list is known, or guessed closely enough, go to `cover`. Those that
//! stand somewhere in a wide stretch are cheapest found by reading that stretch, page by page, where
//! there are enough of them; else each is asked for alone.

use std::collections::VecDeque;

use super::cover::{By, Costs, PlannedRequest, Reach, Wanted, cover};
use super::sweep::{Sweep, SweepEnd};
use super::{Candidate, CandidateLookup, Place, Shapes};
use crate::domain::listing::{Count, Estimate, MARGIN, Positions};

/// Most entries that are planned one by one; of more, the whole stretch is read.
pub(super) const MOST_PLANNED: usize = 20_000;
/// A place known this closely is as good as known.
const CLOSE: u64 = 4 * MARGIN;
/// Bytes that one request is worth where requests are not limited.
pub(super) const REQUEST_BYTES: u64 = 4096;
/// Bytes of an answer about one order.
const ONE_BYTES: u64 = 600;
/// From so many on, knowing the number of orders is worth a request of its own.
const WORTH_COUNTING: usize = 8;

/// What to do next.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Most urgent first.
    pub(super) requests: VecDeque<PlannedRequest<u32>>,
    pub(super) sweep: Option<Sweep>,
    /// The number of orders should be asked for first.
    pub(super) needs_count: bool,
}

/// What the account's list is known to be, and what may be asked.
pub(super) struct Outlook<'a> {
    pub(super) positions: &'a Positions,
    /// No pages = they do not work just now.
    pub(super) shapes: Shapes,
    /// As measured.
    pub(super) item_bytes: u64,
    /// What one request is worth.
    pub(super) request_bytes: u64,
    pub(super) count: Count,
}

/// Where an entry may be.
#[derive(Clone, Copy)]
enum Whereabouts {
    At(u64),
    /// From the first to before the second.
    Within(u64, u64),
    /// No page is of help.
    Nowhere,
}

/// An entry with what is known of where it is.
#[derive(Clone, Copy)]
struct LocatedEntry {
    slot: u32,
    by: By,
    at: Whereabouts,
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

    /// Whether an entry is looked for by the sweep, or must wait for the number of orders.
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

    /// Orders made since the last page may be there, and cost nothing if not.
    fn reach_beyond_the_end(&self, request: &mut PlannedRequest<u32>) {
        if let PlannedRequest::Page { offset, count, .. } = request
            && *offset + u64::from(*count) > self.positions.total()
        {
            *count = self.shapes.page_limit;
        }
    }

    /// None = no request that works just now can tell of it.
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

    /// Pages alone do not show where the list ends: it is asked for first, or what stands behind would
    /// never be read, and what no page showed might be taken for missing.
    fn end_is_unknown(&self) -> bool {
        !self.is_counted()
    }

    fn is_counted(&self) -> bool {
        self.count != Count::NotAsked
    }

    fn sweep(&self, from: u64, end: u64, members: Vec<u32>) -> Sweep {
        let end_is = if self.positions.goes_on() {
            SweepEnd::Open
        } else if self.count == Count::Told && end >= self.positions.total() {
            SweepEnd::Counted
        } else {
            SweepEnd::Believed
        };
        Sweep::new(from, end, members, end_is, self.positions.total())
    }

    /// Whether reading a stretch is cheaper than `polls` of single orders. Never more requests.
    fn worth_reading(&self, polls: usize, from: u64, to: u64) -> bool {
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

    /// Of the stretches that vague entries leave, the one with most of them that is worth reading.
    fn best_sweep(&self, found: &[LocatedEntry]) -> Option<Sweep> {
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

    /// So much is due that the stretch from the first to the last is read.
    fn sweep_all(&self, due: &[u32], view: &CandidateLookup<'_>) -> Planned {
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

impl LocatedEntry {
    fn is_vague(&self) -> bool {
        matches!(self.at, Whereabouts::Within(..))
    }
}

/// A stretch of the list in which entries stand somewhere.
struct Stretch {
    from: u64,
    end: u64,
    members: Vec<u32>,
    /// One of them can be found in no other way.
    is_needed: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::time::UnixMillis;

    const AUTO: Shapes = Shapes {
        single: true,
        batch_limit: 0,
        page_limit: 10_000,
    };
    const LIST: Shapes = Shapes {
        single: false,
        ..AUTO
    };

    /// `count` entries that no page showed yet, inserted a second apart.
    fn guessed(count: u32) -> Vec<Candidate> {
        let newest = 1_800_000_000_000;
        (0..count)
            .map(|n| Candidate {
                created_at: UnixMillis(newest + i64::from(n) * 1000),
                place: Place::Guessed,
                by: By::Any,
            })
            .collect()
    }

    /// As `guessed`, shown by a page, each `apart` places from the one before.
    fn shown(count: u32, apart: u64) -> Vec<Candidate> {
        let mut entries = guessed(count);
        for (n, entry) in entries.iter_mut().enumerate() {
            entry.place = Place::Shown(n as u64 * apart);
        }
        entries
    }

    fn plan(shapes: Shapes, total: u64, entries: &[Candidate]) -> Planned {
        plan_after(Count::NotAsked, shapes, total, entries)
    }

    fn plan_after(count: Count, shapes: Shapes, total: u64, entries: &[Candidate]) -> Planned {
        let mut positions = Positions::default();
        positions.learn_total(total);
        let outlook = Outlook {
            positions: &positions,
            shapes,
            item_bytes: 400,
            request_bytes: REQUEST_BYTES,
            count,
        };
        let due: Vec<u32> = (0..u32::try_from(entries.len()).unwrap()).collect();
        outlook.plan(&due, &|slot| entries.get(slot as usize).copied())
    }

    /// Fetches and pages of a plan; every entry is covered once.
    fn shape(planned: &Planned) -> (usize, usize) {
        let mut covered = HashSet::new();
        let (mut fetches, mut pages) = (0, 0);
        for request in &planned.requests {
            let slots = match request {
                PlannedRequest::Fetch(slots) => {
                    fetches += 1;
                    slots
                }
                PlannedRequest::Page { covers, .. } => {
                    pages += 1;
                    covers
                }
            };
            assert!(slots.iter().all(|slot| covered.insert(*slot)));
        }
        if let Some(sweep) = &planned.sweep {
            assert!(sweep.members.iter().all(|slot| covered.insert(*slot)));
        }
        (fetches, pages)
    }

    #[test]
    fn nothing_due_asks_nothing() {
        for shapes in [AUTO, LIST] {
            let planned = plan(shapes, 5000, &[]);
            assert!(planned.requests.is_empty() && planned.sweep.is_none());
            assert!(!planned.needs_count);
        }
    }

    #[test]
    fn a_few_that_stand_far_apart_are_asked_for_alone() {
        let entries = shown(5, 1000);
        assert_eq!(shape(&plan(AUTO, 5000, &entries)), (5, 0));
        let by_list = plan(LIST, 5000, &entries);
        assert_eq!(shape(&by_list), (0, 5), "or each by a small page");
    }

    #[test]
    fn where_requests_are_few_a_few_far_apart_share_a_page() {
        let entries = shown(80, 50);
        let mut positions = Positions::default();
        positions.learn_total(5000);
        let due: Vec<u32> = (0..80).collect();
        let requests = |request_bytes| {
            let outlook = Outlook {
                positions: &positions,
                shapes: AUTO,
                item_bytes: 400,
                request_bytes,
                count: Count::NotAsked,
            };
            shape(&outlook.plan(&due, &|slot| entries.get(slot as usize).copied()))
        };
        assert_eq!(requests(REQUEST_BYTES), (80, 0));
        assert_eq!(requests(131_072 / 5), (0, 1), "5 requests a second");
    }

    #[test]
    fn many_that_stand_together_share_a_page() {
        let planned = plan(AUTO, 1000, &shown(300, 1));
        assert_eq!(shape(&planned), (0, 1));
        let Some(PlannedRequest::Page { offset, count, .. }) = planned.requests.front() else {
            panic!("{planned:?}")
        };
        assert_eq!((*offset, u64::from(*count)), (0, 300 + MARGIN));
    }

    #[test]
    fn a_page_at_the_end_reaches_beyond_it() {
        let planned = plan(AUTO, 300, &shown(300, 1));
        let Some(PlannedRequest::Page { count, .. }) = planned.requests.front() else {
            panic!("{planned:?}")
        };
        assert_eq!(*count, 10_000, "new orders cost nothing if there are none");
    }

    #[test]
    fn many_whose_places_nobody_knows_are_looked_for_by_a_sweep() {
        let entries = guessed(300);
        let unknown_length = plan(AUTO, 0, &entries);
        assert!(unknown_length.needs_count && unknown_length.sweep.is_none());
        assert!(unknown_length.requests.is_empty(), "the count comes first");
        let uncounted = plan(AUTO, 1000, &entries);
        assert!(uncounted.needs_count, "pages alone do not show the end");
        let planned = plan_after(Count::Told, AUTO, 1000, &entries);
        assert_eq!(shape(&planned), (0, 0));
        let sweep = planned.sweep.unwrap();
        assert_eq!((sweep.from, sweep.to, sweep.end), (0, 1000, 1000));
        assert_eq!(sweep.members.len(), 300);
        let too_long = plan(AUTO, 100_000, &entries);
        assert_eq!(shape(&too_long), (300, 0), "not worth reading");
    }

    #[test]
    fn without_pages_every_order_is_asked_for_by_its_id() {
        let singles = Shapes {
            page_limit: 0,
            ..AUTO
        };
        let batches = Shapes {
            batch_limit: 100,
            ..singles
        };
        for entries in [shown(300, 1), guessed(300)] {
            for (shapes, requests) in [(singles, 300), (batches, 3)] {
                let planned = plan(shapes, 1000, &entries);
                assert_eq!(shape(&planned), (requests, 0));
                assert!(planned.sweep.is_none() && !planned.needs_count);
            }
        }
    }

    #[test]
    fn what_no_page_can_answer_gets_a_request_of_its_own() {
        let mut entries = shown(300, 1);
        for n in [10, 20, 30] {
            entries[n].by = By::Alone;
        }
        assert_eq!(shape(&plan(AUTO, 1000, &entries)), (3, 1));
        assert_eq!(shape(&plan(LIST, 1000, &entries)), (3, 1), "creations");
        let batches = Shapes {
            batch_limit: 100,
            page_limit: 0,
            ..AUTO
        };
        assert_eq!(shape(&plan(batches, 1000, &entries)), (3 + 3, 0));
    }

    #[test]
    fn what_only_the_list_tells_is_swept_for_or_waits() {
        let mut entries = guessed(1);
        entries[0].by = By::Page;
        entries[0].place = Place::Elsewhere;
        let planned = plan_after(Count::Told, AUTO, 30_000, &entries);
        assert_eq!(shape(&planned), (0, 0));
        assert_eq!(planned.sweep.unwrap().members, [0]);
        let without_pages = Shapes {
            page_limit: 0,
            ..AUTO
        };
        let planned = plan(without_pages, 30_000, &entries);
        assert!(planned.requests.is_empty() && planned.sweep.is_none());
    }

    #[test]
    fn of_very_many_the_whole_stretch_is_read() {
        let count = u32::try_from(MOST_PLANNED).unwrap() + 1;
        let mut entries = shown(count, 1);
        for entry in &mut entries {
            if let Place::Shown(place) = &mut entry.place {
                *place += 1000;
            }
        }
        entries[0].by = By::Alone;
        let planned = plan(AUTO, 50_000, &entries);
        assert_eq!(planned.requests, [PlannedRequest::Fetch(vec![0])]);
        let sweep = planned.sweep.unwrap();
        let last = 1000 + u64::from(count) - 1;
        assert_eq!((sweep.from, sweep.end), (1001 - MARGIN, last + MARGIN + 1));
        assert!(sweep.members.is_empty(), "all places are known");
        let unknown_length = plan(AUTO, 0, &entries);
        assert!(unknown_length.needs_count && unknown_length.sweep.is_none());
    }
}
