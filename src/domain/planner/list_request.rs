//! A request to the order list, and why it is made.

/// A request to the order list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Why it is made.
    pub why: Why,
    /// Number of first orders left out.
    pub offset: u64,
    /// Items to read.
    pub count: u32,
}

/// Why the list is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// These entries are due and expected on the page.
    Due(Vec<u32>),
    /// The next part of a sweep.
    Sweep,
    /// The newest orders, beyond what is due.
    Watch,
    /// The amounts of a payment.
    Details,
    /// Only the number of orders is asked for.
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
