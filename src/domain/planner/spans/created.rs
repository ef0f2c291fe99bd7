//! Selects spans of creation time of which one page shows several due entries.
//!
//! Positions in the list follow from creation times; how many other orders were created in a span
//! is learned from the pages. A page is read only where it is expected to replace several single
//! polls, and further pages only as long as the previous ones were worth it. So the total is hardly
//! ever above the number of single polls.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::domain::time::UnixMillis;

/// An invoice may be inserted this long after its order was created, or before.
const BEFORE: Duration = Duration::from_mins(2);
const AFTER: Duration = Duration::from_mins(1);

/// A due entry and when its row was inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedCandidate {
    /// The entry.
    pub slot: u32,
    /// When its row was inserted.
    pub created_at: UnixMillis,
}

/// Entries that a reading should have shown but did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed(pub Vec<u32>);

/// A span with the entries that it is read for.
#[derive(Debug)]
struct CreatedSpan {
    from: UnixMillis,
    until: UnixMillis,
    members: Vec<u32>,
}

/// Readings of orders by creation time.
#[derive(Debug)]
pub(super) struct CreatedSpans {
    page_limit: u64,
    /// Minimum number of entries for which a page is read.
    least: usize,
    planned: VecDeque<CreatedSpan>,
    /// Entries of the reading in progress that were not shown yet.
    left: HashSet<u32>,
    /// Number of entries that it has polled.
    polled: usize,
    /// Orders seen in the spans that were read, and the length of those spans.
    density: Option<(u64, Duration)>,
}

impl CreatedSpans {
    pub(super) fn new(page_limit: u32, is_preferred: bool) -> Self {
        Self {
            page_limit: page_limit.into(),
            least: if is_preferred { 1 } else { 2 },
            planned: VecDeque::new(),
            left: HashSet::new(),
            polled: 0,
            density: None,
        }
    }

    /// Plans again. Returns the entries that no page is planned for, in their order.
    pub(super) fn plan(&mut self, due: &[CreatedCandidate], is_usable: bool) -> Vec<u32> {
        self.planned.clear();
        let others = || due.iter().filter(|one| !self.left.contains(&one.slot));
        if !is_usable {
            return others().map(|one| one.slot).collect();
        }
        let mut by_time: Vec<CreatedCandidate> = others().copied().collect();
        by_time.sort_unstable_by_key(|one| (one.created_at, one.slot));
        let mut covered = HashSet::new();
        let mut rest = by_time.as_slice();
        while let [_, ..] = rest {
            let size = self.size_of_group(rest);
            let (group, others) = rest.split_at(size);
            rest = others;
            if let ([first, ..], [.., last]) = (group, group)
                && group.len() >= self.least
            {
                let members: Vec<u32> = group.iter().map(|one| one.slot).collect();
                covered.extend(members.iter().copied());
                self.planned.push_back(CreatedSpan {
                    from: first.created_at.minus(BEFORE),
                    until: last.created_at.plus(AFTER),
                    members,
                });
            }
        }
        let slots = due.iter().map(|one| one.slot);
        let is_left = |slot: &u32| !covered.contains(slot) && !self.left.contains(slot);
        slots.filter(is_left).collect()
    }

    /// How many of the first entries form a group: as many as fit on one page, or all of them if
    /// there are at least twice as many entries as pages.
    fn size_of_group(&self, by_time: &[CreatedCandidate]) -> usize {
        let pages = |size: usize| {
            let span = by_time[size - 1].created_at.since(by_time[0].created_at);
            let items = self.items_within(span + BEFORE + AFTER).max(size as u64);
            items.div_ceil(self.page_limit.max(1))
        };
        let on_one_page = (2..=by_time.len()).take_while(|size| pages(*size) <= 1);
        match on_one_page.last() {
            Some(size) => size,
            None if pages(by_time.len()) * 2 <= by_time.len() as u64 => by_time.len(),
            None => 1,
        }
    }

    /// Number of orders expected in a span of this length; before anything was learned, only our
    /// own.
    fn items_within(&self, span: Duration) -> u64 {
        let Some((items, read)) = self.density else {
            return 0;
        };
        let items = u128::from(items) * span.as_millis() / read.as_millis().max(1);
        u64::try_from(items).unwrap_or(u64::MAX)
    }

