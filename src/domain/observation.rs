//! Observations: what a provider reported about one order, in terms shared by all providers.

use super::ids::{ExternalId, OrderId};
use super::money::{self, Money};
use super::time::UnixMillis;
use super::transaction::Transaction;

/// The state of an order at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// It can still be paid.
    Open,
    /// Some money arrived, less than the requested amount.
    Partial,
    /// The money is held, not captured.
    Authorized,
    /// The money was captured.
    Paid,
    /// Its time ran out.
    Expired,
    /// It was cancelled.
    Cancelled,
    /// An unknown status; it causes no transition and is reported.
    Unknown,
}

impl OrderState {
    /// All states.
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
    /// The provider's fee, in the same currency.
    pub fee: Option<String>,
    /// The amount that the store received, in the same currency.
    pub net: Option<String>,
    /// The rate as the provider reports it; which way round differs from provider to provider
    /// (`docs/sql.md`).
    pub exchange_rate: Option<String>,
}

impl Payment {
    /// Whether nothing at all was reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it tells more than the amount sent. A part of an order that is not paid is stored as
    /// that amount alone.
    pub fn is_accounted(&self) -> bool {
        self.fee.is_some() || self.net.is_some() || self.exchange_rate.is_some()
    }

    /// The amount sent by the payer alone. None if its value or currency is not reported.
    pub fn sent(&self) -> Option<Self> {
        let Money { value, currency } = self.money()?;
        Some(Self {
            value: Some(value),
            currency: Some(currency),
            ..Self::default()
        })
    }

    /// Whether the amount sent is greater than `before`. Amounts in two currencies cannot be
    /// compared: the other one is news too.
    pub fn sends_more_than(&self, before: &Self) -> bool {
        match (self.money(), before.money()) {
            (Some(now), Some(before)) => now.currency != before.currency || now.exceeds(&before),
            (Some(now), None) => now.is_positive(),
            (None, Some(_) | None) => false,
        }
    }

    fn money(&self) -> Option<Money> {
        let (value, currency) = self.value.clone().zip(self.currency.clone())?;
        Some(Money { value, currency })
    }
}

/// Sums of money so far, in the invoice's currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Received.
    pub received: Option<Money>,
    /// Refunded.
    pub refunded: Option<Money>,
    /// Time of the last refund, by the provider's clock.
    pub refunded_at: Option<UnixMillis>,
}

/// Movements of money that a provider reports, besides the payment's own amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedMoney {
    /// Sums so far; a sum left out is added up from the transactions.
    pub sums: Sums,
    /// The payment was made in the provider's test mode.
    pub is_test: bool,
    /// Transactions of this order or label, including known ones.
    pub transactions: Vec<Transaction>,
}

impl ObservedMoney {
    /// Of a provider that takes the exact sum of an order or nothing: what was received is the order's
    /// amount once it is paid.
    pub fn exact(received: Option<Money>) -> Self {
        let sums = Sums {
            received,
            ..Sums::default()
        };
        Self {
            sums,
            ..Self::default()
        }
    }
}

/// What the provider reported about one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedOrder {
    /// The provider's id, as text.
    pub order_id: OrderId,
    /// Its state.
    pub state: OrderState,
    /// The provider's own name of the state: `ACTIVE`.
    pub provider_status: String,
    /// When the answer came.
    pub observed_at: UnixMillis,
    /// The same by the provider's clock, where it is known.
    pub told_at: Option<UnixMillis>,
    /// Our id, where the provider reports it.
    pub external_id: Option<ExternalId>,
    /// Short id for people.
    pub number: Option<String>,
    /// The amount of the order (not the amount paid).
    pub amount: Option<Money>,
    /// The value of that amount, if its currency is not reported.
    pub bare_amount: Option<String>,
    /// When the order was created, by the provider's clock.
    pub created_at: Option<UnixMillis>,
    /// When it expires, by the provider's clock.
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

/// What the ledger of a provider without orders shows for one invoice, found by its label. Only the
/// provider's module can judge the sum: enough, too little, or in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerObservation {
    /// `Open` while a payment is in progress, else `Partial` or `Paid`.
    pub state: OrderState,
    /// The provider's own name of the state.
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

/// The range of a complete reading of a ledger, by the provider's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerCoverage {
    /// When its first request was answered (HTTP `Date`).
    pub began_at: UnixMillis,
    /// Start of the range without a gap.
    pub from: UnixMillis,
    /// End of the range.
    pub through: UnixMillis,
}

impl ObservedOrder {
    /// Whether a payment is reported but its amount is missing or unreadable.
    pub fn lacks_paid_amount(&self) -> bool {
        let value = self.payment.as_ref().and_then(|paid| paid.value.as_ref());
        self.state == OrderState::Paid && value.is_none()
    }

    /// Whether the order's amount, whose currency is not reported, has another value than `ours`. An
    /// equal value is no contradiction.
    pub fn has_another_value(&self, ours: &Money) -> bool {
        let theirs = self.bare_amount.as_deref();
        theirs.is_some_and(|theirs| !money::same_value(theirs, &ours.value))
    }
}

/// What is new about one invoice. A failed request is not an observation and has a type of its own,
/// `provider::ProviderError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The provider reported the order.
    Seen(ObservedOrder),
    /// The ledger of a provider without orders reports payments for the invoice.
    Ledger(LedgerObservation),
    /// A complete reading of such a ledger shows no payment that was not known.
    NothingUntil {
        /// When its last answer came.
        observed_at: UnixMillis,
        /// Its range.
        reading: LedgerCoverage,
    },
    /// The provider cannot have a payment under the invoice's external id.
    ExternalIdInvalid {
        /// When that was found.
        observed_at: UnixMillis,
    },
    /// The ledger shows a transaction with the invoice's external id whose id another invoice has
    /// already: it is not credited twice.
    TransactionTaken {
        /// When that was found.
        observed_at: UnixMillis,
    },
    /// The provider reports that it has no such order.
    NotFound {
        /// When the answer came.
        observed_at: UnixMillis,
        /// Whether it may be believed: the grace is over, and the account's service is known to
        /// work.
        counts: bool,
    },
    /// The order of a requested invoice exists (created by this request or an earlier one).
    Created(ObservedOrder),
    /// The requested invoice can be paid by this link; the provider keeps no orders.
    LinkMade {
        /// When it was made.
        observed_at: UnixMillis,
        /// The complete link.
        pay_link: String,
    },
    /// The provider refuses to create the order.
    CreationRefused {
        /// When the answer came.
        observed_at: UnixMillis,
        /// The provider's message, on one line.
        reason: String,
    },
    /// An order with other parameters has the invoice's external id.
    CreationConflict {
        /// When the answer came.
        observed_at: UnixMillis,
    },
    /// The order was not created in time and will not be.
    CreationTooLate {
        /// When that was found.
        observed_at: UnixMillis,
    },
    /// A person decided about an invoice in `review`.
    Resolved {
        /// When.
        observed_at: UnixMillis,
        /// The decision.
        verdict: Verdict,
        /// Why, for the record.
        note: String,
    },
}

/// What a person may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money was received.
    Paid,
    /// The time to pay ran out.
    Expired,
    /// The invoice was cancelled.
    Cancelled,
}
