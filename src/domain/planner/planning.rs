//! The planner of one account: what it knows, and when and how it plans.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::candidate::CandidateLookup;
use super::cover::PlannedRequest;
use super::details::Details;
use super::outlook::{MOST_PLANNED, Outlook, REQUEST_BYTES};
use super::sweep::Sweep;
use super::terms::{Shapes, Terms};
use super::watch::Watch;
use crate::domain::listing::Listing;

/// A plan holds so long while entries become due one by one.
const PLAN_HOLDS: Duration = Duration::from_millis(200);
/// And so long while none do.
const UNCHANGED_PLAN_HOLDS: Duration = Duration::from_secs(2);

/// The planner of one account. Times are of the monotonic clock.
#[derive(Debug)]
pub struct Planner {
    pub(super) terms: Terms,
    /// What is known of the list.
    pub listing: Listing,
    /// What is due, most urgent first, as planned last.
    pub(super) requests: VecDeque<PlannedRequest<u32>>,
    pub(super) planned_at: Duration,
    pub(super) planned_due: usize,
    pub(super) sweep: Option<Sweep>,
    pub(super) needs_count: bool,
    pub(super) watch: Watch,
    pub(super) details: Details,
}

impl Planner {
    /// Nothing is known and nothing planned yet.
    pub fn new(terms: Terms, now: Duration) -> Self {
        // Without single polls the pages for what is due are all there is.
        let watches = terms.shapes.has_fetches() && terms.shapes.page_limit > 0;
        let bytes_per_second = if watches {
            terms.list_bytes_per_second
        } else {
            0
        };
        Self {
            terms,
            listing: Listing::default(),
            requests: VecDeque::new(),
            planned_at: Duration::ZERO,
            planned_due: 0,
            sweep: None,
            needs_count: false,
            watch: Watch::new(bytes_per_second, terms.intervals, now),
            details: Details::default(),
        }
    }

    /// Which requests may be made.
    pub fn shapes(&self) -> Shapes {
        self.terms.shapes
    }

    /// Whether so many due entries want a new plan now.
    pub fn wants_plan(&self, due: usize, now: Duration) -> bool {
        let grew = due > self.planned_due;
        let hold = if grew {
            PLAN_HOLDS
        } else {
            UNCHANGED_PLAN_HOLDS
        };
        let has_work = !self.requests.is_empty() || self.sweep.is_some();
        let holds = now < self.planned_at + hold && has_work;
        due > 0 && !holds
    }

    /// Whether so many due entries are covered by reading all of the list that holds them.
    pub fn sweeps(&self, due: usize, now: Duration) -> bool {
        due > MOST_PLANNED && self.outlook(now).shapes.page_limit > 0
    }

    /// Most entries that are planned one by one.
    pub fn most_planned(&self) -> usize {
        MOST_PLANNED
    }

    /// Plans `due` entries anew, most urgent first; `all` are due.
    pub fn plan(&mut self, due: &[u32], view: &CandidateLookup<'_>, now: Duration, all: usize) {
        self.planned_due = all;
        self.planned_at = now;
        let outlook = self.outlook(now);
        let planned = match &self.sweep {
            // It finds its own members.
            Some(sweep) if !sweep.members.is_empty() => {
                let members: HashSet<u32> = sweep.members.iter().copied().collect();
                let others = due.iter().filter(|slot| !members.contains(slot));
                outlook.plan(&others.copied().collect::<Vec<_>>(), view)
            }
            Some(_) | None => outlook.plan(due, view),
        };
        self.requests = planned.requests;
        self.needs_count = planned.needs_count;
        if self.sweep.is_none() {
            self.sweep = planned.sweep;
        }
    }

    /// While a sweep goes on that covers the others: plans only those of `due`, most urgent first, that
    /// no page shows.
    pub fn plan_beside_sweep(&mut self, due: &[u32], now: Duration, all: usize) {
        self.planned_due = all;
        self.planned_at = now;
        let alone = due.iter().map(|slot| PlannedRequest::Fetch(vec![*slot]));
        self.requests = alone.collect();
    }

    /// Whether a sweep goes on.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Nothing is due.
    pub fn clear(&mut self) {
        self.requests.clear();
    }

    /// Something became due that nobody should wait for long: the plan holds no longer than it must.
    pub fn expect_urgent(&mut self) {
        self.planned_due = 0;
    }

    /// The next plan is made at once.
    pub fn plan_again(&mut self) {
        self.planned_at = Duration::ZERO;
        self.planned_due = 0;
    }

    fn outlook(&self, now: Duration) -> Outlook<'_> {
        let shapes = self.terms.shapes;
        let fails = self.listing.fails() && now < self.listing.not_before();
        let pages_work = !shapes.has_fetches() || !fails;
        Outlook {
            positions: &self.listing.positions,
            shapes: Shapes {
                page_limit: if pages_work { self.page_limit() } else { 0 },
                ..shapes
            },
            item_bytes: self.listing.item_bytes(),
            request_bytes: self.request_bytes(),
            count: self.listing.count_lately(now),
        }
    }

    /// Bytes that one request is worth: those that the list may cost in the time that one request
    /// takes from the account's budget.
    fn request_bytes(&self) -> u64 {
        let rate = self.terms.requests_per_second;
        if rate <= 0.0 {
            return REQUEST_BYTES;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a positive number of bytes; what is too large is cut"
        )]
        let bytes = (self.terms.list_bytes_per_second as f64 / rate) as u64;
        bytes.max(REQUEST_BYTES)
    }

    /// Most items that a page is asked for: as many as pages were seen to hold.
    pub(super) fn page_limit(&self) -> u32 {
        let offered = self.terms.shapes.page_limit;
        self.listing.positions.page_limit(offered)
    }

    /// Until when an order that a page showed at `position` need not be polled, since the watch is to
    /// show it; None where it does not, or not soon enough.
    pub fn watched_until(&self, position: u64, now: Duration) -> Option<Duration> {
        self.watch.shows_by(position, now)
    }
}
