//! The simulated YooKassa API v3.
//!
//! `payment` and `refund` have the rules, `store` the data, `idempotence` the stored answers;
//! `request`, `list`, `wire` and `api` handle HTTP.

mod api;
mod basic;
mod dialect;
mod idempotence;
mod list;
mod payment;
mod refund;
mod request;
mod store;
mod wire;

use std::sync::Arc;

use store::YooKassaSimulator;

use super::core::SandboxCore;
use super::installed::{Books, Installed};
use super::sample::{PayerHabit, SampleShop};

/// One with nothing in it.
pub(super) fn install(core: &Arc<SandboxCore>) -> Installed {
    let simulator = Arc::new(YooKassaSimulator::new(Arc::clone(core)));
    Installed {
        routes: api::routes(Arc::clone(&simulator)),
        books: Books::Orders(simulator),
    }
}

/// A shop that sells for roubles.
const SAMPLE: SampleShop = SampleShop {
    key: "100500:live_sandbox_secret",
    account: "[account.settings]\nreturn_url = \"https://shop.example/back\"\n",
    prices: ["99.00", "199.50", "349.00"],
    currency: "RUB",
    options: "{}",
    habits: &[
        PayerHabit::Pays,
        PayerHabit::Cancels,
        PayerHabit::LetsExpire,
    ],
};
