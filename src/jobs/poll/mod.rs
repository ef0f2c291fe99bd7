//! Polls one account: reads due rows, plans, sends requests, decides, writes.
//!
//! `queue` reads rows into the `schedule`; `domain::planner` plans requests for due entries; `load`
//! reads the rows that need single requests, `fetch` and `page` make the requests; `matching` finds
//! the invoices of the orders on a page; `writer` commits decisions in batches.
//!
//! Nothing is lost here: an invoice in hand stays due in its row until the observation is
//! committed. A crash at any point only repeats a request. Requests and commits overlap: while one
//! batch is being written, the next one is collected.

mod database;
mod due_rows;
mod fetch;
mod itemize;
mod launch;
mod ledger;
mod load;
mod matching;
mod meter;
mod page;
mod plan;
mod poller;
mod queue;
mod recorder;
mod refunds;
mod schedule;
mod search;
mod settle;
mod setup;
mod span_reader;
mod spans;
mod step;
mod task;
mod trusted;
mod turn;
mod unmatched;
mod wait;
mod writer;

pub use self::poller::{FINISH_WITHIN, PollCounts, Poller};
pub use self::setup::{PollSettings, PollSetup, PollSignals};
pub use crate::domain::planner::Strategy;

/// Maximum number of invoices loaded, matched or written at a time.
const BATCH: usize = 500;
