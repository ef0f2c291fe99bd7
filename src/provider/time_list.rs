//! The shape "list by time": orders made or paid within a span, page by page.
//!
//! One page is one request, so whoever reads a span keeps the account's rate limit between pages. How
//! pages are told apart (an offset that shifts, a cursor, whole days) is the provider's own affair
//! and stays within `SpanCursor`. A page may show orders outside of the span and orders that an
//! earlier page showed: only what it leaves out would be an error.

use std::time::Duration;

use async_trait::async_trait;

use super::ProviderError;
use crate::domain::invoice::OrderId;
use crate::domain::observation::ObservedOrder;
use crate::domain::time::UnixMillis;

/// Reads the orders of a span of time.
#[async_trait]
pub trait ListByTime: Send + Sync {
    /// Whether spans of this kind can be read.
    fn lists_by(&self, kind: SpanKind) -> bool;

    /// Most orders on one page.
    fn page_limit(&self) -> u32 {
        100
    }

    /// How far back the list reaches; None = to the account's first order. What it does not show of
    /// the time before is no proof of anything.
    fn reach(&self) -> Option<Duration> {
        None
    }

    /// Other ways to write `order_id` that name the same order: programs may have inserted one of
    /// these. None where ids have one spelling.
    fn spellings(&self, _order_id: &OrderId) -> Vec<OrderId> {
        Vec::new()
    }

    /// Reads one page of `span` by one request: the first, or the one that `cursor` leads to.
    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError>;
}

/// Which moment of an order must lie in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// Its creation.
    Created,
    /// Its payment: the list shows paid orders alone.
    Paid,
}

/// A span of time by the provider's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// The moment that counts.
    pub kind: SpanKind,
    /// First moment in it.
    pub from: UnixMillis,
    /// First moment after it; None = there is no end.
    pub until: Option<UnixMillis>,
}

/// Leads to the next page of the span that it was told for. Not to be kept across restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanCursor(pub String);

/// One page of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanPage {
    /// What it shows, in no particular order.
    pub orders: Vec<ObservedOrder>,
    /// Where it goes on; None = the pages so far show all orders of the span.
    pub next: Option<SpanCursor>,
    /// Decoded bytes of the body.
    pub bytes: u64,
}
