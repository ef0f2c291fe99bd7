//! The pure part: no async, no clock, no logging, no I/O.
//!
//! `state` has the states and the transitions between them. `decide` turns an observation of an
//! invoice into the row to write and the event to append. `cadence` computes when to poll again,
//! `planner` with which requests. `listing` holds what is known of the provider's order list, and
//! `deadline` decides when the absence of a payment in a ledger ends an invoice. The rest is
//! vocabulary: `invoice`, `observation`, `transaction`, `money`, `event`, `time`.

pub mod account;
pub mod audit;
pub mod cadence;
pub mod deadline;
pub mod decide;
pub mod event;
mod event_id;
mod ids;
pub mod invoice;
pub mod ledger;
pub mod list_reading;
pub mod listing;
pub mod money;
pub mod observation;
pub mod planner;
pub mod reschedule;
pub mod rules;
pub mod shares;
pub mod state;
pub mod text;
pub mod time;
pub mod transaction;
