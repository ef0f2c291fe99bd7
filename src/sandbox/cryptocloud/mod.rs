//! The simulated CryptoCloud API v2 (since 2026: Trybit).
//!
//! `coin` has the coins, `invoice` the rules, `store` the data; `request`, `wire`, `dialect` and
//! `api` handle HTTP.

mod api;
mod coin;
mod dialect;
mod invoice;
mod request;
mod store;
mod wire;

use std::sync::Arc;

use store::CryptoCloudSimulator;

use super::core::SandboxCore;
use super::installed::{Books, Installed};
use super::sample::{PayerHabit, SampleShop};

/// One with nothing in it.
pub(super) fn install(core: &Arc<SandboxCore>) -> Installed {
    let simulator = Arc::new(CryptoCloudSimulator::new(Arc::clone(core)));
    Installed {
        routes: api::routes(Arc::clone(&simulator)),
        books: Books::Orders(simulator),
    }
}

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
