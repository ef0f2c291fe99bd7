//! What the control side needs of each provider's simulator, and the words they share.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::moment::Moment;
use super::new_order::NewOrder;
use super::operation::SimulatedProvider;
use super::sample::SampleShop;

/// The orders of one simulated provider, as the control side sees and changes them.
pub(super) trait Simulator: Send + Sync {
    fn provider(&self) -> SimulatedProvider;

    fn sample(&self) -> &'static SampleShop;

    /// Number of orders.
    fn len(&self) -> usize;

    /// The orders at `places`, oldest first; places beyond the end are left out.
    fn views(&self, places: Range<usize>) -> Vec<OrderView>;

    /// By order id, else the newest with that external id.
    fn find(&self, reference: &str) -> Option<OrderView>;

    /// By the provider's own words, each there.
    fn count_by_status(&self) -> BTreeMap<&'static str, u64>;

    /// Lets something happen to an order. `reference` as in [`Simulator::find`].
    fn act(&self, reference: &str, action: &OrderAction) -> Result<OrderView, ControlError>;

    /// Makes an order out of a description that one provider understands.
    fn create(&self, _new: &NewOrder) -> Option<Result<Created, CreateError>> {
        None
    }

    /// Makes many orders; answers with their places. A batch that is not right makes none.
    fn seed(&self, batch: &OrderBatch) -> Result<Range<usize>, CreateError>;
}

/// An order made, or made before by the same parameters.
#[derive(Debug, Clone)]
pub struct Created {
    pub order: OrderView,
    pub already: bool,
}

/// What the control side can do to an order.
#[derive(Debug, Clone)]
pub enum OrderAction {
    Pay(SimulatedPayment),
    Cancel(OrderEnding),
    Expire(OrderEnding),
    Refund(SimulatedRefund),
}

impl OrderAction {
    /// For messages: an order cannot be "paid".
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
    /// Default: the order's own, or one that the provider takes for it.
    pub currency: Option<String>,
    /// Plain decimal in `currency`. Default: what the order asks for.
    pub amount: Option<String>,
    /// Pay although the order has expired or was cancelled.
    pub late: bool,
    /// Whether the money is taken at once; `Some(false)` only holds it. Default: as the order was made.
    pub capture: Option<bool>,
    /// The merchant accepts what came, although it is less than asked for.
    pub confirm: bool,
}

/// How an order ends without money.
#[derive(Debug, Clone, Default)]
pub struct OrderEnding {
    /// Although it has ended already, even paid.
    pub late: bool,
    /// The provider's reason and who decided, where it tells them.
    pub reason: Option<String>,
    pub party: Option<String>,
}

/// What goes back to the payer.
#[derive(Debug, Clone, Default)]
pub struct SimulatedRefund {
    /// Plain decimal in the order's currency. Default: all that is left.
    pub amount: Option<String>,
}

/// Many orders at once, for load tests: external ids are `external_id_prefix` and a number that never repeats.
#[derive(Debug, Clone)]
pub struct OrderBatch {
    pub provider: SimulatedProvider,
    pub count: usize,
    pub external_id_prefix: String,
    pub amount: String,
    /// Default: US dollars, or what the provider deals in.
    pub currency: Option<String>,
    /// Within the provider's limits; no meaning where orders have no life time of their own.
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

/// Why an order was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A parameter breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The external id is taken by an order with other parameters.
    #[error("externalId {0:?} is used by an order with other parameters")]
    Conflict(String),
}

/// Why the control side refused.
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

/// What became of an order, in words that fit every provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderTruth {
    Open,
    /// Some money came, less than asked.
    Partial,
    /// The money is held, not taken.
    Held,
    Paid,
    Expired,
    Cancelled,
    /// The shop deleted it: the provider does not know it any more.
    Deleted,
}

/// All that the sandbox knows of one order at one moment: the truth that clients are measured against.
/// Serialised it is one item of `GET /sandbox/orders`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    pub provider: SimulatedProvider,
    pub id: String,
    /// Empty when the shop gave none.
    #[serde(serialize_with = "shared_text")]
    pub external_id: Arc<str>,
    /// The provider's own word.
    pub status: &'static str,
    pub state: OrderTruth,
    /// What was asked for.
    pub amount: ViewedAmount,
    pub created_date_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_date_time: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_date_time: Option<Moment>,
    /// What else this provider knows, by its own names.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// An amount as the provider writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewedAmount {
    pub currency_code: String,
    pub amount: String,
}

fn shared_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
