//! What the control API needs of each provider's simulator, and the shared types.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::moment::Moment;
use super::new_order::NewOrder;
use super::operation::SimulatedProvider;
use super::sample::SampleShop;

/// The orders of one simulated provider, as the control API reads and changes them.
pub(super) trait Simulator: Send + Sync {
    fn provider(&self) -> SimulatedProvider;

    fn sample(&self) -> &'static SampleShop;

    /// Number of orders.
    fn len(&self) -> usize;

    /// The orders at `places`, oldest first; places beyond the end are left out.
    fn views(&self, places: Range<usize>) -> Vec<OrderView>;

    /// By order id, else the newest with that external id.
    fn find(&self, reference: &str) -> Option<OrderView>;

    /// By the provider's own statuses, including those without orders.
    fn count_by_status(&self) -> BTreeMap<&'static str, u64>;

    /// Applies an action to an order. `reference` as in [`Simulator::find`].
    fn act(&self, reference: &str, action: &OrderAction) -> Result<OrderView, ControlError>;

    /// Creates one order; None if this provider's orders are not described by [`NewOrder`].
    fn create(&self, _new: &NewOrder) -> Option<Result<Created, CreateError>> {
        None
    }

    /// Creates many orders; returns their indexes. An invalid batch creates none.
    fn seed(&self, batch: &OrderBatch) -> Result<Range<usize>, CreateError>;
}

/// An order created now, or earlier with the same parameters.
#[derive(Debug, Clone)]
pub struct Created {
    pub order: OrderView,
    pub already: bool,
}

/// An action of the control API on an order.
#[derive(Debug, Clone)]
pub enum OrderAction {
    Pay(SimulatedPayment),
    Cancel(OrderEnding),
    Expire(OrderEnding),
    Refund(SimulatedRefund),
}

impl OrderAction {
    /// For messages: what an order cannot be, such as "paid".
    pub(super) fn participle(&self) -> &'static str {
        match self {
            OrderAction::Pay(_) => "paid",
            OrderAction::Cancel(_) => "cancelled",
            OrderAction::Expire(_) => "expired",
            OrderAction::Refund(_) => "refunded",
        }
    }
}

/// How a payer pays.
#[derive(Debug, Clone, Default)]
pub struct SimulatedPayment {
    /// Default: the order's own, or one that the provider accepts for it.
    pub currency: Option<String>,
    /// Plain decimal in `currency`. Default: the amount of the order.
    pub amount: Option<String>,
    /// Allows a payment of an expired or cancelled order.
    pub late: bool,
    /// Whether the money is captured at once; `Some(false)` only holds it. Default: as the order
    /// requests.
    pub capture: Option<bool>,
    /// The merchant accepts the received sum, although it is less than requested.
    pub confirm: bool,
}

/// How an order ends without money.
#[derive(Debug, Clone, Default)]
pub struct OrderEnding {
    /// Allows the change of an order that has already ended, even a paid one.
    pub late: bool,
    /// The provider's reason and the deciding party, where it reports them.
    pub reason: Option<String>,
    pub party: Option<String>,
}

/// The sum to refund.
#[derive(Debug, Clone, Default)]
pub struct SimulatedRefund {
    /// Plain decimal in the order's currency. Default: everything that is left.
    pub amount: Option<String>,
}

/// Many orders at once, for load tests: external ids are `external_id_prefix` and a number that never repeats.
#[derive(Debug, Clone)]
pub struct OrderBatch {
    pub provider: SimulatedProvider,
    pub count: usize,
    pub external_id_prefix: String,
    pub amount: String,
    /// Default: US dollars, or a currency of the provider.
    pub currency: Option<String>,
    /// Within the provider's limits; ignored where orders have no expiry.
    pub timeout_seconds: i64,
}

impl Default for OrderBatch {
    fn default() -> OrderBatch {
        OrderBatch {
            provider: SimulatedProvider::ALL[0],
            count: 1,
            external_id_prefix: "LOAD-".into(),
            amount: "1.00".into(),
            currency: None,
            timeout_seconds: 3600,
        }
    }
}

/// Why an order was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A parameter breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// An order with other parameters has this external id.
    #[error("externalId {0:?} is used by an order with other parameters")]
    Conflict(String),
}

/// Why the control API refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("no order with the id or externalId {0:?}")]
    Unknown(String),
    #[error("order {id} cannot be {wanted}: {why}")]
    Ended {
        id: String,
        wanted: &'static str,
        why: String,
    },
    #[error("{0}")]
    Invalid(String),
}

/// The state of an order, in terms that fit every provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderTruth {
    Open,
    /// Some money arrived, less than requested.
    Partial,
    /// The money is held, not captured.
    Held,
    Paid,
    Expired,
    Cancelled,
    /// The shop deleted it, and the provider no longer knows it.
    Deleted,
}

/// Everything that the sandbox knows of one order at one moment, to compare clients with.
/// Serialized, it is one item of `GET /sandbox/orders`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    pub provider: SimulatedProvider,
    pub id: String,
    /// Empty if the shop gave none.
    #[serde(serialize_with = "shared_text")]
    pub external_id: Arc<str>,
    /// The provider's own status.
    pub status: &'static str,
    pub state: OrderTruth,
    /// The requested amount.
    pub amount: ViewedAmount,
    pub created_date_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_date_time: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_date_time: Option<Moment>,
    /// Other fields of this provider, under its own names.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// An amount in the provider's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewedAmount {
    pub currency_code: String,
    pub amount: String,
}

fn shared_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
