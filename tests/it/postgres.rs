//! The SQL interface on PostgreSQL, as programs use it beside the daemon.
//!
//! The tests start a server of their own, from the binaries of the system. Where there are none they
//! are skipped with a word; in CI that is a failure.

mod concurrent;
mod daemons;
mod moving;
mod page;
mod schema;
pub mod server;
mod sql;
