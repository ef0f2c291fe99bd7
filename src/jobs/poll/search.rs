//! Searches for the order of one invoice by its external id, before a creation is repeated that the
//! provider would treat as a new one.
//!
//! A list by time is read page by page from the first creation request on: an order of that
//! creation which it does not show does not exist. Each page after the first waits for the
//! account's rate limit. Orders that the shop created itself may be older than any span, so
//! `spans` searches for all of them at once and concludes nothing from what it does not find.

use std::sync::Arc;
use std::time::Duration;

use super::span_reader::preference;
use crate::clock::Clock;
use crate::domain::invoice::{ExternalId, Invoice};
use crate::domain::observation::{ObservedOrder, OrderState};
use crate::domain::time::UnixMillis;
use crate::limit::SharedLimiter;
use crate::provider::{ListByTime, Provider, ProviderError, SpanKind, TimeSpan};

/// Accuracy of the provider's clock: it reports whole seconds, some time after reading them.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Searches on behalf of one account.
pub(super) struct Searcher<'a> {
    pub(super) provider: &'a dyn Provider,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) limiter: &'a SharedLimiter,
}

/// Whether orders can be searched for.
pub(super) fn can_search(provider: &dyn Provider) -> bool {
    list_of_created(provider).is_some() || provider.finds().is_some()
}

fn list_of_created(provider: &dyn Provider) -> Option<&dyn ListByTime> {
    let list = provider.lists_by_time()?;
    list.lists_by(SpanKind::Created).then_some(list)
}

impl Searcher<'_> {
    /// The order made by an earlier request for the invoice's creation. An order made before the
    /// creation was first sent is not ours.
    pub(super) async fn find_created(
        &self,
        invoice: &Invoice,
        first_sent_at: UnixMillis,
    ) -> Result<Option<ObservedOrder>, ProviderError> {
        let from = self.by_their_clock(first_sent_at).minus(CLOCK_TOLERANCE);
        let found = match list_of_created(self.provider) {
            Some(list) => self.read_span(list, &invoice.external_id, from).await?,
            None => self.find(&invoice.external_id).await?,
        };
        Ok(found.filter(|order| order.created_at.is_some_and(|at| at >= from)))
    }

    /// The order that has `external_id`, by the provider's own complete search.
    pub(super) async fn find(
        &self,
        external_id: &ExternalId,
    ) -> Result<Option<ObservedOrder>, ProviderError> {
        match self.provider.finds() {
            Some(finds) => finds.find(external_id).await,
            None => Err(ProviderError::Refused(
                "orders cannot be searched at this provider".into(),
            )),
        }
    }

    /// Of several orders: one with money, else one that can still be paid, else the newest.
    async fn read_span(
        &self,
        list: &dyn ListByTime,
        external_id: &ExternalId,
        from: UnixMillis,
    ) -> Result<Option<ObservedOrder>, ProviderError> {
        let span = TimeSpan {
            kind: SpanKind::Created,
            from,
            until: None,
        };
        let mut found: Option<ObservedOrder> = None;
        let mut cursor = None;
        loop {
            let page = list.span_page(&span, cursor.as_ref()).await?;
            let ours = page.orders.into_iter().filter(|order| {
                let is_within = order.created_at.is_none_or(|at| at >= from);
                is_within && order.external_id.as_ref() == Some(external_id)
            });
            found = found.into_iter().chain(ours).max_by_key(preference);
            let is_settled = found.as_ref().is_some_and(|o| o.state == OrderState::Paid);
            match page.next {
                Some(next) if !is_settled => cursor = Some(next),
                Some(_) | None => return Ok(found),
            }
            self.wait_for_turn().await?;
        }
    }

    /// Waits until the rate limit allows one more request, and charges it.
    pub(super) async fn wait_for_turn(&self) -> Result<(), ProviderError> {
        loop {
            let charged = {
                let mut limiter = self.limiter.lock();
                if limiter.stop_reason().is_some() {
                    let what = "account stopped during a search".into();
                    return Err(ProviderError::Unavailable { what, wait: None });
                }
                limiter.charge_in_turn(self.clock.monotonic())
            };
            match charged {
                Ok(()) => return Ok(()),
                Err(wait) => self.clock.sleep(wait).await,
            }
        }
    }

    /// A time of our clock converted to the provider's clock.
    fn by_their_clock(&self, ours: UnixMillis) -> UnixMillis {
        let difference = self.provider.clock_difference();
        difference.map_or(ours, |difference| difference.their_time(ours))
    }
}
