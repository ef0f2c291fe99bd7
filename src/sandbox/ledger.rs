//! What the control API needs of a provider that keeps no orders, only movements of money.

use serde::Serialize;

use super::moment::Moment;
use super::operation::SimulatedProvider;
use super::sample::SampleShop;
use super::simulator::ControlError;

/// The ledger of one simulated provider.
pub(super) trait SimulatedLedger: Send + Sync {
    fn provider(&self) -> SimulatedProvider;

    fn sample(&self) -> &'static SampleShop;

    /// Adds a movement, or changes an existing one.
    fn add(&self, new: &NewTransaction) -> Result<TransactionView, ControlError>;

    /// Oldest first.
    fn transactions(&self) -> Vec<TransactionView>;
}

/// A movement of money requested through the control API.
#[derive(Debug, Clone, Default)]
pub struct NewTransaction {
    /// The label or payload; may be missing or unknown.
    pub external_id: Option<String>,
    /// Plain decimal: the sum that the payer pays.
    pub amount: Option<String>,
    /// Outgoing; with the id of a payment it is its refund.
    pub is_out: bool,
    /// The payment method, where fees depend on it: `wallet` or `card`.
    pub via: Option<String>,
    /// The id of the payment to return, or the id that a new payment is to have.
    pub transaction_id: Option<String>,
    /// `success`, `in_progress` or `refused`, where the provider has such statuses.
    pub status: Option<String>,
    /// The kind of movement, in the provider's own terms.
    pub kind: Option<String>,
}

/// One movement in the sandbox: an item of `GET /sandbox/transactions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionView {
    pub provider: SimulatedProvider,
    pub transaction_id: String,
    /// Empty if there is none.
    pub external_id: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// The sum that the payer pays, and the sum that the ledger shows.
    pub amount: String,
    pub shown: String,
    pub currency: &'static str,
    pub status: &'static str,
    pub date_time: Moment,
}

/// A movement has that id already.
pub(super) fn taken(id: &str) -> ControlError {
    ControlError::Invalid(format!("transaction_id: {id:?} is in the ledger already"))
}

/// No movement with that id.
pub(super) fn unknown(id: &str) -> ControlError {
    ControlError::Invalid(format!("transaction_id: {id:?} is not in the ledger"))
}
