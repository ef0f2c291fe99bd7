//! The simulated CryptoCloud API v2 (since 2026: Trybit).
//!
//! `coin` knows what is paid with, `invoice` decides, `store` holds, `request`, `wire`, `dialect` and
//! `api` speak HTTP.

mod api;
mod coin;
mod dialect;
mod invoice;
mod request;
mod store;
mod wire;

pub(super) use api::routes;
pub(super) use store::CryptoCloudSimulator;
