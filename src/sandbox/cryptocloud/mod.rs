//! The simulated CryptoCloud API v2 (since 2026: Trybit).
//!
//! `coin` knows what is paid with, `invoice` decides, `store` holds, `request`, `wire`, `dialect` and
//! `api` speak HTTP.

mod api;
mod coin;
mod dialect;
mod invoice;
mod request;
mod store;
mod wire;

pub(super) use api::routes;
pub(super) use store::CryptoCloudSimulator;

use super::sample::{PayerHabit, SampleShop};

/// A project that sells for dollars, paid in coins.
const SAMPLE: SampleShop = SampleShop {
    key: "sandbox-project-key",
    account: "[account.settings]\nshop_id = \"SANDBOX\"\n",
    prices: ["5.00", "15.00", "29.90"],
    currency: "USD",
    options: "{}",
    habits: &[
        PayerHabit::Pays,
        PayerHabit::PaysInParts,
        PayerHabit::Overpays,
        PayerHabit::PaysLate,
        PayerHabit::Cancels,
        PayerHabit::LetsExpire,
    ],
};
