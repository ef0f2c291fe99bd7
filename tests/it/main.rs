//! Tests from outside the crate: one binary, one module a subject.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod architecture;
mod cadence;
mod config;
mod coverage;
mod daemon;
mod decide;
mod events;
mod feed_frames;
mod http_client;
mod list;
mod positions;
mod rows;
mod sandbox;
mod shop;
mod walletpay;