    pub(super) fn has_planned(&self) -> bool {
        !self.planned.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// The next span to read.
    pub(super) fn take(&mut self) -> Option<(UnixMillis, UnixMillis)> {
        let span = self.planned.pop_front()?;
        self.left = span.members.into_iter().collect();
        self.polled = 0;
        Some((span.from, span.until))
    }

    /// Records the entries that a page showed, and the number of entries it polled. Returns whether
    /// the reading has shown everything it was for, or is not worth another page.
    pub(super) fn learn(&mut self, slots: &[u32], polled: usize, pages: u32) -> bool {
        for slot in slots {
            self.left.remove(slot);
        }
        self.polled += polled;
        let next_is_worth_it = self.polled > pages as usize;
        self.left.is_empty() || !next_is_worth_it
    }

    /// Ends the reading.
    pub(super) fn conclude(&mut self) -> Missed {
        let mut missed: Vec<u32> = self.left.drain().collect();
        missed.sort_unstable();
        Missed(missed)
    }

    /// Records the number of items in a span. Earlier measurements count half.
    pub(super) fn learn_density(&mut self, span: Duration, items: u64) {
        let (known, within) = self.density.unwrap_or_default();
        let span = span.max(Duration::from_secs(1));
        self.density = Some((known / 2 + items, within / 2 + span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(count: u32, apart_s: u64) -> Vec<CreatedCandidate> {
        let one = |slot: u32| CreatedCandidate {
            slot,
            created_at: UnixMillis(1_800_000_000_000)
                .plus(Duration::from_secs(u64::from(slot) * apart_s)),
        };
        (0..count).map(one).collect()
    }

    fn spans(created: &mut CreatedSpans) -> Vec<usize> {
        let mut sizes = Vec::new();
        while created.take().is_some() {
            sizes.push(created.conclude().0.len());
        }
        sizes
    }

    #[test]
    fn neighbours_share_pages_and_a_lone_entry_is_polled() {
        let mut created = CreatedSpans::new(100, false);
        assert_eq!(created.plan(&due(1, 1), true), [0]);
        assert_eq!(created.plan(&due(1000, 3), true), [0_u32; 0]);
        let sizes = spans(&mut created);
        assert_eq!(sizes.iter().sum::<usize>(), 1000);
        assert!(sizes.len() <= 10, "{sizes:?}");
    }

    #[test]
    fn single_polls_are_cheaper_where_others_fill_the_pages() {
        let mut created = CreatedSpans::new(100, false);
        created.learn_density(Duration::from_secs(100), 1000);
        let left = created.plan(&due(3, 3600), true);
        assert_eq!(left, [0, 1, 2]);
        // Ten orders a second, of which one in ten is due.
        let many = due(1000, 1);
        assert_eq!(created.plan(&many, true), [0_u32; 0]);
        assert_eq!(spans(&mut created), [1000], "a fifth of the requests");
        let few: Vec<CreatedCandidate> = many.into_iter().step_by(100).collect();
        assert_eq!(created.plan(&few, true).len(), few.len());
    }

    #[test]
    fn a_page_without_wanted_entries_is_the_last() {
        let mut created = CreatedSpans::new(100, false);
        created.plan(&due(50, 1), true);
        created.take().unwrap();
        assert!(created.learn(&[], 0, 1));
        assert_eq!(created.conclude().0.len(), 50);
        created.plan(&due(50, 1), true);
        created.take().unwrap();
        let some: Vec<u32> = (0..20).collect();
        assert!(!created.learn(&some, 20, 1), "worth another");
        assert!(created.learn(&(20..50).collect::<Vec<_>>(), 30, 2));
        assert_eq!(created.conclude().0, [0_u32; 0]);
    }

    #[test]
    fn entries_of_the_current_reading_are_not_planned_again() {
        let mut created = CreatedSpans::new(100, false);
        created.plan(&due(10, 1), true);
        created.take().unwrap();
        assert_eq!(created.plan(&due(10, 1), true), [0_u32; 0]);
        assert!(!created.has_planned());
        assert_eq!(created.plan(&due(11, 1), true), [10]);
    }
}
