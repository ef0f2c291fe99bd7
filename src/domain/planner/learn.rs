//! Updates the planner from answers of the list.

use std::time::Duration;

use super::list_request::Why;
use super::planning::Planner;
use crate::domain::listing::PageSummary;
use crate::domain::time::UnixMillis;

/// A completed sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Entries that it searched for.
    pub members: Vec<u32>,
    /// Whether it read the whole list, so that an order it did not show does not exist.
    pub was_all: bool,
}

impl Planner {
    /// Records the number of orders that the provider reported.
    pub fn learn_count(&mut self, total: u64, now: Duration) {
        self.listing.learn_count(total, now);
        self.needs_count = false;
        self.planned_at = Duration::ZERO;
    }

    /// Records a page that was read completely. Returns the entries that a sweep should have shown
    /// by now, and whether an order it did not show is missing from the whole list.
    pub fn learn_page(
        &mut self,
        why: &Why,
        page: &PageSummary,
        bytes: u64,
        now: Duration,
    ) -> Option<Swept> {
        self.listing.learn_page(page, bytes);
        match why {
            Why::Due(_) => self.planned_at = Duration::ZERO,
            Why::Watch => self.watch.learn(page, bytes, now),
            Why::Sweep => return self.advance_sweep(page),
            Why::Details | Why::Count => {}
        }
        None
    }

    /// Advances the sweep by a page. Returns its result if it is complete.
    fn advance_sweep(&mut self, page: &PageSummary) -> Option<Swept> {
        let page_limit = self.page_limit();
        let sweep = self.sweep.as_mut()?;
        let falls_short = sweep.falls_short(page);
        if !falls_short && !sweep.advance(page, page_limit) {
            return None;
        }
        let swept = Swept {
            was_all: sweep.was_all(),
            members: std::mem::take(&mut sweep.members),
        };
        self.sweep = None;
        self.planned_at = Duration::ZERO;
        (!falls_short).then_some(swept)
    }

    /// Records a failed request to the list.
    pub fn fail_list(&mut self, why: &Why, now: Duration) {
        match why {
            Why::Count => self.listing.fail_count(now),
            Why::Due(_) | Why::Sweep | Why::Watch | Why::Details => self.listing.fail_page(now),
        }
        if self.listing.fails() && self.terms.shapes.has_fetches() {
            self.sweep = None;
            self.planned_at = Duration::ZERO;
        }
    }

    /// Adds an order whose payment lacks its amounts.
    pub fn want_details(
        &mut self,
        order_id: &str,
        created_at: Option<UnixMillis>,
        position: Option<u64>,
        now: Duration,
    ) {
        if self.terms.shapes.page_limit > 0 {
            self.details.want(order_id, created_at, position, now);
        }
    }

    /// Removes an order whose amounts are known.
    pub fn have_details(&mut self, order_id: &str) {
        self.details.have(order_id);
    }
}
