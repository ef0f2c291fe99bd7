//! The shape "list of refunds": what a store returned within a span of time, whatever order it was for.
//!
//! Where an order says only how much of it was returned, this tells each refund by its id, so that each
//! is reported once.

use async_trait::async_trait;

use super::{ProviderError, SpanCursor};
use crate::domain::invoice::OrderId;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// Reads the refunds of an account.
#[async_trait]
pub trait ListRefunds: Send + Sync {
    /// Reads one page of the refunds made since `from`, by the provider's clock, by one request: the
    /// first, or the one that `cursor` leads to.
    async fn refund_page(
        &self,
        from: UnixMillis,
        cursor: Option<&SpanCursor>,
    ) -> Result<RefundPage, ProviderError>;

    /// All refunds of one order; as a rule by one request.
    async fn refunds_of(&self, order: &OrderId) -> Result<Vec<Transaction>, ProviderError>;
}

/// A refund and the order that it returns money of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The order.
    pub order_id: OrderId,
    /// The money that went back.
    pub transaction: Transaction,
}

/// One page of refunds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundPage {
    /// What it shows, in no particular order.
    pub refunds: Vec<Refund>,
    /// Where it goes on; None = the pages so far show all refunds of the span.
    pub next: Option<SpanCursor>,
    /// Decoded bytes of the body.
    pub bytes: u64,
}
