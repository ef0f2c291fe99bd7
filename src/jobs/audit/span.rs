//! A list by time, read from the account's first order on, as far back as it reaches.
//!
//! Pages may shift while they are read, and orders that were removed pull later ones past a page's end.
//! So an invoice that the list did not show is asked for by its id before it is called missing.

use std::collections::HashSet;

use super::{Audit, AuditError, AuditProgress};
use crate::domain::audit::AuditRow;
use crate::domain::invoice::OrderId;
use crate::domain::time::UnixMillis;
use crate::provider::{FetchedOrder, ListByTime, SpanKind, TimeSpan};

/// Most requests by id after the list. What is beyond them counts as the list shows it.
const CONFIRMING_REQUESTS: usize = 100;

impl Audit {
    /// Reads the span page by page, then asks for the invoices that it did not show.
    pub(super) async fn read_span(
        &self,
        list: &dyn ListByTime,
        reading: &mut AuditProgress,
        began: UnixMillis,
    ) -> Result<(), AuditError> {
        let reach = list.reach();
        reading.reaches_back_to = reach.map_or(UnixMillis(0), |reach| began.minus(reach));
        let span = &TimeSpan {
            kind: SpanKind::Created,
            from: reading.reaches_back_to,
            until: None,
        };
        let mut shown: HashSet<OrderId> = HashSet::new();
        let mut cursor = None;
        loop {
            let asked_at = self.clock.now();
            let from = cursor.as_ref();
            let page = self.request(|| list.span_page(span, from)).await?;
            let mut orders = page.orders;
            orders.retain(|order| shown.insert(order.order_id.clone()));
            reading.orders += orders.len() as u64;
            self.compare_page(orders, asked_at, reading).await?;
            cursor = match page.next {
                Some(next) => Some(next),
                None => break,
            };
        }
        self.ask_for_unseen(reading, began).await
    }

    async fn ask_for_unseen(
        &self,
        reading: &mut AuditProgress,
        began: UnixMillis,
    ) -> Result<(), AuditError> {
        let Some(fetches) = self.provider.fetches() else {
            return Ok(());
        };
        let unseen: Vec<AuditRow> = self.unseen_rows(reading, began).await?;
        let ids: Vec<OrderId> = unseen.into_iter().filter_map(|row| row.order_id).collect();
        let batch = usize::try_from(fetches.batch_limit()).unwrap_or(1).max(1);
        for ids in ids.chunks(batch).take(CONFIRMING_REQUESTS) {
            let asked_at = self.clock.now();
            let told = self.request(|| fetches.fetch(ids)).await?;
            let seen = told.into_iter().filter_map(|order| match order {
                FetchedOrder::Seen(observed) => Some(observed),
                FetchedOrder::NotFound => None,
            });
            let orders: Vec<_> = seen.collect();
            reading.orders += orders.len() as u64;
            self.compare_page(orders, asked_at, reading).await?;
        }
        Ok(())
    }
}
