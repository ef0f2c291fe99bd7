//! The planner: from what is due, what is known of the list, and what requests cost, to the requests
//! to make. Pure.
//!
//! `cover` finds the cheapest requests for orders whose place in the list is known; `outlook` guesses
//! places, and has a whole stretch read by a `sweep` where that is cheaper. Beyond what is due the
//! `watch` reads the page of the newest orders, and `details` the amounts of payments.

pub mod cover;
mod details;
mod outlook;
pub mod spans;
mod sweep;
mod watch;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use self::cover::{By, PlannedRequest};
use self::details::Details;
use self::outlook::{MOST_PLANNED, Outlook, REQUEST_BYTES};
use self::sweep::Sweep;
use self::watch::Watch;
use super::listing::{Count, Listing, PageSummary};
use super::time::UnixMillis;

/// A plan holds so long while entries become due one by one.
const PLAN_HOLDS: Duration = Duration::from_millis(200);
/// And so long while none do.
const UNCHANGED_PLAN_HOLDS: Duration = Duration::from_secs(2);

/// Which requests may be made: what the provider offers, as far as the strategy allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shapes {
    /// One order by its id.
    pub single: bool,
    /// Most orders by their ids in one request; 0 = no batches.
    pub batch_limit: u32,
    /// Most items of the order list that one page can hold; 0 = no list.
    pub page_limit: u32,
}

impl Shapes {
    /// Whether orders can be asked for by their ids.
    pub fn has_fetches(self) -> bool {
        self.single || self.batch_limit > 0
    }
}

/// Which requests an account may make to poll its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Whichever cover what is due in fewer, cheaper requests.
    Auto,
    /// Only by the orders' ids.
    Single,
    /// Only by pages of the list.
    List,
}

/// What the planner works by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which requests may be made.
    pub shapes: Shapes,
    /// Decoded bytes a second for pages beyond what is due; 0 = none beyond.
    pub list_bytes_per_second: u64,
    /// Requests a second; 0 = no limit.
    pub requests_per_second: f64,
    /// Least and greatest interval of polls.
    pub intervals: (Duration, Duration),
}

/// A due invoice, as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When its row was inserted.
    pub created_at: UnixMillis,
    /// Where its order stands in the list.
    pub place: Place,
    /// Which requests can tell of it.
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

/// A request to the order list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Why it is made.
    pub why: Why,
    /// Number of first orders left out.
    pub offset: u64,
    /// Items to read.
    pub count: u32,
}

/// Why the list is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// These entries are due and expected on the page.
    Due(Vec<u32>),
    /// The next part of a sweep.
    Sweep,
    /// The newest orders, beyond what is due.
    Watch,
    /// The amounts of a payment.
    Details,
    /// Only the number of orders is asked for.
    Count,
}

impl ListRequest {
    fn count() -> Self {
        Self {
            why: Why::Count,
            offset: 0,
            count: 0,
        }
    }
}

/// Entries by their numbers.
pub type CandidateLookup<'a> = dyn Fn(u32) -> Option<Candidate> + 'a;

/// The planner of one account. Times are of the monotonic clock.
#[derive(Debug)]
pub struct Planner {
    terms: Terms,
    /// What is known of the list.
    pub listing: Listing,
    /// What is due, most urgent first, as planned last.
    requests: VecDeque<PlannedRequest<u32>>,
    planned_at: Duration,
    planned_due: usize,
    sweep: Option<Sweep>,
    needs_count: bool,
    watch: Watch,
    details: Details,
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

    // ------------------------------------------------------------------------------ planning

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

    /// Which requests may be made.
    pub fn shapes(&self) -> Shapes {
        self.terms.shapes
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
            // Those that it looks for are found by it.
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
    /// no page tells of.
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

    /// Until when an order that a page showed at `position` need not be polled, since the watch is to
    /// show it; None where it does not, or not soon enough.
    pub fn watched_until(&self, position: u64, now: Duration) -> Option<Duration> {
        self.watch.shows_by(position, now)
    }

    // ------------------------------------------------------------------------------ requests

    /// Whether nothing that is due waits for its turn.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.sweep.is_none() && !self.needs_count
    }

    /// Whether orders are to be asked for by their ids.
    pub fn has_fetches(&self) -> bool {
        self.requests
            .iter()
            .any(|r| matches!(r, PlannedRequest::Fetch(_)))
    }

