//! payrecond detects, reliably and fast, whether a payment was made.
//!
//! Data flows in one direction: invoices due -> requests -> observations -> decisions -> one
//! transaction (invoice + outbox) -> feed. ARCHITECTURE.md has the map; `tests/it/architecture.rs`
//! enforces the layers: each module may use only those listed below it here.

pub mod cli;
pub mod daemon;

pub mod server;

pub mod config;

pub mod lifecycle;
pub mod schedule;
pub mod telemetry;

pub mod jobs;
pub mod story;

pub mod metrics;

pub mod jetstream;
pub mod limit;
pub mod retry;

pub mod feed;
pub mod provider;
pub mod store;

pub mod sandbox;

pub mod clock;

pub mod words;

pub mod domain;
