//! What is kept for looking by pages of the list: the book of what is due, what is known of places,
//! the plan, the watch. One for each account, and only where the strategy reads the list.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::book;
use super::details::Details;
use super::entry::Kind;
use super::page::{Errand, Fetched, Purpose, Shared, lock};
use super::plan::{Count, MOST_PLANNED, Outlook};
use super::region::Region;
use super::watch::Watch;
use super::{PollSetup, Strategy};
use crate::domain::coverage::Inquiry;
use crate::domain::invoice::InvoiceId;
use crate::domain::positions::{PageSummary, Positions};
use crate::domain::time::UnixMillis;
use crate::store::{ListRecord, QueuePlace};

/// Bytes of an item before any was measured.
const ITEM_BYTES: f64 = 400.0;
/// Weight of a new measurement.
const NEW_MEASURE: f64 = 0.25;
/// The number of orders is taken as known for so long.
const COUNT_HOLDS: Duration = Duration::from_secs(5);
/// After so many failed pages in a row, `auto` goes on without the list for a while.
const PAGES_FAIL_AFTER: u32 = 2;
/// Longest pause after a failed page.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A plan holds so long while entries become due one by one.
const PLAN_HOLDS: Duration = Duration::from_millis(200);
/// And so long while none do.
const UNCHANGED_PLAN_HOLDS: Duration = Duration::from_secs(2);

/// Where the taking in of due rows stands.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) begun: bool,
    /// All plans up to here have been read.
    pub(super) cursor: QueuePlace,
    pub(super) highest_id: InvoiceId,
    /// More is there already.
    pub(super) goes_on: bool,
}

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) intake: Intake,
    pub(super) positions: Positions,
    pub(super) inquiries: VecDeque<Inquiry<u32>>,
    planned_at: Duration,
    planned_due: usize,
    region: Option<Region>,
    needs_count: bool,
    /// When the number of orders was last asked for, and whether it was told.
    count: Option<(Duration, Count)>,
    pub(super) watch: Watch,
    pub(super) details: Details,
    strategy: Strategy,
    page_limit: u32,
    item_bytes: f64,
    failed_pages: u32,
    pub(super) pages_not_before: Duration,
    account_is_stopped: bool,
    /// Single looks begun so far: whose turn the next one is.
    turn: usize,
    record: ListRecord,
    is_recorded: bool,
}

impl Reading {
    /// None for the strategy that never reads the list.
    pub(super) fn new(setup: &PollSetup) -> Option<Self> {
        let now = setup.clock.monotonic();
        let bytes_per_second = match setup.strategy {
            Strategy::Preview => return None,
            Strategy::List => 0,
            Strategy::Auto => setup.list_bytes_per_second,
        };
        let intervals = (setup.cadence.min_interval, setup.cadence.max_interval);
        Some(Self {
            shared: Arc::default(),
            intake: Intake::default(),
            positions: Positions::default(),
            inquiries: VecDeque::new(),
            planned_at: Duration::ZERO,
            planned_due: 0,
            region: None,
            needs_count: false,
            count: None,
            watch: Watch::new(bytes_per_second, intervals, now),
            details: Details::default(),
            strategy: setup.strategy,
            page_limit: setup.provider.page_limit(),
            item_bytes: ITEM_BYTES,
            failed_pages: 0,
            pages_not_before: Duration::ZERO,
            account_is_stopped: false,
            turn: 0,
            record: ListRecord::default(),
            is_recorded: false,
        })
    }

    /// Plans anew what is due, unless the last plan still holds.
    pub(super) fn plan(&mut self, now: Duration, wall: UnixMillis) {
        let shared = Arc::clone(&self.shared);
        let book = &mut lock(&shared).book;
        let due = book.due(book::tick(now));
        if due.is_empty() {
            self.inquiries.clear();
            return;
        }
        let grew = due.len() > self.planned_due;
        let hold = if grew {
            PLAN_HOLDS
        } else {
            UNCHANGED_PLAN_HOLDS
        };
        let holds = now < self.planned_at + hold && !self.inquiries.is_empty();
        let reads_all = self.region.is_some() && due.len() > MOST_PLANNED;
        if holds || self.intake.goes_on || reads_all {
            return;
        }
        self.planned_due = due.len();
        self.planned_at = now;
        let looked_for: HashSet<u32> = match &self.region {
            Some(region) => region.members.iter().copied().collect(),
            None => HashSet::new(),
        };
        let mut wanted = due.to_vec();
        wanted.retain(|slot| {
            if looked_for.contains(slot) {
                return false;
            }
            let Some(entry) = book.entry(*slot) else {
                return false;
            };
            // Once its time is over, a list that still shows it open is not taken at its word.
            let may_wait = !entry.is_new && entry.kind == Kind::Open && wall < entry.expiry();
            let position = entry.position().filter(|_| may_wait);
            let shown = position.and_then(|position| self.watch.shows_by(position, now));
            if let Some(by) = shown {
                book.put_off(*slot, book::tick(by));
            }
            shown.is_none()
        });
        let planned = self.outlook(now).plan(book, &wanted);
        self.inquiries = planned.inquiries;
        self.needs_count = planned.needs_count;
        if self.region.is_none() {
            self.region = planned.region;
        }
    }