    /// The next requests for orders by their ids, up to `most` of them with up to `most_orders` in
    /// all; at least one, if there is one.
    pub fn take_fetches(&mut self, most: usize, most_orders: usize) -> Vec<Vec<u32>> {
        let mut taken = Vec::new();
        let mut orders = 0;
        let mut kept = VecDeque::new();
        while let Some(request) = self.requests.pop_front() {
            match request {
                PlannedRequest::Fetch(slots)
                    if taken.len() < most
                        && (taken.is_empty() || orders + slots.len() <= most_orders) =>
                {
                    orders += slots.len();
                    taken.push(slots);
                }
                PlannedRequest::Fetch(_) => {
                    kept.push_back(request);
                    break;
                }
                PlannedRequest::Page { .. } => kept.push_back(request),
            }
        }
        kept.append(&mut self.requests);
        self.requests = kept;
        taken
    }

    /// Most items that a page is asked for: as many as pages were seen to hold.
    fn page_limit(&self) -> u32 {
        let offered = self.terms.shapes.page_limit;
        self.listing.positions.page_limit(offered)
    }

    /// Whether the list may be asked now.
    pub fn may_list(&self, now: Duration) -> bool {
        self.terms.shapes.page_limit > 0 && now >= self.listing.not_before()
    }

    /// The next request to the list for what is due.
    pub fn take_list_request(&mut self) -> Option<ListRequest> {
        if std::mem::take(&mut self.needs_count) {
            return Some(ListRequest::count());
        }
        if let Some(sweep) = &self.sweep {
            let page_limit = self.page_limit();
            let (offset, count) = sweep.page(&self.listing.positions, page_limit);
            return Some(ListRequest {
                why: Why::Sweep,
                offset,
                count,
            });
        }
        let is_page =
            |request: &PlannedRequest<u32>| matches!(request, PlannedRequest::Page { .. });
        let first = self.requests.iter().position(is_page)?;
        match self.requests.remove(first) {
            Some(PlannedRequest::Page {
                offset,
                count,
                covers,
            }) => Some(ListRequest {
                why: Why::Due(covers),
                offset,
                count,
            }),
            Some(PlannedRequest::Fetch(_)) | None => None,
        }
    }

    /// The request to the list for amounts that are missing, if a try is due.
    pub fn take_details_request(&mut self, now: Duration) -> Option<ListRequest> {
        let page_limit = self.page_limit();
        self.details
            .request(&self.listing.positions, page_limit, now)
    }

    /// Whether the watch is due.
    pub fn watch_is_due(&self, now: Duration) -> bool {
        self.watch.next().is_some_and(|at| at <= now)
    }

    /// Nobody waits for money just now.
    pub fn rest_watch(&mut self, now: Duration) {
        self.watch.rest(now);
    }

    /// The page of the watch, or what has to be known before it.
    pub fn take_watch_request(&mut self, now: Duration) -> Option<ListRequest> {
        let is_unknown = self.listing.positions.total() == 0;
        if is_unknown && self.listing.count_lately(now) == Count::NotAsked {
            return Some(ListRequest::count());
        }
        let item_bytes = self.listing.item_bytes();
        let page_limit = self.page_limit();
        let positions = &self.listing.positions;
        let (offset, count) = self.watch.page(positions, page_limit, item_bytes, now)?;
        Some(ListRequest {
            why: Why::Watch,
            offset,
            count,
        })
    }

    /// When the list should be asked beyond what is due.
    pub fn next_beyond(&self) -> Option<Duration> {
        let times = self.watch.next().into_iter().chain(self.details.next());
        times.min().map(|at| at.max(self.listing.not_before()))
    }

    /// A request to the list begins.
    pub fn begin(&mut self, request: &ListRequest, now: Duration) {
        if request.why == Why::Watch {
            self.watch.begun(now);
        }
    }

    // ------------------------------------------------------------------------------ learning

    /// The provider told how many orders there are.
    pub fn learn_count(&mut self, total: u64, now: Duration) {
        self.listing.learn_count(total, now);
        self.needs_count = false;
        self.planned_at = Duration::ZERO;
    }

    /// A page was read to its end. Returns the entries that a sweep should have shown by now, and
    /// whether what it did not show is missing from the whole list.
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

    /// A page of a sweep is done. At its end: what it was for.
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

    /// A request to the list failed.
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

    /// The amounts of this order's payment are wanted.
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

    /// They are known.
    pub fn have_details(&mut self, order_id: &str) {
        self.details.have(order_id);
    }
}

/// A sweep that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Entries that it looked for.
    pub members: Vec<u32>,
    /// Whether it read the whole list, so that what it did not show is not there.
    pub was_all: bool,
}
