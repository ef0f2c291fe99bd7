//! From what is due to the inquiries that cover it. Pure.
//!
//! Entries whose place in the list is known, or guessed closely enough, go to
//! `domain::coverage`. Those that stand somewhere in a wide region are cheapest found by reading the
//! region, page by page, where there are enough of them; else each is asked about alone.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};

use super::Strategy;
use super::book::Book;
use super::entry::{Entry, Kind};
use super::region::{End, Region};
use crate::domain::coverage::{self, Costs, Inquiry, Reach, Wanted};
use crate::domain::positions::{Estimate, MARGIN, Positions};

/// Most entries that are planned one by one; of more, the whole stretch is read.
pub(super) const MOST_PLANNED: usize = 20_000;
/// One look in so many goes to the longest overdue.
const OVERDUE_SHARE: usize = crate::store::OVERDUE_SHARE as usize;
/// A place known this closely is as good as known.
const CLOSE: u64 = 4 * MARGIN;
/// Bytes that one request is worth.
pub(super) const REQUEST_BYTES: u64 = 4096;
/// Bytes of an answer about one order.
const ONE_BYTES: u64 = 600;
/// From so many on, knowing the number of orders is worth a request of its own.
const WORTH_COUNTING: usize = 8;

/// What to do next.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Most urgent first.
    pub(super) inquiries: VecDeque<Inquiry<u32>>,
    pub(super) region: Option<Region>,
    /// The number of orders should be asked for first.
    pub(super) needs_count: bool,
}

/// Whether the number of orders was asked for moments ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    NotAsked,
    NotTold,
    Told,
}

/// What the account's list is known to be, and what may be asked.
pub(super) struct Outlook<'a> {
    pub(super) positions: &'a Positions,
    pub(super) strategy: Strategy,
    /// Items that a page holds; 0 = pages do not work just now.
    pub(super) page_limit: u32,
    /// As measured.
    pub(super) item_bytes: u64,
    pub(super) count: Count,
    /// Single looks begun before: a plan goes on where the last one stood, or an account that asks
    /// little would never come to the longest overdue.
    pub(super) turn: usize,
}

/// Where an entry may be.
#[derive(Clone, Copy)]
enum Whereabouts {
    At(u64),
    /// From the first to before the second.
    Within(u64, u64),
    /// Only a look of its own helps.
    Alone,
}