    fn outlook(&self, now: Duration) -> Outlook<'_> {
        let may_work = self.failed_pages < PAGES_FAIL_AFTER || now >= self.pages_not_before;
        let pages_work = !self.strategy.has_looks() || may_work && !self.pages_rest();
        Outlook {
            positions: &self.positions,
            strategy: self.strategy,
            page_limit: if pages_work { self.page_limit() } else { 0 },
            item_bytes: self.item_bytes(),
            count: self.count_lately(now),
            turn: self.turn,
        }
    }

    /// A stopped account makes no request but probes, and these are single looks where the strategy
    /// allows them: what is due must not be planned by page then, or nobody would ever probe.
    pub(super) fn pages_rest(&self) -> bool {
        self.account_is_stopped && self.strategy == Strategy::Auto
    }

    /// The account stops but for probes, or works again: what was planned holds no more.
    pub(super) fn account_stops(&mut self, stopped: bool) {
        self.account_is_stopped = stopped;
        if self.strategy == Strategy::Auto {
            self.inquiries.clear();
            self.region = None;
            self.needs_count = false;
            self.planned_due = 0;
            self.planned_at = Duration::ZERO;
        }
    }

    fn count_lately(&self, now: Duration) -> Count {
        let lately = self.count.filter(|(at, _)| now < *at + COUNT_HOLDS);
        lately.map_or(Count::NotAsked, |(_, count)| count)
    }

    fn item_bytes(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive mean of measured sizes"
        )]
        let bytes = self.item_bytes as u64;
        bytes.max(1)
    }

    /// Most items that a page is asked for.
    pub(super) fn page_limit(&self) -> u32 {
        self.positions.page_limit(self.page_limit)
    }

    /// Whether nothing that is due waits for its turn.
    pub(super) fn is_idle(&self) -> bool {
        self.inquiries.is_empty() && self.region.is_none() && !self.needs_count
    }

    /// The errand for what is due that comes next, if it is one to the list.
    pub(super) fn errand_for_due(&mut self) -> Option<Errand> {
        if std::mem::take(&mut self.needs_count) {
            return Some(Errand::count());
        }
        if let Some(region) = &self.region {
            let (offset, count) = region.page(&self.positions, self.page_limit());
            return Some(Errand {
                purpose: Purpose::Region,
                offset,
                count,
            });
        }
        let is_page = |inquiry: &Inquiry<u32>| matches!(inquiry, Inquiry::Page { .. });
        let first = self.inquiries.iter().position(is_page)?;
        match self.inquiries.remove(first) {
            Some(Inquiry::Page {
                offset,
                count,
                covers,
            }) => Some(Errand {
                purpose: Purpose::Cover(covers),
                offset,
                count,
            }),
            Some(Inquiry::One(_) | Inquiry::Batch(_)) | None => None,
        }
    }

    /// The page of the watch, or what has to be known before it.
    pub(super) fn watch_errand(&mut self, now: Duration) -> Option<Errand> {
        if self.positions.total() == 0 && self.count_lately(now) == Count::NotAsked {
            return Some(Errand::count());
        }
        let item_bytes = self.item_bytes();
        let limit = self.page_limit();
        let page = self.watch.page(&self.positions, limit, item_bytes, now);
        page.map(|(offset, count)| Errand {
            purpose: Purpose::Watch,
            offset,
            count,
        })
    }

    /// Whether looks at single orders are planned.
    pub(super) fn has_ones(&self) -> bool {
        let is_one = |inquiry: &Inquiry<u32>| matches!(inquiry, Inquiry::One(_));
        self.inquiries.iter().any(is_one)
    }

    /// Up to `most` entries whose turn for a look of their own has come, marked as asked.
    pub(super) fn take_ones(&mut self, most: usize) -> Vec<(u32, InvoiceId)> {
        let mut shared = lock(&self.shared);
        let mut ones = Vec::new();
        let mut kept = VecDeque::new();
        for inquiry in self.inquiries.drain(..) {
            match inquiry {
                Inquiry::One(slot) if ones.len() < most => {
                    let entry = shared.book.entry_mut(slot);
                    if let Some(entry) = entry.filter(|entry| entry.waits && !entry.asked) {
                        entry.asked = true;
                        ones.push((slot, entry.id));
                    }
                }
                other => kept.push_back(other),
            }
        }
        self.inquiries = kept;
        self.turn = self.turn.wrapping_add(ones.len());
        ones
    }

    /// Takes in what an errand showed. Returns the entries that a complete reading of the list did
    /// not show, when it has just ended.
    pub(super) fn learn(&mut self, fetched: &Fetched, now: Duration, wall: UnixMillis) -> Vec<u32> {
        let Ok(bytes) = fetched.result else {
            self.fail_page(now, fetched.errand.purpose == Purpose::Count);
            return Vec::new();
        };
        self.failed_pages = 0;
        if let Some(total) = fetched.total {
            self.positions.learn_count(total);
            self.count = Some((now, Count::Told));
            self.needs_count = false;
            self.planned_at = Duration::ZERO;
            return Vec::new();
        }
        let page = &fetched.summary;
        self.learn_page(page, bytes, wall);
        match &fetched.errand.purpose {
            // What stands behind the place where it was cut short is planned anew.
            Purpose::Cover(_) if self.positions.was_cut_short(page) => {
                self.planned_at = Duration::ZERO;
            }
            Purpose::Cover(covers) => self.unplace_missing(covers, &fetched.shown),
            Purpose::Watch => self.watch.learn(page, bytes, now),
            Purpose::Region => return self.advance_region(page),
            Purpose::Details | Purpose::Count => {}
        }
        Vec::new()
    }

    fn fail_page(&mut self, now: Duration, was_count: bool) {
        self.failed_pages = self.failed_pages.saturating_add(1);
        let pause = Duration::from_secs(1 << self.failed_pages.min(6));
        self.pages_not_before = now + pause.min(LONGEST_PAUSE);
        if self.strategy == Strategy::Auto && self.failed_pages >= PAGES_FAIL_AFTER {
            self.region = None;
            self.planned_at = Duration::ZERO;
        }
        if was_count {
            self.count = Some((now, Count::NotTold));
        }
    }

    fn learn_page(&mut self, page: &PageSummary, bytes: u64, wall: UnixMillis) {
        self.positions.learn_page(page);
        if page.items > 0 {
            #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
            let measured = bytes as f64 / page.items as f64;
            self.item_bytes += (measured - self.item_bytes) * NEW_MEASURE;
        }
        self.record.read_at = Some(wall);
        self.record.read_from = i64::try_from(page.offset).ok();
        self.record.read_to = i64::try_from(page.offset + page.items).ok();
    }

    fn unplace_missing(&mut self, covers: &[u32], shown: &[u32]) {
        let shown: HashSet<u32> = shown.iter().copied().collect();
        let mut shared = lock(&self.shared);
        for slot in covers.iter().filter(|slot| !shown.contains(slot)) {
            shared.book.unplace(*slot);
        }
        self.planned_at = Duration::ZERO;
    }

    /// A page of the region is done. At the end of a complete reading: who was not shown.
    fn advance_region(&mut self, page: &PageSummary) -> Vec<u32> {
        let page_limit = self.page_limit();
        let Some(region) = self.region.as_mut() else {
            return Vec::new();
        };
        if region.falls_short(page) {
            self.region = None;
            self.planned_at = Duration::ZERO;
            return Vec::new();
        }
        if !region.advance(page, page_limit) {
            return Vec::new();
        }
        let was_all = region.was_all();
        let members = std::mem::take(&mut region.members);
        self.region = None;
        self.planned_at = Duration::ZERO;
        let mut shared = lock(&self.shared);
        let mut missing = Vec::new();
        for slot in members {
            let entry = shared.book.entry_mut(slot);
            if let Some(entry) = entry.filter(|entry| entry.position().is_none()) {
                entry.misplaced = true;
                entry.lost = was_all;
                missing.push(slot);
            }
        }
        if was_all { missing } else { Vec::new() }
    }

    /// Whether nothing of the list has been written down yet.
    pub(super) fn wants_record(&self) -> bool {
        !self.is_recorded && self.record.read_at.is_some()
    }

    /// What the account's row is to remember.
    pub(super) fn list_record(&mut self, wall: UnixMillis) -> ListRecord {
        self.is_recorded = self.record.read_at.is_some();
        if self.positions.total() > 0 {
            self.record.total = i64::try_from(self.positions.total()).ok();
            self.record.floor = i64::try_from(self.positions.floor()).ok();
            self.record.positions = Some(self.positions.to_text());
        }
        let has_read_all = self.intake.begun && !self.intake.goes_on;
        if has_read_all && lock(&self.shared).book.is_caught_up() {
            self.record.caught_up_at = Some(wall);
        }
        self.record.clone()
    }
}
