//! The settings that affect decisions.

use std::time::Duration;

/// The settings that affect decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A payment in the provider's test mode counts as paid.
    pub accept_test_payments: bool,
    /// How long after the deadline a ledger must have been read.
    pub deadline_grace: Duration,
    /// Codes that the provider uses for one and the same currency.
    pub one_currency: &'static [&'static str],
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            accept_test_payments: false,
            deadline_grace: Duration::from_mins(2),
            one_currency: &[],
        }
    }
}
