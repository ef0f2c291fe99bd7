//! The planner of one account: its state, and when it plans.

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

/// How long a plan is kept while further entries become due.
const PLAN_HOLDS: Duration = Duration::from_millis(200);
/// How long a plan is kept while no further entries become due.
const UNCHANGED_PLAN_HOLDS: Duration = Duration::from_secs(2);

/// The planner of one account. Times are by the monotonic clock.
#[derive(Debug)]
pub struct Planner {
    pub(super) terms: Terms,
    /// What is known of the list.
    pub listing: Listing,
    /// The requests for due entries, most urgent first.
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
        // Without single requests, pages are read only for due entries.
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

    /// Whether a new plan is needed now that `due` entries are due.
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

    /// Whether `due` entries are covered by reading the whole stretch of the list that holds them.
    pub fn sweeps(&self, due: usize, now: Duration) -> bool {
        due > MOST_PLANNED && self.outlook(now).shapes.page_limit > 0
    }

    /// Maximum number of entries to plan individually.
    pub fn most_planned(&self) -> usize {
        MOST_PLANNED
    }

    /// Plans the `due` entries again, most urgent first; `all` is the total number of due entries.
    pub fn plan(&mut self, due: &[u32], view: &CandidateLookup<'_>, now: Duration, all: usize) {
        self.planned_due = all;
        self.planned_at = now;
        let outlook = self.outlook(now);
        let planned = match &self.sweep {
            // The sweep finds its own members.
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

    /// Plans only those of `due`, most urgent first, that no page shows; the sweep in progress
    /// covers the others.
    pub fn plan_beside_sweep(&mut self, due: &[u32], now: Duration, all: usize) {
        self.planned_due = all;
        self.planned_at = now;
        let alone = due.iter().map(|slot| PlannedRequest::Fetch(vec![*slot]));
        self.requests = alone.collect();
    }

    /// Whether a sweep is in progress.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Nothing is due.
    pub fn clear(&mut self) {
        self.requests.clear();
    }

    /// Limits the age of the plan because an urgent entry became due.
    pub fn expect_urgent(&mut self) {
        self.planned_due = 0;
    }

    /// Makes the next plan at once.
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

    /// Fixed cost of a request: the bytes that the list may cost in the time that one request takes
    /// of the account's rate limit.
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

    /// Maximum length of a page, by the learned capacity.
    pub(super) fn page_limit(&self) -> u32 {
        let offered = self.terms.shapes.page_limit;
        self.listing.positions.page_limit(offered)
    }

    /// The time until which an order shown at `position` need not be polled, because the watch will
    /// show it; None if the watch does not show it, or not soon enough.
    pub fn watched_until(&self, position: u64, now: Duration) -> Option<Duration> {
        self.watch.shows_by(position, now)
    }
}
