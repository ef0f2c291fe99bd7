//! The simulated YooMoney wallet: its history and the pay form.
//!
//! `entry` is one operation, `store` the wallet, `query` reads requests, `dialect` and `api` speak HTTP.

mod api;
mod dialect;
mod entry;
mod query;
mod store;

pub(super) use api::routes;
pub(super) use store::YooMoneySimulator;

use super::sample::{PayerHabit, SampleShop};

/// A wallet that is paid by links.
const SAMPLE: SampleShop = SampleShop {
    key: "410011234567890.sandbox-token",
    account: "[account.settings]\nreceiver = \"410011234567890\"\n",
    prices: ["100.00", "150.00", "300.00"],
    currency: "RUB",
    options: "{}",
    habits: &[
        PayerHabit::Pays,
        PayerHabit::PaysInParts,
        PayerHabit::Overpays,
        PayerHabit::Forgets,
    ],
};
