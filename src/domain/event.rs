//! Events: one JSON object each, CloudEvents 1.0 in structured mode, on one line.
//!
//! An event's id is derived from its content, so the same fact recorded again after a restore has
//! the same id, and a consumer that remembers ids processes it once.

mod metadata;
mod payload;

use uuid::Uuid;

pub use self::payload::{discrepancy_payload, discrepancy_payload_parts};
use super::event_id;
use super::invoice::{AccountName, ExternalId, Facts, Invoice, TransactionId};
use super::state::Status;
use super::time::UnixMillis;

/// The kind of fact that an event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// An order now exists for a requested invoice, or an order that was not found is seen again.
    Pending,
    /// The provider reported PAID.
    Paid,
    /// The provider reported the expiry.
    Expired,
    /// The provider reported the cancellation.
    Cancelled,
    /// The provider refuses to create the order.
    Rejected,
    /// A person must decide.
    Review,
    /// Amounts of a payment, learned after `payment.paid` was recorded.
    Detailed,
    /// Some money arrived, less than the requested amount.
    Partial,
    /// More money arrived for a paid invoice.
    Further,
    /// All or part of the money was refunded.
    Refunded,
}

/// What distinguishes several events of one type for one invoice.
enum DistinguishedBy {
    /// There is only one.
    Nothing,
    Version,
    /// The transaction, or the version where no transaction is reported.
    Transaction,
}

impl EventType {
    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "payment.pending",
            Self::Paid => "payment.paid",
            Self::Expired => "payment.expired",
            Self::Cancelled => "payment.cancelled",
            Self::Rejected => "payment.rejected",
            Self::Review => "payment.review",
            Self::Detailed => "payment.detailed",
            Self::Partial => "payment.partial",
            Self::Further => "payment.further",
            Self::Refunded => "payment.refunded",
        }
    }

    /// The type that reports a transition to `status`. None for `requested`, which is the initial
    /// state.
    pub fn of_move_to(status: Status) -> Option<Self> {
        match status {
            Status::Requested => None,
            Status::Pending => Some(Self::Pending),
            Status::Paid => Some(Self::Paid),
            Status::Expired => Some(Self::Expired),
            Status::Cancelled => Some(Self::Cancelled),
            Status::Rejected => Some(Self::Rejected),
            Status::Review => Some(Self::Review),
        }
    }

    /// A `pending` can occur again when it does not follow `requested`.
    fn distinguished_by(self, previous: Status) -> DistinguishedBy {
        match self {
            Self::Paid | Self::Rejected => DistinguishedBy::Nothing,
            Self::Pending if previous == Status::Requested => DistinguishedBy::Nothing,
            Self::Pending
            | Self::Expired
            | Self::Cancelled
            | Self::Review
            | Self::Detailed
            | Self::Partial => DistinguishedBy::Version,
            Self::Further | Self::Refunded => DistinguishedBy::Transaction,
        }
    }
}

/// The feed's subject of an event: `<prefix>.<account>.<last word of the type>`.
pub fn subject(prefix: &str, account: &AccountName, event_type: &str) -> String {
    let word = event_type.rsplit('.').next().unwrap_or(event_type);
    format!("{prefix}.{account}.{word}")
}

/// One event, complete except for its place in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Kind of fact.
    pub event_type: EventType,
    /// Provider behind the account: `walletpay`.
    pub provider: String,
    /// The account.
    pub account: AccountName,
    /// The shop's id.
    pub external_id: ExternalId,
    /// The status before.
    pub previous_status: Status,
    /// All that is known after the observation.
    pub facts: Facts,
    /// Paid after `expired` or `cancelled` was recorded.
    pub late: bool,
    /// The note of a person who decided.
    pub note: Option<String>,
    /// The transaction that caused it, where the provider reports one.
    pub transaction_id: Option<TransactionId>,
    /// Number of the event within the invoice: 1, 2, 3…
    pub version: i64,
    /// Moment of the observation.
    pub observed_at: UnixMillis,
    /// The shop's JSON.
    pub metadata: Option<String>,
}

impl Event {
    /// The event that reports the change of `row` since `previous`; it takes the next version.
    pub fn about(
        row: &Invoice,
        provider: &str,
        event_type: EventType,
        previous: Status,
        observed_at: UnixMillis,
    ) -> Self {
        let late = event_type == EventType::Paid && row.facts.ended_at.is_some();
        Self {
            event_type,
            provider: provider.to_owned(),
            account: row.account.clone(),
            external_id: row.external_id.clone(),
            previous_status: previous,
            facts: row.facts.clone(),
            late,
            note: None,
            transaction_id: None,
            version: row.version,
            observed_at,
            metadata: row.metadata.clone(),
        }
    }

    /// The event's id. The same fact always has the same id.
    pub fn id(&self) -> Uuid {
        let (account, external_id) = (&self.account, &self.external_id);
        let mut name = format!("{account}\n{external_id}\n{}", self.event_type.as_str());
        let version = || self.version.to_string();
        let apart = match self.event_type.distinguished_by(self.previous_status) {
            DistinguishedBy::Nothing => None,
            DistinguishedBy::Version => Some(version()),
            DistinguishedBy::Transaction => {
                let transaction = self.transaction_id.as_ref();
                Some(transaction.map_or_else(version, |id| id.0.clone()))
            }
        };
        if let Some(apart) = apart {
            name.push('\n');
            name.push_str(&apart);
        }
        event_id::from_name(&name)
    }
}
