//! Input and output of the planner of spans.

use std::time::Duration;

use crate::domain::time::UnixMillis;

/// What a provider's list by time offers, and the limits for using it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether one kind of reading may be made"
)]
pub struct SpanTerms {
    /// Whether all payments of a span can be read.
    pub paid: bool,
    /// Whether orders created in a span can be read instead of single polls.
    pub created: bool,
    /// Whether readings are preferred even where single polls take no more requests.
    pub is_preferred: bool,
    /// Whether orders can be searched for by external id.
    pub follows: bool,
    /// Whether refunds of a span can be read.
    pub refunds: bool,
    /// Maximum number of items on a page.
    pub page_limit: u32,
    /// Decoded bytes per second beyond due entries; 0 = payments are read only for due entries.
    pub bytes_per_second: u64,
    /// Requests per second; 0 = no limit.
    pub requests_per_second: f64,
    /// Minimum interval of polls.
    pub min_interval: Duration,
}

/// The purpose of reading a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanWhy {
    /// Payments.
    Paid,
    /// Refunds.
    Refunds,
    /// Covers these due entries, which are expected in it.
    Due,
    /// Entries known only by their external id.
    Followed,
}

/// One page of a span to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanRequest {
    /// Its purpose.
    pub why: SpanWhy,
    /// First moment of the span, by the provider's clock.
    pub from: UnixMillis,
    /// First moment after it; None = open end.
    pub until: Option<UnixMillis>,
    /// Whether this is the first page; other pages are reached by the cursor of the previous one.
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
    /// Entries shown on it.
    pub slots: &'a [u32],
    /// Number of entries that it polled.
    pub polled: usize,
    /// Creation time of a refund on it that is still pending.
    pub unsettled_since: Option<UnixMillis>,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct SpanMoment {
    /// By the monotonic clock.
    pub at: Duration,
    /// By the provider's clock, as far as it is known.
    pub theirs: UnixMillis,
}
