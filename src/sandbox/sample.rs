//! A shop at each simulated provider, for plays and tests: its key, its settings, its prices, and what
//! its payers can do there. Each provider describes its own.

/// An account at a provider, as a shop has it.
#[derive(Debug)]
pub struct SampleShop {
    /// Has the form of the provider's keys.
    pub key: &'static str,
    /// Further lines of the account in the configuration.
    pub account: &'static str,
    /// What its goods cost, plain decimals in `currency`.
    pub prices: [&'static str; 3],
    pub currency: &'static str,
    /// What an invoice to be created needs beside its price: a JSON object.
    pub options: &'static str,
    /// What payers can do; more of them do what stands here twice.
    pub habits: &'static [PayerHabit],
}

/// What a payer does with a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayerHabit {
    Pays,
    /// Pays half of it, and the rest later.
    PaysInParts,
    /// Pays one and a half times the price.
    Overpays,
    /// Pays after the order has ended.
    PaysLate,
    /// Pays, and gets the money back.
    IsRefunded,
    Cancels,
    /// Never pays: the order ends at the provider.
    LetsExpire,
    /// Never pays, and nothing ends at the provider, which keeps no orders.
    Forgets,
}
