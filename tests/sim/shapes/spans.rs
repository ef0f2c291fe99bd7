//! The list by time: newest first, a cursor that counts, so that its pages shift while new orders come.
//! A payment may be shown late.

use std::cmp::Reverse;
use std::time::Duration;

use async_trait::async_trait;
use payrecond::domain::observation::OrderState;
use payrecond::domain::time::UnixMillis;
use payrecond::provider::{ListByTime, ProviderError, SpanCursor, SpanKind, SpanPage, TimeSpan};

use crate::clock::BEGINNING;
use crate::fault::{Fault, Lie};
use crate::provider::SimProvider;
use crate::world::Order;

/// Bytes of an item.
const ITEM_BYTES: u64 = 900;

/// When the moment that counts came, if it did and is shown by now.
fn moment(order: &Order, kind: SpanKind, now: Duration) -> Option<Duration> {
    match kind {
        SpanKind::Created => Some(order.made_at),
        SpanKind::Paid => {
            let paid_at = order.paid_at(now)?;
            (paid_at + order.quirks.listed_late_by <= now).then_some(paid_at)
        }
    }
}

#[async_trait]
impl ListByTime for SimProvider {
    fn lists_by(&self, _kind: SpanKind) -> bool {
        true
    }

    fn page_limit(&self) -> u32 {
        self.world.lock().nature.accounts[self.account].page_limit
    }

    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        let _under_way = self.arrive();
        self.answer_takes_time().await;
        let lie = match self.fault() {
            Some(Fault::Unheard(error) | Fault::Lost(error)) => {
                self.tell(&format!("{:?} span -> {error}", span.kind));
                return Err(error);
            }
            Some(Fault::Lie(lie)) => Some(lie).filter(|lie| *lie != Lie::NotFound),
            None => None,
        };
        Ok(self.show_span(span, cursor, lie))
    }
}

impl SimProvider {
    fn show_span(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
        lie: Option<Lie>,
    ) -> SpanPage {
        let now = self.clock_time();
        let mut world = self.world.lock();
        let limit = world.nature.accounts[self.account].page_limit as usize;
        let most = if world.rng.u8(..3) == 0 {
            world.rng.usize(1..=limit)
        } else {
            limit
        };
        let liar = world.rng.usize(..most);
        let orders = &mut world.stores[self.account].orders;
        let is_within = |at: Duration| {
            let at = BEGINNING.plus(at);
            at >= span.from && span.until.is_none_or(|until: UnixMillis| at < until)
        };
        let mut places: Vec<usize> = (0..orders.len())
            .filter(|place| moment(&orders[*place], span.kind, now).is_some_and(is_within))
            .collect();
        places.sort_by_key(|place| Reverse(orders[*place].made_at));
        let start: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let page: Vec<usize> = places.iter().copied().skip(start).take(most).collect();
        let shown: Vec<_> = page
            .iter()
            .enumerate()
            .map(|(index, place)| {
                self.observed(&mut orders[*place], lie.filter(|_| index == liar), true)
            })
            .collect();
        let end = start + page.len();
        let next = (end < places.len()).then(|| SpanCursor(end.to_string()));
        let count = places.len();
        drop(world);
        let paid = shown
            .iter()
            .filter(|one| one.state == OrderState::Paid)
            .count();
        let kind = span.kind;
        self.tell(&format!(
            "{kind:?} span {start} of {count} -> {} items, {paid} paid, {lie:?}",
            shown.len()
        ));
        SpanPage {
            bytes: shown.len() as u64 * ITEM_BYTES + 60,
            orders: shown,
            next,
        }
    }
}
