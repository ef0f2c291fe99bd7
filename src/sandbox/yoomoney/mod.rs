//! The simulated YooMoney wallet: its history and the pay form.
//!
//! `entry` is one operation, `store` the wallet, `query` parses requests; `dialect` and `api`
//! handle HTTP.

mod api;
mod dialect;
mod entry;
mod query;
mod store;

use std::sync::Arc;

use store::YooMoneySimulator;

use super::core::SandboxCore;
use super::installed::{Books, Installed};
use super::sample::{PayerHabit, SampleShop};

/// One with nothing in it.
pub(super) fn install(core: &Arc<SandboxCore>) -> Installed {
    let simulator = Arc::new(YooMoneySimulator::new(Arc::clone(core)));
    Installed {
        routes: api::routes(Arc::clone(&simulator)),
        books: Books::Ledger(simulator),
    }
}

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