impl Outlook<'_> {
    /// Plans the entries `due` of the book.
    pub(super) fn plan(&self, book: &Book, due: &[u32]) -> Planned {
        if due.len() > MOST_PLANNED && self.page_limit > 0 {
            return self.read_all(book, due);
        }
        let due = first_turns(book, due);
        let mut tail = 0;
        let found: Vec<(u32, Whereabouts)> = ranked(book, &due, self.turn)
            .into_iter()
            .filter_map(|slot| Some((slot, self.whereabouts(book.entry(slot)?, &mut tail))))
            .collect();
        let vague = |(_, at): &&(u32, Whereabouts)| matches!(at, Whereabouts::Within(..));
        let vague_ones = found.iter().filter(vague).count();
        let total = self.positions.total();
        let total_matters = vague_ones >= WORTH_COUNTING && total == 0;
        let region = self.best_region(&found);
        let end_matters = region.as_ref().is_some_and(|r| r.end >= total) && self.end_is_unknown();
        let count_helps = total_matters || tail >= WORTH_COUNTING || end_matters;
        let mut planned = Planned {
            needs_count: !self.is_counted() && count_helps && self.page_limit > 0,
            region: region.filter(|_| !end_matters),
            ..Planned::default()
        };
        let mut wanted = Vec::with_capacity(found.len());
        for &(slot, at) in &found {
            if book.entry(slot).is_some_and(|e| e.kind == Kind::Orderless) {
                planned.inquiries.push_back(Inquiry::One(slot));
            } else if !self.waits(at, &planned, vague_ones) {
                let place = match at {
                    Whereabouts::At(place) => Some(place),
                    Whereabouts::Within(..) | Whereabouts::Alone => None,
                };
                wanted.push(Wanted {
                    key: slot,
                    place,
                    page_only: false,
                });
            }
        }
        let plan = coverage::plan(&wanted, &self.reach(), &self.costs());
        planned.inquiries.extend(plan.inquiries);
        for inquiry in &mut planned.inquiries {
            self.reach_beyond_the_end(inquiry);
        }
        planned
    }

    /// Whether an entry is looked for by the region, or must wait for the number of orders.
    fn waits(&self, at: Whereabouts, planned: &Planned, vague_ones: usize) -> bool {
        match at {
            Whereabouts::At(place) => planned.needs_count && place >= self.positions.total(),
            Whereabouts::Within(from, to) => {
                let region = planned.region.as_ref();
                let is_member = region.is_some_and(|r| r.from <= from && to <= r.end);
                let turn_comes = region.is_some() && self.worth_reading(vague_ones, from, to);
                is_member || turn_comes || planned.needs_count
            }
            Whereabouts::Alone => false,
        }
    }

    fn reach(&self) -> Reach {
        Reach {
            one: self.strategy.has_looks(),
            batch_limit: 0,
            page_limit: self.page_limit,
            overlap: u32::try_from(MARGIN).unwrap_or_default(),
        }
    }

    fn costs(&self) -> Costs {
        Costs {
            request: REQUEST_BYTES,
            one_bytes: ONE_BYTES,
            item_bytes: self.item_bytes,
        }
    }

    /// Orders made since the last page may be there, and cost nothing if not.
    fn reach_beyond_the_end(&self, inquiry: &mut Inquiry<u32>) {
        if let Inquiry::Page { offset, count, .. } = inquiry
            && *offset + u64::from(*count) > self.positions.total()
        {
            *count = self.page_limit;
        }
    }

    fn whereabouts(&self, entry: &Entry, tail: &mut usize) -> Whereabouts {
        let is_orderless = entry.kind == Kind::Orderless;
        let wants_its_own = entry.wants_its_own_look() && self.strategy.has_looks();
        if is_orderless || self.page_limit == 0 || wants_its_own {
            return Whereabouts::Alone;
        }
        if let Some(place) = entry.position() {
            return Whereabouts::At(place);
        }
        let total = self.positions.total();
        let anywhere = Whereabouts::Within(0, total.max(1));
        if entry.misplaced || entry.lost {
            return anywhere;
        }
        match self.positions.place_of(entry.created_at()) {
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

    fn region(&self, from: u64, end: u64, members: Vec<u32>) -> Region {
        let end_is = if self.positions.goes_on() {
            End::Open
        } else if self.count == Count::Told && end >= self.positions.total() {
            End::Counted
        } else {
            End::Believed
        };
        Region::new(from, end, members, end_is, self.positions.total())
    }

    /// Whether reading a stretch is cheaper than `looks` single ones. Never more requests.
    fn worth_reading(&self, looks: usize, from: u64, to: u64) -> bool {
        if self.page_limit == 0 {
            return false;
        }
        if !self.strategy.has_looks() {
            return true;
        }
        let items = to.saturating_sub(from);
        let pages = items.div_ceil(u64::from(self.page_limit)).max(1);
        let by_pages = pages.saturating_mul(REQUEST_BYTES) + items.saturating_mul(self.item_bytes);
        let looks = looks as u64;
        let total_is_known = self.positions.total() > 0;
        total_is_known && pages <= looks && by_pages < looks * (REQUEST_BYTES + ONE_BYTES)
    }

    /// Of the stretches that vague entries leave, the one with most of them that is worth reading.
    fn best_region(&self, found: &[(u32, Whereabouts)]) -> Option<Region> {
        let mut vague: Vec<(u64, u64, u32)> = Vec::new();
        for &(slot, at) in found {
            if let Whereabouts::Within(from, to) = at {
                vague.push((from, to, slot));
            }
        }
        vague.sort_unstable();
        let mut stretches: Vec<(u64, u64, Vec<u32>)> = Vec::new();
        for (from, to, slot) in vague {
            match stretches.last_mut().filter(|(_, end, _)| from < *end) {
                Some((_, end, members)) => {
                    *end = to.max(*end);
                    members.push(slot);
                }
                None => stretches.push((from, to, vec![slot])),
            }
        }
        let (from, end, members) = stretches
            .into_iter()
            .filter(|(from, end, members)| self.worth_reading(members.len(), *from, *end))
            .max_by_key(|(_, _, members)| members.len())?;
        Some(self.region(from, end, members))
    }

    /// So much is due that the stretch from the first to the last is read.
    fn read_all(&self, book: &Book, due: &[u32]) -> Planned {
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
            let Some(entry) = book.entry(slot) else {
                continue;
            };
            let wants_its_own = entry.wants_its_own_look() && self.strategy.has_looks();
            if entry.kind == Kind::Orderless || wants_its_own {
                planned.inquiries.push_back(Inquiry::One(slot));
            } else if let Some(place) = entry.position() {
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
        planned.region = (from < end).then(|| self.region(from, end, members));
        planned
    }
}

/// Of very many due entries, those whose turns come first.
fn first_turns<'a>(book: &Book, due: &'a [u32]) -> Cow<'a, [u32]> {
    if due.len() <= MOST_PLANNED {
        return Cow::Borrowed(due);
    }
    let overdue = MOST_PLANNED / OVERDUE_SHARE;
    let mut due = due.to_vec();
    due.select_nth_unstable_by_key(overdue, |&slot| book.entry(slot).map(|e| (e.due, e.id)));
    let others = &mut due[overdue..];
    let fresh = MOST_PLANNED - overdue;
    let age = |&slot: &u32| Reverse(book.entry(slot).map(|e| (e.created_at(), e.id)));
    others.select_nth_unstable_by_key(fresh, age);
    due.truncate(MOST_PLANNED);
    Cow::Owned(due)
}

