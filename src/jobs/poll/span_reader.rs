//! One page of a span. Orders of scheduled invoices are recorded; others are kept as observations
//! if they are new.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

use super::itemize::{itemize, needs_refunds};
use super::page::{Shared, Shown, fingerprint, lock};
use super::schedule::{EntryKind, Trust};
use crate::clock::Clock;
use crate::domain::observation::{ObservedOrder, OrderState};
use crate::domain::planner::spans::{SpanRequest, SpanWhy};
use crate::domain::time::UnixMillis;
use crate::limit::{Permit, SharedLimiter};
use crate::provider::{Provider, ProviderError, Refund, SpanCursor, SpanKind, TimeSpan};

/// The outcome of a request for a page of a span.
pub(super) struct SpanOutcome {
    pub(super) request: SpanRequest,
    pub(super) permit: Permit,
    /// The page's number in the schedule.
    pub(super) number: u32,
    pub(super) started_at: UnixMillis,
    pub(super) result: Result<SpanShown, ProviderError>,
}

/// The content of a page of a span.
#[derive(Debug, Default)]
pub(super) struct SpanShown {
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) next: Option<SpanCursor>,
    /// Entries shown on it.
    pub(super) slots: Vec<u32>,
    /// Number of entries that it polled.
    pub(super) polled: usize,
    /// The entries among them that have not changed.
    pub(super) unchanged: Vec<u32>,
    /// Orders to be judged.
    pub(super) shown: Vec<Shown>,
    /// Unpaid orders with an external id that is searched for: a later page may show a better one.
    pub(super) held: Vec<Shown>,
    pub(super) refunds: Vec<Refund>,
}

/// What a request for a page needs.
pub(super) struct SpanReader {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limiter: SharedLimiter,
    pub(super) shared: Arc<Mutex<Shared>>,
}

impl SpanReader {
    pub(super) async fn read(
        self,
        request: SpanRequest,
        cursor: Option<SpanCursor>,
        permit: Permit,
    ) -> SpanOutcome {
        let number = lock(&self.shared).schedule.begin_page();
        let started_at = self.clock.now();
        let result = match request.why {
            SpanWhy::Refunds => self.refunds(&request, cursor.as_ref()).await,
            SpanWhy::Paid => self.orders(SpanKind::Paid, &request, cursor.as_ref()).await,
            SpanWhy::Due | SpanWhy::Followed => {
                let created = SpanKind::Created;
                self.orders(created, &request, cursor.as_ref()).await
            }
        };
        SpanOutcome {
            request,
            permit,
            number,
            started_at,
            result,
        }
    }

    async fn refunds(
        &self,
        request: &SpanRequest,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanShown, ProviderError> {
        let Some(list) = self.provider.lists_refunds() else {
            return Err(ProviderError::Refused("there is no list of refunds".into()));
        };
        let page = list.refund_page(request.from, cursor).await?;
        Ok(SpanShown {
            items: page.refunds.len() as u64,
            bytes: page.bytes,
            next: page.next,
            refunds: page.refunds,
            ..SpanShown::default()
        })
    }

    async fn orders(
        &self,
        kind: SpanKind,
        request: &SpanRequest,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanShown, ProviderError> {
        let Some(list) = self.provider.lists_by_time() else {
            return Err(ProviderError::Refused("there is no list by time".into()));
        };
        let span = TimeSpan {
            kind,
            from: request.from,
            until: request.until,
        };
        let page = list.span_page(&span, cursor).await?;
        let mut read = SpanShown {
            items: page.orders.len() as u64,
            bytes: page.bytes,
            next: page.next,
            ..SpanShown::default()
        };
        {
            let mut shared = lock(&self.shared);
            for order in page.orders {
                read.sort(order, &mut shared);
            }
        }
        // Of several orders with one external id, the one with money.
        read.shown.sort_by_key(|one| rank(one.observed.state));
        self.itemize_all(&mut read.shown).await;
        self.itemize_all(&mut read.held).await;
        Ok(read)
    }

    /// Requests the refunds of orders that report only their sum. After a request that fails, no more
    /// are made for this page; the next reading repeats them.
    async fn itemize_all(&self, shown: &mut Vec<Shown>) {
        let mut has_failed = false;
        for mut one in std::mem::take(shown) {
            let observed = &mut one.observed;
            if has_failed && needs_refunds(observed) {
                continue;
            }
            let started = self.clock.monotonic();
            let asked = itemize(
                self.provider.as_ref(),
                &self.limiter,
                self.clock.as_ref(),
                observed,
            );
            match asked.await {
                Ok(()) => shown.push(one),
                Err(error) => {
                    has_failed = true;
                    let now = self.clock.monotonic();
                    self.limiter.lock().fail_additional(&error, started, now);
                    tracing::debug!(order_id = %one.observed.order_id, %error, "refunds request failed");
                }
            }
        }
    }
}

/// Ranks several orders that match an invoice without an order id; the first one is taken.
fn rank(state: OrderState) -> u8 {
    match state {
        OrderState::Paid => 0,
        OrderState::Partial | OrderState::Authorized => 1,
        OrderState::Open | OrderState::Unknown => 2,
        OrderState::Expired | OrderState::Cancelled => 3,
    }
}

/// Compares all orders with one external id; the greatest counts: one with money, else one that can
/// still be paid, else the newest.
pub(super) fn preference(order: &ObservedOrder) -> (Reverse<u8>, Option<UnixMillis>) {
    (Reverse(rank(order.state)), order.created_at)
}

impl SpanShown {
    /// Records an order of the page if it is scheduled, and keeps it if it has to be judged.
    fn sort(&mut self, observed: ObservedOrder, shared: &mut Shared) {
        let schedule = &shared.schedule;
        let external_id = observed.external_id.as_ref().map(|id| id.0.as_str());
        let amount = observed.amount.as_ref();
        let amount = amount.map(|money| (money.value.as_str(), money.currency.as_str()));
        let terms = schedule.terms(external_id, amount);
        let fingerprint = fingerprint(terms, observed.state);
        let (slot, order) = schedule.slot_in_list(&observed.order_id.0, external_id);
        if let Some(slot) = slot {
            self.slots.push(slot);
            let entry = schedule.entry(slot).filter(|entry| !entry.is_in_hand());
            let Some(entry) = entry else { return };
            self.polled += 1;
            if entry.kind == EntryKind::Followed && observed.state != OrderState::Paid {
                self.held.push(Shown {
                    position: None,
                    observed,
                    fingerprint,
                });
                return;
            }
            // Information reported for the first time, such as the expiry, is kept.
            let is_known = entry.trust != Trust::New && entry.kind == EntryKind::Open;
            if is_known && observed.state == OrderState::Open && entry.terms == terms {
                self.unchanged.push(slot);
                return;
            }
        } else if shared.is_seen(order, fingerprint) {
            return;
        }
        self.shown.push(Shown {
            position: None,
            observed,
            fingerprint,
        });
    }
}
