//! The states of an invoice and the transitions between them.

use std::fmt;

/// Our status of an invoice. Written to `invoices.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// No order yet; it has to be created.
    Requested,
    /// Waiting for money.
    Pending,
    /// The provider reported PAID. Final.
    Paid,
    /// The provider reported the expiry.
    Expired,
    /// The provider reported the cancellation.
    Cancelled,
    /// The provider refuses to create the order. Final.
    Rejected,
    /// A person must decide; the invoice's reason explains why.
    Review,
}

impl Status {
    /// Every status, in the order of an invoice's life.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::Pending,
        Self::Paid,
        Self::Expired,
        Self::Cancelled,
        Self::Rejected,
        Self::Review,
    ];

    /// The name in the database and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Review => "review",
        }
    }

    /// Parses the name that `as_str` returns.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the table of transitions allows `next` after this status. Database triggers enforce
    /// the same table for all writers.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Cancelled, Expired, Paid, Pending, Rejected, Requested, Review};
        match self {
            Requested => matches!(next, Pending | Rejected | Review),
            Pending => matches!(next, Paid | Expired | Cancelled | Review),
            Expired | Cancelled => matches!(next, Paid | Review),
            Review => matches!(next, Pending | Paid | Expired | Cancelled),
            Paid | Rejected => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reasons why an invoice is in `review`, and anomalies of the last answer. Written to
/// `invoices.reason`; for a refusal by the provider, that column has the provider's message
/// instead.
pub mod reason {
    /// The provider's amount differs from the expected one. In `review`.
    pub const AMOUNT_MISMATCH: &str = "amount_mismatch";
    /// The order has another external id than the invoice. In `review`.
    pub const EXTERNAL_ID_MISMATCH: &str = "external_id_mismatch";
    /// An order with other parameters exists for this external id. In `review`.
    pub const CREATE_CONFLICT: &str = "create_conflict";
    /// The provider does not know the order. In `review`, until the order is seen again.
    pub const ORDER_NOT_FOUND: &str = "order_not_found";
    /// Part of the money arrived. At `pending` it waits for the rest; in `review` the order ended.
    pub const PARTIALLY_PAID: &str = "partially_paid";
    /// The money is held at the provider, not captured. At `pending`.
    pub const AUTHORIZED: &str = "authorized";
    /// Paid in the provider's test mode. In `review`.
    pub const TEST_PAYMENT: &str = "test_payment";
    /// The provider cannot have a payment under this external id. In `review`.
    pub const EXTERNAL_ID_INVALID: &str = "external_id_invalid";
    /// The ledger shows no payment before the deadline. At `expired`.
    pub const DEADLINE: &str = "deadline";
    /// The provider reported an unknown status.
    pub const UNKNOWN_STATUS: &str = "unknown_status";
    /// The provider contradicts a final state.
    pub const CONTRADICTION: &str = "contradiction";
    /// The invoice's account is not in the configuration.
    pub const UNKNOWN_ACCOUNT: &str = "unknown_account";
    /// The order was not created in time, `timeout_seconds` after the insert.
    pub const TOO_LATE: &str = "too_late";
    /// A person decided.
    pub const RESOLVED: &str = "resolved";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("PAID"), None);
    }

    #[test]
    fn final_states_stay() {
        for next in Status::ALL {
            assert!(!Status::Paid.may_become(next) && !Status::Rejected.may_become(next));
        }
    }
}
