//! The planner: selects the requests to make from the due entries, the knowledge of the list, and
//! the costs of requests. Pure.
//!
//! `cover` finds the cheapest requests for orders whose position in the list is known. `outlook`
//! estimates positions, and has a whole stretch read by a `sweep` where that is cheaper. Beyond the
//! due entries, the `watch` reads the page of the newest orders, and `details` the amounts of
//! payments.

mod candidate;
pub mod cover;
mod details;
mod learn;
mod list_request;
mod outlook;
mod planning;
mod requests;
pub mod spans;
mod stretch;
mod sweep;
mod terms;
mod watch;

pub use self::candidate::{Candidate, CandidateLookup, Place};
pub use self::learn::Swept;
pub use self::list_request::{ListRequest, Why};
pub use self::planning::Planner;
pub use self::terms::{Shapes, Strategy, Terms};
