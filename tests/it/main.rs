//! Integration tests: one binary, one module per subject.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::time::Duration;

/// Maximum wait of a test for an event that must come. No outcome depends on it: it only ends a
/// test whose event never comes, so it is long enough for the slowest machine.
pub const PATIENCE: Duration = Duration::from_mins(10);

mod architecture;
mod audit;
mod cadence;
mod cli;
mod clients;
mod config;
mod copy;
mod cover;
mod crypto_pay;
mod cryptocloud;
mod daemon;
mod decide;
mod demo;
mod docs;
mod events;
mod examples;
mod faults;
mod feed_frames;
mod feed_role;
mod free_port;
mod fuzzed;
mod http_client;
mod ledger;
mod list;
mod listing;
mod nats;
mod other_day;
mod pages;
mod personal_data;
mod planted;
mod poll;
mod postgres;
mod providers;
mod retention;
mod rows;
mod sandbox;
mod schema;
mod server;
mod shop;
mod spans;
mod store;
mod telegram_stars;
mod translation;
mod until;
mod upgrade;
mod walletpay;
mod words;
mod yookassa;
