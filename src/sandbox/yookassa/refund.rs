//! Refunds: the payment stays succeeded.

use bigdecimal::BigDecimal;

use crate::sandbox::moment::Moment;

#[derive(Debug, Clone)]
pub(super) struct StoredRefund {
    pub id: String,
    pub payment_id: String,
    pub amount: BigDecimal,
    pub currency: String,
    pub description: Option<String>,
    pub created: Moment,
}
