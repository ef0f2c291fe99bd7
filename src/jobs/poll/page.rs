//! One request to the order list. While the page arrives, orders of scheduled invoices are
//! recorded; others are kept as observations if they are new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::schedule::{EntryKind, Schedule};
use crate::clock::Clock;
use crate::domain::listing::PageSummary;
use crate::domain::observation::{ObservedOrder, OrderState};
use crate::domain::planner::{ListRequest, Why};
use crate::domain::time::UnixMillis;
use crate::limit::Permit;
use crate::provider::{ListItem, ListOrders, PageVisitor, Provider, ProviderError};

/// Maximum number of orders outside the schedule that are remembered; beyond that all are forgotten
/// and judged again.
const MOST_SEEN: usize = 1 << 16;

/// State shared by the poller and the page being received.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) schedule: Schedule,
    /// Orders outside the schedule that were judged and changed nothing: their fingerprint, and
    /// their position in a list by position.
    seen: HashMap<u64, (u32, Option<u64>)>,
}

impl Shared {
    /// Records that this order changes nothing as long as its fingerprint is the same.
    pub(super) fn note_seen(&mut self, shown: &Shown) {
        if self.seen.len() >= MOST_SEEN {
            self.seen = HashMap::new();
        }
        let order = self.schedule.order_hash(&shown.observed.order_id.0);
        self.seen.insert(order, (shown.fingerprint, shown.position));
    }

    /// Has the order judged again when a page next shows it. Returns its position.
    pub(super) fn forget_seen(&mut self, order_id: &str) -> Option<u64> {
        let order = self.schedule.order_hash(order_id);
        self.seen.remove(&order).and_then(|(_, position)| position)
    }

    /// Whether this order, with this fingerprint, was judged and changed nothing.
    pub(super) fn is_seen(&self, order: u64, fingerprint: u32) -> bool {
        self.seen
            .get(&order)
            .is_some_and(|known| known.0 == fingerprint)
    }

    pub(super) fn forget_all_seen(&mut self) {
        self.seen = HashMap::new();
    }
}

/// The lock is held only briefly, and a panic elsewhere leaves no partial change.
pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An order shown on a page, to be judged.
#[derive(Debug)]
pub(super) struct Shown {
    /// Its position, in a list by position.
    pub(super) position: Option<u64>,
    pub(super) observed: ObservedOrder,
    /// Fingerprint of the list item.
    pub(super) fingerprint: u32,
}

/// A page, or the part of it that arrived.
#[derive(Debug)]
pub(super) struct Page {
    /// Its number in the schedule.
    pub(super) number: u32,
    pub(super) started_at: UnixMillis,
    pub(super) summary: PageSummary,
    /// Entries that it showed.
    pub(super) slots: Vec<u32>,
    /// The entries among them that the page polled without a change.
    pub(super) unchanged: Vec<u32>,
    pub(super) shown: Vec<Shown>,
}

/// The outcome of a request to the list.
pub(super) struct Listed {
    pub(super) request: ListRequest,
    pub(super) permit: Permit,
    /// Number of decoded bytes, or why the page is incomplete.
    pub(super) result: Result<u64, ProviderError>,
    pub(super) total: Option<u64>,
    pub(super) page: Page,
}

/// Requests a page or the count from `provider`, which has a list.
pub(super) async fn list(
    request: ListRequest,
    permit: Permit,
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
) -> Listed {
    let number = lock(&shared).schedule.begin_page();
    let mut visitor = Visitor::new(&shared, &request, number, clock.now());
    let mut total = None;
    let result = match provider.lists() {
        None => Err(ProviderError::Refused("account has no order list".into())),
        Some(orders) => fetch(orders, &request, &mut visitor, &mut total).await,
    };
    visitor.page.summary.last_created = UnixMillis::parse(&visitor.last_created);
    let page = visitor.page;
    Listed {
        request,
        permit,
        result,
        total,
        page,
    }
}

async fn fetch(
    orders: &dyn ListOrders,
    request: &ListRequest,
    visitor: &mut Visitor<'_>,
    total: &mut Option<u64>,
) -> Result<u64, ProviderError> {
    if request.why == Why::Count {
        *total = Some(orders.count().await?);
        return Ok(0);
    }
    let end = orders.page(request.offset, request.count, visitor).await?;
    visitor.page.summary.items = end.items;
    Ok(end.bytes)
}

/// Fingerprint of an order with these terms in this state.
pub(super) fn fingerprint(terms: u32, state: OrderState) -> u32 {
    terms ^ (state as u32).wrapping_mul(0x9E37_79B9)
}

struct Visitor<'a> {
    shared: &'a Mutex<Shared>,
    page: Page,
    all_final_so_far: bool,
    /// As written, of the last item.
    last_created: String,
    /// Of the last selected item.
    fingerprint: u32,
}

impl<'a> Visitor<'a> {
    fn new(
        shared: &'a Mutex<Shared>,
        request: &ListRequest,
        number: u32,
        started_at: UnixMillis,
    ) -> Self {
        Self {
            shared,
            page: Page {
                number,
                started_at,
                summary: PageSummary {
                    offset: request.offset,
                    asked: request.count,
                    ..PageSummary::default()
                },
                slots: Vec::new(),
                unchanged: Vec::new(),
                shown: Vec::new(),
            },
            all_final_so_far: true,
            last_created: String::new(),
            fingerprint: 0,
        }
    }

    fn note(&mut self, item: &ListItem<'_>) {
        let is_final = match item.state {
            OrderState::Paid | OrderState::Expired | OrderState::Cancelled => true,
            OrderState::Open
            | OrderState::Partial
            | OrderState::Authorized
            | OrderState::Unknown => false,
        };
        self.all_final_so_far &= is_final;
        if self.all_final_so_far {
            self.page.summary.leading_final = item.index + 1;
        }
        let created_at = item.created_at.unwrap_or_default();
        if item.index == 0 {
            self.page.summary.first_created = UnixMillis::parse(created_at);
        }
        self.last_created.clear();
        self.last_created.push_str(created_at);
    }
}

impl PageVisitor for Visitor<'_> {
    fn wants(&mut self, item: &ListItem<'_>) -> bool {
        self.note(item);
        let position = self.page.summary.offset + item.index;
        let mut shared = lock(self.shared);
        let Shared { schedule, seen } = &mut *shared;
        let terms = schedule.terms(item.external_id, item.amount);
        self.fingerprint = fingerprint(terms, item.state);
        let (slot, order) = schedule.slot_in_list(item.order_id, item.external_id);
        let Some(slot) = slot else {
            return seen.get_mut(&order).is_none_or(|known| {
                known.1 = Some(position);
                known.0 != self.fingerprint
            });
        };
        schedule.set_place(slot, position);
        self.page.slots.push(slot);
        let Some(entry) = schedule.entry(slot).filter(|entry| !entry.is_in_hand()) else {
            return false;
        };
        if entry.kind == EntryKind::Open && item.state == OrderState::Open && entry.terms == terms {
            self.page.unchanged.push(slot);
            return false;
        }
        true
    }

    fn take(&mut self, item_index: u64, observed: ObservedOrder) {
        self.page.shown.push(Shown {
            position: Some(self.page.summary.offset + item_index),
            observed,
            fingerprint: self.fingerprint,
        });
    }
}
