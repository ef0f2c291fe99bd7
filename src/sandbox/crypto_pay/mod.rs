//! The simulated Crypto Pay API (`@CryptoBot`).
//!
//! `market` has the currencies, `invoice` the rules, `store` the data; `terms`, `wire` and `api`
//! handle HTTP.

mod api;
mod invoice;
mod market;
mod store;
mod terms;
mod wire;

use std::sync::Arc;

use store::CryptoPaySimulator;

use super::core::SandboxCore;
use super::installed::{Books, Installed};
use super::sample::{PayerHabit, SampleShop};

/// One with nothing in it.
pub(super) fn install(core: &Arc<SandboxCore>) -> Installed {
    let simulator = Arc::new(CryptoPaySimulator::new(Arc::clone(core)));
    Installed {
        routes: api::routes(Arc::clone(&simulator)),
        books: Books::Orders(simulator),
    }
}

/// An app that sells for USDT: exactly the price or nothing, and no way back.
const SAMPLE: SampleShop = SampleShop {
    key: "12345:sandbox-app-token",
    account: "",
    prices: ["0.50", "3.75", "12.00"],
    currency: "USDT",
    options: "{}",
    habits: &[PayerHabit::Pays, PayerHabit::Pays, PayerHabit::LetsExpire],
};
