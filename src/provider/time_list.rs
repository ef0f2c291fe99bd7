//! The shape "list by time": orders created or paid within a span, page by page.
//!
//! One page is one request, so the caller observes the rate limit between pages. How pages are
//! addressed (an offset that shifts, a cursor, whole days) is internal to the provider and kept in
//! `SpanCursor`. A page may show orders outside the span and orders of earlier pages, but must not
//! leave any out.

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

    /// Maximum number of orders on a page.
    fn page_limit(&self) -> u32 {
        100
    }

    /// How far back the list reaches; None = to the account's first order. An order from before
    /// that time may be missing from it.
    fn reach(&self) -> Option<Duration> {
        None
    }

    /// Other spellings of `order_id` for the same order, which programs may have inserted. Empty
    /// where ids have only one spelling.
    fn spellings(&self, _order_id: &OrderId) -> Vec<OrderId> {
        Vec::new()
    }

    /// Reads one page of `span` with one request: the first page, or the one at `cursor`.
    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError>;
}

/// The time of an order that must be within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// Its creation time.
    Created,
    /// Its payment time; the list then shows only paid orders.
    Paid,
}

/// A span of time by the provider's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// The time that counts.
    pub kind: SpanKind,
    /// First moment in it.
    pub from: UnixMillis,
    /// First moment after it; None = open end.
    pub until: Option<UnixMillis>,
}

/// The position of the next page of its span. Not valid across restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanCursor(pub String);

/// One page of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanPage {
    /// The orders on it, in no particular order.
    pub orders: Vec<ObservedOrder>,
    /// The cursor of the next page; None = the pages so far show all orders of the span.
    pub next: Option<SpanCursor>,
    /// Decoded bytes of the body.
    pub bytes: u64,
}
