//! What a provider reported about an invoice, in one form for orders and ledgers.

use crate::domain::observation::{
    LedgerObservation, ObservedMoney, ObservedOrder, OrderState, Payment,
};
use crate::domain::time::UnixMillis;

/// What a provider reported about an invoice, by its order or by its ledger.
pub(super) struct Evidence<'a> {
    pub(super) order: Option<&'a ObservedOrder>,
    pub(super) state: OrderState,
    pub(super) word: &'a str,
    pub(super) paid_at: Option<UnixMillis>,
    pub(super) payment: Option<&'a Payment>,
    pub(super) money: &'a ObservedMoney,
}

impl<'a> From<&'a ObservedOrder> for Evidence<'a> {
    fn from(seen: &'a ObservedOrder) -> Self {
        Self {
            order: Some(seen),
            state: seen.state,
            word: &seen.provider_status,
            paid_at: seen.paid_at,
            payment: seen.payment.as_ref(),
            money: &seen.money,
        }
    }
}

impl<'a> From<&'a LedgerObservation> for Evidence<'a> {
    fn from(seen: &'a LedgerObservation) -> Self {
        Self {
            order: None,
            state: seen.state,
            word: &seen.provider_status,
            paid_at: seen.paid_at,
            payment: seen.payment.as_ref(),
            money: &seen.money,
        }
    }
}

impl Evidence<'_> {
    /// What the payer has sent of an order that is not paid.
    pub(super) fn part(&self) -> Option<Payment> {
        match self.state {
            OrderState::Partial | OrderState::Expired | OrderState::Cancelled => {
                self.payment?.sent()
            }
            OrderState::Open | OrderState::Authorized | OrderState::Paid | OrderState::Unknown => {
                None
            }
        }
    }
}
