//! Polls one account: reads what is due, plans, requests, decides, writes.
//!
//! `queue` brings rows into the `schedule`; `domain::planner` makes requests of what is due; `load`
//! reads the rows that are asked about one by one, `fetch` and `page` make the requests; `matching`
//! finds the invoices that a page shows; `writer` commits decisions in batches.
//!
//! Nothing is lost in here: what is under way is only in hand, the row stays due until what was
//! observed is committed. A crash at any point repeats a request and nothing else. Requests and
//! commits overlap: while one batch is being written the next one gathers.

mod database;
mod fetch;
mod intake;
mod itemize;
mod launch;
mod ledger;
mod ledger_reader;
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
mod turn;
mod unmatched;
mod wait;
mod writer;

pub use self::poller::{FINISH_WITHIN, PollCounts, Poller};
pub use self::setup::PollSetup;
pub use crate::domain::planner::Strategy;

/// Most invoices loaded, matched or written at a time.
const BATCH: usize = 500;
