//! A request to the order list and its purpose.

/// A request to the order list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Its purpose.
    pub why: Why,
    /// Position of the first item.
    pub offset: u64,
    /// Number of items.
    pub count: u32,
}

/// The purpose of a request to the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Covers these due entries, which are expected on the page.
    Due(Vec<u32>),
    /// The next part of a sweep.
    Sweep,
    /// The newest orders, beyond what is due.
    Watch,
    /// The amounts of a payment.
    Details,
    /// Only the number of orders.
    Count,
}

impl ListRequest {
    pub(super) fn count() -> Self {
        Self {
            why: Why::Count,
            offset: 0,
            count: 0,
        }
    }
}
