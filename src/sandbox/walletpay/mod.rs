//! The simulated Wallet Pay store API, with its quirks and limits.
//!
//! `money`, `order` and `book` have the rules, `store` the data; `api` and `wire` handle HTTP.

mod api;
mod book;
mod money;
mod order;
mod store;
mod wire;

pub use order::NewOrder;
pub use store::Created;

pub(super) use api::routes;
pub(super) use store::WalletPaySimulator;
