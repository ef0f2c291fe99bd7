//! The simulated Bot API for Telegram Stars: invoice links and the bot's ledger.
//!
//! `entry` is one movement, `store` the ledger; `dialect` and `api` handle HTTP.

mod api;
mod dialect;
mod entry;
mod store;

use std::sync::Arc;

use store::StarsSimulator;

use super::core::SandboxCore;
use super::installed::{Books, Installed};
use super::sample::{PayerHabit, SampleShop};

/// One with nothing in it.
pub(super) fn install(core: &Arc<SandboxCore>) -> Installed {
    let simulator = Arc::new(StarsSimulator::new(Arc::clone(core)));
    Installed {
        routes: api::routes(Arc::clone(&simulator)),
        books: Books::Ledger(simulator),
    }
}

/// A bot that sells for Stars.
const SAMPLE: SampleShop = SampleShop {
    key: "123456:sandbox-bot-token",
    account: "",
    prices: ["50", "100", "250"],
    currency: "XTR",
    options: "{}",
    habits: &[
        PayerHabit::Pays,
        PayerHabit::IsRefunded,
        PayerHabit::Forgets,
    ],
};
