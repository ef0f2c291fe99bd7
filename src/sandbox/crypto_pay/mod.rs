//! The simulated Crypto Pay API (`@CryptoBot`).
//!
//! `market` knows what is dealt in, `invoice` decides, `store` holds, `terms`, `wire` and `api` speak HTTP.

mod api;
mod invoice;
mod market;
mod store;
mod terms;
mod wire;

pub(super) use api::routes;
pub(super) use store::CryptoPaySimulator;
