//! The simulated YooMoney wallet: its history and the pay form.
//!
//! `entry` is one operation, `store` the wallet, `query` parses requests; `dialect` and `api`
//! handle HTTP.

mod api;
mod dialect;
mod entry;
mod query;
mod store;

pub(super) use api::routes;
pub(super) use store::YooMoneySimulator;
