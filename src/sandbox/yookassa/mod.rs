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

pub(super) use api::routes;
pub(super) use store::YooKassaSimulator;
