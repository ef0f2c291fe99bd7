//! The shape "list of refunds": all refunds of a store within a span of time.
//!
//! An order may report only the total refunded sum; this list has the id of each refund, so that
//! each is reported once.

use async_trait::async_trait;

use super::{ProviderError, SpanCursor};
use crate::domain::invoice::OrderId;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// Reads the refunds of an account.
#[async_trait]
pub trait ListRefunds: Send + Sync {
    /// Reads one page of the refunds made since `from`, by the provider's clock, with one request:
    /// the first page, or the one at `cursor`.
    async fn refund_page(
        &self,
        from: UnixMillis,
        cursor: Option<&SpanCursor>,
    ) -> Result<RefundPage, ProviderError>;

    /// All refunds of one order; usually one request.
    async fn refunds_of(&self, order: &OrderId) -> Result<Vec<Transaction>, ProviderError>;
}

/// A refund and its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The order.
    pub order_id: OrderId,
    /// The refunded money.
    pub transaction: Transaction,
}

/// One page of refunds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundPage {
    /// The refunds on it, in no particular order.
    pub refunds: Vec<Refund>,
    /// The cursor of the next page; None = the pages so far show all refunds of the span.
    pub next: Option<SpanCursor>,
    /// Decoded bytes of the body.
    pub bytes: u64,
}
