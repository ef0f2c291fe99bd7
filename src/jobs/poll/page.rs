//! One page of the list on its way: what it shows of the invoices in the book is noted while it
//! arrives, the rest is kept as sightings where it is new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::book::Book;
use super::entry::Kind;
use crate::clock::Clock;
use crate::domain::positions::PageSummary;
use crate::domain::sighting::{OrderState, Sighting};
use crate::domain::time::UnixMillis;
use crate::provider::{CouldNotAsk, Glance, PageVisitor, Provider};
use crate::throttle::Permit;

/// Orders outside the book that are remembered; beyond that all are forgotten and judged anew.
const MOST_SEEN: usize = 1 << 16;

/// What a page arriving and the poller both work on.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) book: Book,
    /// Orders that were judged and said nothing: what they looked like, and where they stood.
    seen: HashMap<u64, (u32, u64)>,
}

impl Shared {
    /// This order, looking like that, says nothing.
    pub(super) fn note_seen(&mut self, taken: &Taken) {
        if self.seen.len() >= MOST_SEEN {
            self.seen = HashMap::new();
        }
        let order = self.book.order_hash(&taken.sighting.order_id.0);
        self.seen.insert(order, (taken.look, taken.position));
    }

    /// Whatever it looks like next is judged again. Returns where it stood.
    pub(super) fn forget_seen(&mut self, order_id: &str) -> Option<u64> {
        let order = self.book.order_hash(order_id);
        self.seen.remove(&order).map(|(_, position)| position)
    }

    pub(super) fn forget_all_seen(&mut self) {
        self.seen = HashMap::new();
    }
}

/// The lock is held for moments; a panic elsewhere leaves nothing half done in here.
pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a page is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// These entries are expected on it.
    Cover(Vec<u32>),
    /// The next part of the region.
    Region,
    /// The newest orders, beyond what is due.
    Watch,
    /// The amounts of a payment.
    Details,
    /// Only the number of orders.
    Count,
}

/// A request for part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) purpose: Purpose,
    pub(super) offset: u64,
    pub(super) count: u32,
}

impl Errand {
    /// Asks for the number of orders.
    pub(super) fn count() -> Self {
        Self {
            purpose: Purpose::Count,
            offset: 0,
            count: 0,
        }
    }
}

/// A sighting that has to be judged.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) position: u64,
    pub(super) sighting: Sighting,
    /// Fingerprint of what a glance saw.
    look: u32,
}

/// What came of an errand.
pub(super) struct Fetched {
    pub(super) errand: Errand,
    pub(super) permit: Permit,
    pub(super) started_at: UnixMillis,
    /// Decoded bytes, or why there was no whole page.
    pub(super) result: Result<u64, CouldNotAsk>,
    pub(super) total: Option<u64>,
    pub(super) summary: PageSummary,
    /// Entries that it showed.
    pub(super) shown: Vec<u32>,
    /// Those of them that a look was done with.
    pub(super) covered: Vec<u32>,
    pub(super) taken: Vec<Taken>,
}

/// Runs an errand.
pub(super) async fn fetch(
    errand: Errand,
    permit: Permit,
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
) -> Fetched {
    let started_at = clock.now();
    let mut visitor = Visitor::new(&shared, &errand);
    let mut total = None;
    let result = if errand.purpose == Purpose::Count {
        provider.count().await.map(|count| {
            total = Some(count);
            0
        })
    } else {
        let page = provider
            .page(errand.offset, errand.count, &mut visitor)
            .await;
        page.map(|end| {
            visitor.summary.items = end.items;
            end.bytes
        })
    };
    visitor.summary.last_created = UnixMillis::parse(&visitor.last_created);
    let Visitor {
        summary,
        shown,
        covered,
        taken,
        ..
    } = visitor;
    Fetched {
        errand,
        permit,
        started_at,
        result,
        total,
        summary,
        shown,
        covered,
        taken,
    }
}

struct Visitor<'a> {
    shared: &'a Mutex<Shared>,
    summary: PageSummary,
    all_final_so_far: bool,
    /// As written, of the item seen last.
    last_created: String,
    shown: Vec<u32>,
    covered: Vec<u32>,
    /// Of the item that was wanted last.
    look: u32,
    taken: Vec<Taken>,
}

impl<'a> Visitor<'a> {
    fn new(shared: &'a Mutex<Shared>, errand: &Errand) -> Self {
        Self {
            shared,
            summary: PageSummary {
                offset: errand.offset,
                asked: errand.count,
                ..PageSummary::default()
            },
            all_final_so_far: true,
            last_created: String::new(),
            shown: Vec::new(),
            covered: Vec::new(),
            look: 0,
            taken: Vec::new(),
        }
    }

    fn note(&mut self, glance: &Glance<'_>) {
        let is_final = match glance.state {
            OrderState::Paid | OrderState::Expired | OrderState::Cancelled => true,
            OrderState::Open
            | OrderState::Partial
            | OrderState::Authorized
            | OrderState::Unknown => false,
        };
        self.all_final_so_far &= is_final;
        if self.all_final_so_far {
            self.summary.leading_final = glance.index + 1;
        }
        let created_at = glance.created_at.unwrap_or_default();
        if glance.index == 0 {
            self.summary.first_created = UnixMillis::parse(created_at);
        }
        self.last_created.clear();
        self.last_created.push_str(created_at);
    }
}

impl PageVisitor for Visitor<'_> {
    fn wants(&mut self, glance: &Glance<'_>) -> bool {
        self.note(glance);
        let position = self.summary.offset + glance.index;
        let mut shared = lock(self.shared);
        let Shared { book, seen } = &mut *shared;
        let order = book.order_hash(glance.order_id);
        let terms = book.terms(glance.external_id, glance.amount);
        self.look = terms ^ (glance.state as u32).wrapping_mul(0x9E37_79B9);
        let Some(slot) = book.slot_of_order(order) else {
            return seen.get_mut(&order).is_none_or(|known| {
                known.1 = position;
                known.0 != self.look
            });
        };
        book.place(slot, position);
        self.shown.push(slot);
        let Some(entry) = book.entry(slot).filter(|entry| !entry.asked) else {
            return false;
        };
        if entry.kind == Kind::Open && glance.state == OrderState::Open && entry.terms == terms {
            self.covered.push(slot);
            return false;
        }
        true
    }

    fn take(&mut self, glance_index: u64, sighting: Sighting) {
        self.taken.push(Taken {
            position: self.summary.offset + glance_index,
            sighting,
            look: self.look,
        });
    }
}
