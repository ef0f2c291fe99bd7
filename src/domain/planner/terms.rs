//! The parameters of an account's planner.

use std::time::Duration;

/// Which requests may be made: what the provider offers and the strategy allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shapes {
    /// One order by its id.
    pub single: bool,
    /// Maximum number of orders in a batch; 0 = no batches.
    pub batch_limit: u32,
    /// Maximum number of items on a page of the list; 0 = no list.
    pub page_limit: u32,
}

impl Shapes {
    /// Whether orders can be requested by their ids.
    pub fn has_fetches(self) -> bool {
        self.single || self.batch_limit > 0
    }
}

/// Which requests an account may make to poll its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Both kinds; each time the one that takes fewer, cheaper requests.
    Auto,
    /// Only by the orders' ids.
    Single,
    /// Only by pages of the list.
    List,
}

/// The parameters of the planner.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which requests may be made.
    pub shapes: Shapes,
    /// Decoded bytes per second for pages beyond due entries; 0 = no such pages.
    pub list_bytes_per_second: u64,
    /// Requests per second; 0 = no limit.
    pub requests_per_second: f64,
    /// Minimum and maximum interval of polls.
    pub intervals: (Duration, Duration),
}
