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

pub(super) use api::routes;
pub(super) use store::CryptoPaySimulator;
