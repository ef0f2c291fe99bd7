//! Faults from outside: kills, blocked and closed pipes, signals, a provider that fails in every
//! way, a database that is locked, full, damaged or restored, a disk that fails, a power failure, a
//! clock that jumps, too little of everything. After each fault, `laws` checks that the database
//! agrees with the provider. Faults that the system cannot produce by itself come from `shim.c`.

mod access;
mod account;
mod apart;
mod bad_line;
mod creation;
mod database;
mod disk_errors;
mod hostile;
pub mod kill;
pub mod laws;
mod load;
mod log_damage;
mod names;
mod notified;
mod outage;
mod output;
mod packet_loss;
mod points;
mod power;
pub mod program;
mod provider;
mod replaced;
pub mod shim;
mod signals;
mod soak;
mod starved;
mod struck;
mod wall_clock;
mod watchdog;
