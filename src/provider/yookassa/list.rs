//! Lists by time: payments created or captured within a span, and refunds of a span, in pages of
//! 100.
//!
//! The default page size is 10, so the limit is always sent. Pages are sorted newest first; each
//! page has the cursor of the next one, and the last has none. The content of a page is not relied
//! on. A payment made while a span is paged lies at the end of the span by its time, so it is shown
//! by the next reading, which begins before the start of this one.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::payment;
use super::refund;
use super::{PAYMENTS, YooKassa};
use crate::domain::invoice::OrderId;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::provider::http::Request;
use crate::provider::service::WholeAnswer;
use crate::provider::wire::{self, Raw, object};
use crate::provider::{
    ListByTime, ListRefunds, ProviderError, RefundPage, SpanCursor, SpanKind, SpanPage, TimeSpan,
};

const REFUNDS: &str = "/v3/refunds";
/// Items per page, the maximum of the service.
const PAGE_LIMIT: u32 = 100;
/// Maximum size of a page. An item with a receipt and transfers has some KiB.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Lists reach back three years.
const REACH: Duration = Duration::from_hours(3 * 365 * 24);
/// Maximum number of pages with the refunds of one payment.
const MOST_PAGES_OF_ONE: u32 = 10;

#[derive(Deserialize)]
struct ObjectListWire<'a> {
    #[serde(borrow)]
    items: Raw<'a>,
    #[serde(borrow)]
    next_cursor: Raw<'a>,
}

/// The raw items of a page.
struct ObjectItems<'a> {
    items: Vec<&'a serde_json::value::RawValue>,
    next: Option<SpanCursor>,
}

#[async_trait]
impl ListByTime for YooKassa {
    fn lists_by(&self, kind: SpanKind) -> bool {
        match kind {
            SpanKind::Created | SpanKind::Paid => true,
        }
    }

    fn page_limit(&self) -> u32 {
        PAGE_LIMIT
    }

    fn reach(&self) -> Option<Duration> {
        Some(REACH)
    }

    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        let time = match span.kind {
            SpanKind::Created => "created_at",
            SpanKind::Paid => "captured_at",
        };
        let mut query = SpanQuery::of_span(time, span.from, span.until);
        if span.kind == SpanKind::Paid {
            query.add("status", "succeeded");
        }
        let answer = self.list_page(PAYMENTS, query, cursor).await?;
        let page = self.items(&answer)?;
        let orders = page
            .items
            .iter()
            .map(|item| payment::observed(item.get(), answer.observed_at))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ProviderError::Malformed)?;
        Ok(SpanPage {
            orders,
            next: page.next,
            bytes: answer.body.len() as u64,
        })
    }
}

#[async_trait]
impl ListRefunds for YooKassa {
    async fn refund_page(
        &self,
        from: UnixMillis,
        cursor: Option<&SpanCursor>,
    ) -> Result<RefundPage, ProviderError> {
        let query = SpanQuery::of_span("created_at", from, None);
        self.refunds(query, cursor).await
    }

    async fn refunds_of(&self, order: &OrderId) -> Result<Vec<Transaction>, ProviderError> {
        let mut transactions = Vec::new();
        let mut cursor = None;
        for _ in 0..MOST_PAGES_OF_ONE {
            let mut query = SpanQuery::default();
            query.add("payment_id", &order.0);
            let page = self.refunds(query, cursor.as_ref()).await?;
            let theirs = page
                .refunds
                .into_iter()
                .filter(|one| one.order_id == *order);
            transactions.extend(theirs.map(|one| one.transaction));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(transactions);
            }
        }
        let what = format!("more than {MOST_PAGES_OF_ONE} pages of refunds of one payment");
        Err(ProviderError::Malformed(what))
    }
}

impl YooKassa {
    async fn refunds(
        &self,
        query: SpanQuery,
        cursor: Option<&SpanCursor>,
    ) -> Result<RefundPage, ProviderError> {
        let answer = self.list_page(REFUNDS, query, cursor).await?;
        let page = self.items(&answer)?;
        let refunds = page
            .items
            .iter()
            .map(|item| refund::observed(item.get()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ProviderError::Malformed)?;
        Ok(RefundPage {
            refunds,
            next: page.next,
            bytes: answer.body.len() as u64,
        })
    }

    async fn list_page(
        &self,
        path: &str,
        mut query: SpanQuery,
        cursor: Option<&SpanCursor>,
    ) -> Result<WholeAnswer, ProviderError> {
        query.add("limit", &PAGE_LIMIT.to_string());
        if let Some(cursor) = cursor {
            query.add("cursor", &cursor.0);
        }
        let pairs: Vec<(&str, &str)> = query.0.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let request = Request::get_with(path, &pairs).compressed();
        self.service.ask_up_to(request, PAGE_BYTES).await
    }

    fn items<'a>(&self, answer: &'a WholeAnswer) -> Result<ObjectItems<'a>, ProviderError> {
        items(self.accept(answer)?).map_err(ProviderError::Malformed)
    }
}

/// The items are required: a list without them would be taken for an empty one.
fn items(body: &str) -> Result<ObjectItems<'_>, String> {
    let told: ObjectListWire<'_> = object(body).map_err(|error| error.to_string())?;
    Ok(ObjectItems {
        items: wire::array(told.items).ok_or("a list without items")?,
        next: wire::text(told.next_cursor).map(|cursor| SpanCursor(cursor.into_owned())),
    })
}

/// Names and values of a query, in order.
#[derive(Default)]
struct SpanQuery(Vec<(&'static str, String)>);

impl SpanQuery {
    fn of_span(time: &str, from: UnixMillis, until: Option<UnixMillis>) -> Self {
        let (first, end) = match time {
            "captured_at" => ("captured_at.gte", "captured_at.lt"),
            _ => ("created_at.gte", "created_at.lt"),
        };
        let mut query = Self::default();
        query.add(first, &from.to_string());
        if let Some(until) = until {
            query.add(end, &until.to_string());
        }
        query
    }

    fn add(&mut self, name: &'static str, value: &str) {
        self.0.push((name, value.to_owned()));
    }
}
