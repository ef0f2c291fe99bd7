//! What the configuration has to say in a decision.

use std::time::Duration;

/// What the configuration has to say in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A payment in the provider's test mode counts as paid.
    pub accept_test_payments: bool,
    /// So long after the deadline a ledger must have been read.
    pub deadline_grace: Duration,
    /// Codes by which the provider writes one currency.
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
