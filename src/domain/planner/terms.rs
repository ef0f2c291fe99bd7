//! What the planner of an account works by.

use std::time::Duration;

/// Which requests may be made: what the provider offers, as far as the strategy allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shapes {
    /// One order by its id.
    pub single: bool,
    /// Most orders by their ids in one request; 0 = no batches.
    pub batch_limit: u32,
    /// Most items of the order list that one page can hold; 0 = no list.
    pub page_limit: u32,
}

impl Shapes {
    /// Whether orders can be asked for by their ids.
    pub fn has_fetches(self) -> bool {
        self.single || self.batch_limit > 0
    }
}

/// Which requests an account may make to poll its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Whichever cover what is due in fewer, cheaper requests.
    Auto,
    /// Only by the orders' ids.
    Single,
    /// Only by pages of the list.
    List,
}

/// What the planner works by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which requests may be made.
    pub shapes: Shapes,
    /// Decoded bytes a second for pages beyond what is due; 0 = none beyond.
    pub list_bytes_per_second: u64,
    /// Requests a second; 0 = no limit.
    pub requests_per_second: f64,
    /// Least and greatest interval of polls.
    pub intervals: (Duration, Duration),
}
