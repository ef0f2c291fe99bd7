//! The simulated Bot API for Telegram Stars: invoice links and the bot's ledger.
//!
//! `entry` is one movement, `store` the ledger; `dialect` and `api` handle HTTP.

mod api;
mod dialect;
mod entry;
mod store;

pub(super) use api::routes;
pub(super) use store::StarsSimulator;
