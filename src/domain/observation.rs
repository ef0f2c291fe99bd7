//! Observations: what a provider said about one order, in words that every provider shares.

use super::ids::{ExternalId, OrderId};
use super::money::Money;
use super::time::UnixMillis;
use super::transaction::Transaction;

/// The state of an order at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// Can still be paid.
    Open,
    /// Some money came, less than asked.
    Partial,
    /// The money is held, not captured.
    Authorized,
    /// Money was taken.
    Paid,
    /// Its time ran out.
    Expired,
    /// Ended by someone.
    Cancelled,
    /// A word we do not know: says nothing, is reported.
    Unknown,
}

impl OrderState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Partial,
        Self::Authorized,
        Self::Paid,
        Self::Expired,
        Self::Cancelled,
        Self::Unknown,
    ];
}

/// What the payer paid, as the provider reports it. Decimals, each exactly as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payment {
    /// Paid amount, before the fee.
    pub value: Option<String>,
    /// Currency the payer paid in; usually not the order's.
    pub currency: Option<String>,
    /// What the provider kept, in the same currency.
    pub fee: Option<String>,
    /// What the store got, in the same currency.
    pub net: Option<String>,
    /// Turns order currency into payment currency.
    pub exchange_rate: Option<String>,
}

impl Payment {
    /// Whether nothing at all was reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Sums of money so far, in the invoice's currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// What came.
    pub received: Option<Money>,
    /// What was returned.
    pub refunded: Option<Money>,
    /// When some was returned last, by the provider's clock.
    pub refunded_at: Option<UnixMillis>,
}

/// What a provider reports of the money that moved, besides the payment's own amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedMoney {
    /// Sums so far; what is left out is added up from the transactions.
    pub sums: Sums,
    /// The payment was made in the provider's test mode.
    pub is_test: bool,
    /// Movements of money of this order or label, known ones among them.
    pub transactions: Vec<Transaction>,
}

/// One thing the provider said about one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedOrder {
    /// The provider's id, as text.
    pub order_id: OrderId,
    /// Its state.
    pub state: OrderState,
    /// The state in the provider's own word: `ACTIVE`.
    pub provider_status: String,
    /// When the answer came.
    pub observed_at: UnixMillis,
    /// Ours, where the provider reports it.
    pub external_id: Option<ExternalId>,
    /// Short id for people.
    pub number: Option<String>,
    /// What the order asks for (not what was paid).
    pub amount: Option<Money>,
    /// When the order was made, by the provider's clock.
    pub created_at: Option<UnixMillis>,
    /// When it ends, by the provider's clock.
    pub expires_at: Option<UnixMillis>,
    /// When it was paid, by the provider's clock. None unless paid.
    pub paid_at: Option<UnixMillis>,
    /// Link for the payer, in a bot's chat.
    pub pay_link: Option<String>,
    /// Link for the payer, in web apps too.
    pub direct_pay_link: Option<String>,
    /// What was paid, where the provider reports it.
    pub payment: Option<Payment>,
    /// Sums and transactions, where the provider reports them.
    pub money: ObservedMoney,
}

/// What the ledger of a provider without orders reports about one invoice, found by its label. Only the
/// provider's own module can judge the sum: enough, less, or under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerObservation {
    /// `Open` while a payment is under way, `Partial` or `Paid`.
    pub state: OrderState,
    /// The state in the provider's own word.
    pub provider_status: String,
    /// When the answer came.
    pub observed_at: UnixMillis,
    /// When it was paid, by the provider's clock. None unless paid.
    pub paid_at: Option<UnixMillis>,
    /// What was paid, where the provider reports it.
    pub payment: Option<Payment>,
    /// Sums and transactions.
    pub money: ObservedMoney,
}

/// How far a complete reading of a ledger reached, all by the provider's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerCoverage {
    /// When its first request was answered (HTTP `Date`).
    pub began_at: UnixMillis,
    /// Without a gap from here,
    pub from: UnixMillis,
    /// up to here.
    pub through: UnixMillis,
}

impl ObservedOrder {
    /// Whether it reports a payment and not, in a form that can be read, how much was paid.
    pub fn lacks_paid_amount(&self) -> bool {
        let value = self.payment.as_ref().and_then(|paid| paid.value.as_ref());
        self.state == OrderState::Paid && value.is_none()
    }
}

/// What is new about one invoice. "Could not ask" is no observation and has a type of its own, in
/// `provider`: nothing here can stand for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The provider reported the order.
    Seen(ObservedOrder),
    /// The ledger of a provider without orders reports payments for the invoice.
    Ledger(LedgerObservation),
    /// A complete reading of such a ledger reported no payment that was not known.
    NothingUntil {
        /// When its last answer came.
        observed_at: UnixMillis,
        /// How far it reached.
        reading: LedgerCoverage,
    },
    /// The provider cannot have a payment under the invoice's external id.
    ExternalIdInvalid {
        /// When that was found.
        observed_at: UnixMillis,
    },
    /// The provider says it has no such order.
    NotFound {
        /// When it said so.
        observed_at: UnixMillis,
        /// Whether it may be believed: the grace is over and the account's service is shown to
        /// work.
        counts: bool,
    },
    /// The order of a requested invoice exists now (made by this request or an earlier one).
    Created(ObservedOrder),
    /// The requested invoice can be paid at this link: the provider keeps no orders.
    LinkMade {
        /// When it was made.
        observed_at: UnixMillis,
        /// The link, complete.
        pay_link: String,
    },
    /// The provider refuses to make the order, in its own words.
    CreationRefused {
        /// When it said so.
        observed_at: UnixMillis,
        /// Its words, on one line.
        reason: String,
    },
    /// An order with other parameters has the invoice's external id.
    CreationConflict {
        /// When it said so.
        observed_at: UnixMillis,
    },
    /// The order was not made in time and will not be.
    CreationTooLate {
        /// When that was found.
        observed_at: UnixMillis,
    },
    /// A person decided about an invoice in `review`.
    Resolved {
        /// When.
        observed_at: UnixMillis,
        /// As what.
        verdict: Verdict,
        /// Why, for the record.
        note: String,
    },
}

/// What a person may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money came.
    Paid,
    /// Nobody paid in time.
    Expired,
    /// Ended by someone.
    Cancelled,
}
