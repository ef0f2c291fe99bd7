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

pub(super) use api::routes;
pub(super) use store::CryptoCloudSimulator;
