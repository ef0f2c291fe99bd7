//! The simulated Bot API, as far as Telegram Stars go: invoice links and the bot's ledger.
//!
//! `entry` is one movement, `store` the ledger, `dialect` and `api` speak HTTP.

mod api;
mod dialect;
mod entry;
mod store;

pub(super) use api::routes;
pub(super) use store::StarsSimulator;

use super::sample::{PayerHabit, SampleShop};

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
