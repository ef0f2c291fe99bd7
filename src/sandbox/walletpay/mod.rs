//! The simulated Wallet Pay store API, with its quirks and limits.
//!
//! `money`, `order` and `book` have the rules, `store` the data; `api` and `wire` handle HTTP.

mod api;
mod book;
mod money;
mod order;
mod store;
mod wire;

use std::sync::Arc;

use store::WalletPaySimulator;

use super::core::SandboxCore;
use super::installed::{Books, Installed};
use super::sample::{PayerHabit, SampleShop};

/// One with nothing in it.
pub(super) fn install(core: &Arc<SandboxCore>) -> Installed {
    let simulator = Arc::new(WalletPaySimulator::new(Arc::clone(core)));
    Installed {
        routes: api::routes(Arc::clone(&simulator)),
        books: Books::Orders(simulator),
    }
}

/// A store that sells for dollars.
const SAMPLE: SampleShop = SampleShop {
    key: "sandbox-walletpay-key",
    account: "",
    prices: ["1.10", "2.50", "4.99"],
    currency: "USD",
    options: r#"{"customerTelegramUserId":42}"#,
    habits: &[
        PayerHabit::Pays,
        PayerHabit::PaysLate,
        PayerHabit::Cancels,
        PayerHabit::LetsExpire,
    ],
};
