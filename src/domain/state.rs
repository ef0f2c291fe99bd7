//! The states of an invoice, and which moves between them exist.

use std::fmt;

/// What we say about an invoice. Written to `invoices.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// No order yet: to be created.
    Requested,
    /// Waiting for money.
    Pending,
    /// The provider said PAID. Final.
    Paid,
    /// The provider said so.
    Expired,
    /// The provider said so.
    Cancelled,
    /// The provider refuses to create the order. Final.
    Rejected,
    /// A person must look; the invoice's reason says why.
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

    /// The word in the database and in events.
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

    /// The status a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the table of moves leads from here to `next`. The triggers of the database hold
    /// every writer to the same table.
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

/// Why an invoice is in `review`, or what was odd about the last answer. Written to
/// `invoices.reason`; a refusal of the provider stands there in its own words instead.
pub mod reason {
    /// The provider's amount is not the expected one. In `review`.
    pub const AMOUNT_MISMATCH: &str = "amount_mismatch";
    /// The order bears another external id than the invoice. In `review`.
    pub const EXTERNAL_ID_MISMATCH: &str = "external_id_mismatch";
    /// An order with other parameters exists for this external id. In `review`.
    pub const CREATE_CONFLICT: &str = "create_conflict";
    /// The provider does not know the order. In `review`; ends by itself when it is seen again.
    pub const ORDER_NOT_FOUND: &str = "order_not_found";
    /// Some of the money came. At `pending` it waits for the rest; in `review` the order ended.
    pub const PARTIALLY_PAID: &str = "partially_paid";
    /// The money is held at the provider, not captured. At `pending`.
    pub const AUTHORIZED: &str = "authorized";
    /// Paid in the provider's test mode. In `review`.
    pub const TEST_PAYMENT: &str = "test_payment";
    /// The provider cannot have a payment under the external id. In `review`.
    pub const EXTERNAL_ID_INVALID: &str = "external_id_invalid";
    /// The ledger shows no payment up to the deadline. At `expired`.
    pub const DEADLINE: &str = "deadline";
    /// The provider used a status word that we do not know.
    pub const UNKNOWN_STATUS: &str = "unknown_status";
    /// The provider seems to take a final state back.
    pub const CONTRADICTION: &str = "contradiction";
    /// The configuration does not know the invoice's account.
    pub const UNKNOWN_ACCOUNT: &str = "unknown_account";
    /// The order was not made in time: `timeout_seconds` after the insert.
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
