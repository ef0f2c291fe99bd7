//! Accounts whose provider keeps a ledger and no orders, in this world: the daemon's own clients of
//! Telegram Stars and YooMoney, before servers that are scripted by the seed.
//!
//! `book` is the truth, drawn by `payers` before the first life begins; `server` answers and fails, in
//! the words of `stars` and `wallet`; `laws` and `history` hold
//! what the daemon writes against the truth, at each commit and at the end.

pub mod book;
pub mod history;
pub mod laws;
pub mod payers;
pub mod server;
mod stars;
mod wallet;
