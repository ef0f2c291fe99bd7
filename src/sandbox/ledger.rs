//! What the control side needs of a provider that keeps no orders, only movements of money.

use serde::Serialize;

use super::moment::Moment;
use super::operation::SimulatedProvider;
use super::sample::SampleShop;
use super::simulator::ControlError;

/// The ledger of one simulated provider.
pub(super) trait SimulatedLedger: Send + Sync {
    fn provider(&self) -> SimulatedProvider;

    fn sample(&self) -> &'static SampleShop;

    /// Puts a movement in, or changes one that is there.
    fn add(&self, new: &NewTransaction) -> Result<TransactionView, ControlError>;

    /// Oldest first.
    fn transactions(&self) -> Vec<TransactionView>;
}

/// A movement of money that the control side asks for.
#[derive(Debug, Clone, Default)]
pub struct NewTransaction {
    /// The label or payload; none or a stranger's one is allowed.
    pub external_id: Option<String>,
    /// Plain decimal: what the payer pays.
    pub amount: Option<String>,
    /// Money goes out; with the id of a payment it is its refund.
    pub is_out: bool,
    /// How the payer pays, where that tells the fee: `wallet` or `card`.
    pub via: Option<String>,
    /// Of a movement that is there already.
    pub transaction_id: Option<String>,
    /// `success`, `in_progress` or `refused`, where the provider tells such.
    pub status: Option<String>,
    /// What kind of movement it is, by the provider's own words.
    pub kind: Option<String>,
}

/// One movement as the sandbox knows it: an item of `GET /sandbox/transactions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionView {
    pub provider: SimulatedProvider,
    pub transaction_id: String,
    /// Empty when there is none.
    pub external_id: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// What the payer pays, and what the ledger shows of it.
    pub amount: String,
    pub shown: String,
    pub currency: &'static str,
    pub status: &'static str,
    pub date_time: Moment,
}

/// No movement with that id.
pub(super) fn unknown(id: &str) -> ControlError {
    ControlError::Invalid(format!("transaction_id: {id:?} is not in the ledger"))
}
