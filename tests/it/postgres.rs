//! The SQL interface on PostgreSQL, as programs use it beside the daemon.
//!
//! The tests start a server of their own, from the binaries of the system. Where there are none they
//! are skipped with a word; in CI that is a failure.

mod clock;
mod cluster;
mod commands;
mod concurrent;
mod cuts;
mod daemons;
mod line;
mod moving;
mod outages;
mod page;
mod pooler;
mod reader;
mod rounds;
mod schema;
pub mod server;
mod shop;
mod sql;
mod takeover;
mod versions;
