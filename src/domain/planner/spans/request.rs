//! What the planner of spans is given, and what it asks for.

use std::time::Duration;

use crate::domain::time::UnixMillis;

/// What a provider's list by time can be asked, and the budget for it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether one kind of reading may be made"
)]
pub struct SpanTerms {
    /// All payments of a span may be read.
    pub paid: bool,
    /// Orders made within a span may be read in the place of single polls.
    pub created: bool,
    /// Readings are preferred to single polls even where those take no more requests.
    pub is_preferred: bool,
    /// Orders may be looked for by their external id.
    pub follows: bool,
    /// Refunds of a span may be read.
    pub refunds: bool,
    /// Most items on a page.
    pub page_limit: u32,
    /// Decoded bytes a second beyond what is due; 0 = payments are read for what is due alone.
    pub bytes_per_second: u64,
    /// Requests a second; 0 = no limit.
    pub requests_per_second: f64,
    /// Least interval of polls.
    pub min_interval: Duration,
}

/// Why a span is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanWhy {
    /// What became paid.
    Paid,
    /// What was returned.
    Refunds,
    /// These entries are due and expected in it.
    Due,
    /// Entries that are known by their external id alone.
    Followed,
}

/// One page of a span to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanRequest {
    /// Why it is read.
    pub why: SpanWhy,
    /// First moment of the span, by the provider's clock.
    pub from: UnixMillis,
    /// First moment after it; None = there is no end.
    pub until: Option<UnixMillis>,
    /// Whether it is the first page: else the last page's cursor leads to it.
    pub is_first: bool,
}

/// A page that was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanPageSummary<'a> {
    /// Items on it.
    pub items: u64,
    /// Decoded bytes.
    pub bytes: u64,
    /// Whether more pages follow.
    pub goes_on: bool,
    /// Entries that it showed.
    pub slots: &'a [u32],
    /// How many of them it polled.
    pub polled: usize,
    /// Creation of a refund on it that has not come to its end.
    pub unsettled_since: Option<UnixMillis>,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct SpanMoment {
    /// By the monotonic clock.
    pub at: Duration,
    /// By the provider's, as far as it is known.
    pub theirs: UnixMillis,
}