/// The due entries in the order of their turns: freshest first, every fourth the longest overdue.
fn ranked(book: &Book, due: &[u32], turn: usize) -> Vec<u32> {
    let entry = |slot: u32| book.entry(slot);
    let mut fresh: Vec<u32> = due.to_vec();
    fresh.sort_unstable_by_key(|&slot| Reverse(entry(slot).map(|e| (e.created_at(), e.id))));
    let mut overdue: Vec<u32> = due.to_vec();
    overdue.sort_unstable_by_key(|&slot| entry(slot).map(|e| (e.due, e.id)));
    let mut taken = HashSet::with_capacity(due.len());
    let mut ranked = Vec::with_capacity(due.len());
    let (mut fresh, mut overdue) = (fresh.into_iter(), overdue.into_iter());
    while ranked.len() < due.len() {
        let overdue_turn = (turn + ranked.len()) % OVERDUE_SHARE == OVERDUE_SHARE - 1;
        let next = if overdue_turn {
            overdue.find(|slot| !taken.contains(slot))
        } else {
            fresh.find(|slot| !taken.contains(slot))
        };
        let Some(slot) = next else { break };
        taken.insert(slot);
        ranked.push(slot);
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::invoice::InvoiceId;
    use crate::domain::state::Status;
    use crate::domain::time::UnixMillis;
    use crate::store::DueRow;

    const NEWEST: i64 = 1_800_000_000_000;

    /// Row `n` was inserted in second `n`.
    fn row(n: i64) -> DueRow {
        DueRow {
            id: InvoiceId(n),
            external_id: format!("E{n}").as_str().into(),
            order_id: Some(format!("{n}").as_str().into()),
            amount: None,
            status: Status::Pending,
            created_at: UnixMillis(NEWEST + n * 1000),
            expiry: UnixMillis(NEWEST * 2),
            next_poll_at: UnixMillis(NEWEST),
            looked_at: true,
            unsettled: false,
        }
    }

    /// A book of `count` rows that are due, and their slots.
    fn book(count: i64) -> (Book, Vec<u32>) {
        let mut book = Book::default();
        for n in 0..count {
            book.adopt(&row(n), 0);
        }
        let due = book.due(0).to_vec();
        (book, due)
    }

    /// As `book`, each `apart` places from the one before.
    fn placed(count: i64, apart: u64) -> (Book, Vec<u32>) {
        let (mut book, due) = book(count);
        for (place, &slot) in due.iter().enumerate() {
            book.place(slot, place as u64 * apart);
        }
        (book, due)
    }

    fn plan(strategy: Strategy, total: u64, book: &Book, due: &[u32]) -> Planned {
        plan_with(strategy, total, 10_000, book, due)
    }

    fn plan_with(
        strategy: Strategy,
        total: u64,
        page_limit: u32,
        book: &Book,
        due: &[u32],
    ) -> Planned {
        outlook(strategy, page_limit, &known(total)).plan(book, due)
    }

    fn plan_counted(strategy: Strategy, total: u64, book: &Book, due: &[u32]) -> Planned {
        let positions = known(total);
        let outlook = Outlook {
            count: Count::Told,
            ..outlook(strategy, 10_000, &positions)
        };
        outlook.plan(book, due)
    }

    fn known(total: u64) -> Positions {
        let mut positions = Positions::default();
        positions.learn_total(total);
        positions
    }

    fn outlook(strategy: Strategy, page_limit: u32, positions: &Positions) -> Outlook<'_> {
        Outlook {
            positions,
            strategy,
            page_limit,
            item_bytes: 400,
            count: Count::NotAsked,
            turn: 0,
        }
    }

    /// Single looks and pages of a plan; every entry is covered once.
    fn shape(planned: &Planned) -> (usize, usize) {
        let mut covered = HashSet::new();
        let (mut ones, mut pages) = (0, 0);
        for inquiry in &planned.inquiries {
            match inquiry {
                Inquiry::One(slot) => {
                    ones += 1;
                    assert!(covered.insert(*slot));
                }
                Inquiry::Page { covers, .. } => {
                    pages += 1;
                    assert!(covers.iter().all(|slot| covered.insert(*slot)));
                }
                Inquiry::Batch(_) => panic!("no provider has batches"),
            }
        }
        if let Some(region) = &planned.region {
            assert!(region.members.iter().all(|slot| covered.insert(*slot)));
        }
        (ones, pages)
    }

    #[test]
    fn nothing_due_asks_nothing() {
        for strategy in [Strategy::Auto, Strategy::List] {
            let planned = plan(strategy, 5000, &Book::default(), &[]);
            assert!(planned.inquiries.is_empty() && planned.region.is_none());
            assert!(!planned.needs_count);
        }
    }

    #[test]
    fn a_few_that_stand_far_apart_are_asked_about_alone() {
        let (book, due) = placed(5, 1000);
        assert_eq!(shape(&plan(Strategy::Auto, 5000, &book, &due)), (5, 0));
        let by_list = plan(Strategy::List, 5000, &book, &due);
        assert_eq!(shape(&by_list), (0, 5), "or each by a small page");
    }

    #[test]
    fn many_that_stand_together_share_a_page() {
        let (book, due) = placed(300, 1);
        let planned = plan(Strategy::Auto, 1000, &book, &due);
        assert_eq!(shape(&planned), (0, 1));
        let Some(Inquiry::Page { offset, count, .. }) = planned.inquiries.front() else {
            panic!("{planned:?}")
        };
        assert_eq!((*offset, u64::from(*count)), (0, 300 + MARGIN));
    }

    #[test]
    fn a_page_at_the_end_reaches_beyond_it() {
        let (book, due) = placed(300, 1);
        let planned = plan(Strategy::Auto, 300, &book, &due);
        let Some(Inquiry::Page { count, .. }) = planned.inquiries.front() else {
            panic!("{planned:?}")
        };
        assert_eq!(*count, 10_000, "new orders cost nothing if there are none");
    }

    #[test]
    fn many_whose_places_nobody_knows_are_looked_for_by_reading_all() {
        let (book, due) = book(300);
        let unknown_length = plan(Strategy::Auto, 0, &book, &due);
        assert!(unknown_length.needs_count && unknown_length.region.is_none());
        assert!(unknown_length.inquiries.is_empty(), "the count comes first");
        let uncounted = plan(Strategy::Auto, 1000, &book, &due);
        assert!(uncounted.needs_count, "pages alone do not show the end");
        let planned = plan_counted(Strategy::Auto, 1000, &book, &due);
        assert_eq!(shape(&planned), (0, 0));
        let region = planned.region.unwrap();
        assert_eq!((region.from, region.to, region.end), (0, 1000, 1000));
        assert_eq!(region.members.len(), 300);
        let too_long = plan(Strategy::Auto, 100_000, &book, &due);
        assert_eq!(shape(&too_long), (300, 0), "not worth reading");
    }

    #[test]
    fn without_pages_every_order_is_asked_about_alone() {
        for (book, due) in [placed(300, 1), book(300)] {
            let planned = plan_with(Strategy::Auto, 1000, 0, &book, &due);
            assert_eq!(shape(&planned), (300, 0));
            assert!(planned.region.is_none() && !planned.needs_count);
        }
    }

    #[test]
    fn what_no_page_can_answer_gets_a_look_of_its_own() {
        let (mut book, due) = placed(300, 1);
        book.entry_mut(due[10]).unwrap().kind = Kind::Nudged;
        book.entry_mut(due[20]).unwrap().doubtful = true;
        book.entry_mut(due[30]).unwrap().lost = true;
        book.entry_mut(due[40]).unwrap().kind = Kind::Orderless;
        assert_eq!(shape(&plan(Strategy::Auto, 1000, &book, &due)), (4, 1));
        let by_list = plan(Strategy::List, 1000, &book, &due);
        assert_eq!(shape(&by_list), (1, 1), "only creations go past the list");
    }

    #[test]
    fn of_very_many_the_whole_stretch_is_read() {
        let count = i64::try_from(MOST_PLANNED).unwrap() + 1;
        let (mut book, due) = book(count);
        for (place, &slot) in due.iter().enumerate() {
            book.place(slot, 1000 + place as u64);
        }
        book.entry_mut(due[0]).unwrap().kind = Kind::Nudged;
        let planned = plan(Strategy::Auto, 50_000, &book, &due);
        assert_eq!(planned.inquiries, [Inquiry::One(due[0])]);
        let region = planned.region.unwrap();
        let last = 1000 + count.unsigned_abs() - 1;
        assert_eq!(
            (region.from, region.end),
            (1001 - MARGIN, last + MARGIN + 1)
        );
        assert!(region.members.is_empty(), "all places are known");
        let unknown_length = plan(Strategy::Auto, 0, &book, &due);
        assert!(unknown_length.needs_count && unknown_length.region.is_none());
    }

    #[test]
    fn every_fourth_turn_is_that_of_the_longest_overdue() {
        let mut book = Book::default();
        // The oldest invoices have waited longest.
        for n in 0..8 {
            book.adopt(&row(n), 10 + u32::try_from(n).unwrap());
        }
        let due = book.due(100).to_vec();
        let turns = ranked(&book, &due, 0);
        let ids: Vec<i64> = turns.iter().map(|&s| book.entry(s).unwrap().id.0).collect();
        assert_eq!(ids, [7, 6, 5, 0, 4, 3, 2, 1]);
        let later = ranked(&book, &due, 3);
        assert_eq!(book.entry(later[0]).unwrap().id.0, 0, "the fourth turn");
        let planned = plan_with(Strategy::Auto, 0, 0, &book, &due);
        let ones: Vec<Inquiry<u32>> = turns.into_iter().map(Inquiry::One).collect();
        assert_eq!(planned.inquiries, ones, "the plan keeps to the turns");
    }
}
