//! The simulated YooKassa API v3.
//!
//! `payment` and `refund` decide, `store` holds, `idempotence` remembers answers; `request`, `list`,
//! `wire` and `api` speak HTTP.

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
