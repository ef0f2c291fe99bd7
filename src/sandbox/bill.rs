//! A bill: what one payer is asked for at one provider, whether that keeps orders or only a ledger.

use super::operation::SimulatedProvider;
use super::simulator::OrderTruth;

/// What one payer is asked for.
#[derive(Debug, Clone)]
pub struct Bill {
    pub provider: SimulatedProvider,
    pub external_id: String,
    pub price: String,
}

/// How much of a bill is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillPayment {
    Whole,
    /// The whole, although the order has ended.
    WholeLate,
    Half,
    /// One and a half times the price.
    HalfMore,
}

/// What became of a bill at its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillTruth {
    pub state: OrderTruth,
    /// What went back to the payer, a plain decimal; None where nothing did.
    pub refunded: Option<String>,
}
