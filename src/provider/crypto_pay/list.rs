//! Pages of the list of all invoices. It is paged by position and grows at its start while it is
//! read, so pages overlap and show some invoices again.
//!
//! In practice the list is newest first, but this is not documented: only a page in descending
//! order of ids proves by its last invoice that older ones need not be read. The list ends where a
//! page shows nothing new.

use std::time::Duration;

use crate::domain::observation::ObservedOrder;
use crate::provider::{SpanCursor, TimeSpan};

/// Up to this many invoices may be deleted between two pages without one being missed.
const OVERLAP: u64 = 50;
/// Maximum deviation between the order of ids and the order of creation times.
const TOLERANCE: Duration = Duration::from_mins(1);

/// The position of the reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ListPlace {
    /// Number of newest invoices to skip.
    pub(super) offset: u64,
    /// Lowest and highest id shown so far.
    shown: Option<(u64, u64)>,
}

impl ListPlace {
    /// Parses a cursor; the start without one.
    pub(super) fn read(cursor: Option<&SpanCursor>) -> Result<Self, String> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let numbers: Option<Vec<u64>> = cursor.0.split(' ').map(|n| n.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[offset, lowest, highest]) => Ok(Self {
                offset,
                shown: Some((lowest, highest)),
            }),
            Some(_) | None => Err(format!("no place in the list: {:?}", cursor.0)),
        }
    }

    /// The cursor after a page that showed `orders`; None at the end of the span.
    pub(super) fn next(self, orders: &[ObservedOrder], span: &TimeSpan) -> Option<SpanCursor> {
        let id = |order: &ObservedOrder| order.order_id.0.parse::<u64>().ok();
        let ids: Vec<u64> = orders.iter().filter_map(id).collect();
        let (lowest, highest) = (*ids.iter().min()?, *ids.iter().max()?);
        let (least, most) = self.shown.unwrap_or((u64::MAX, 0));
        let is_new = lowest < least || highest > most;
        if !is_new || is_before(span, &ids, orders) {
            return None;
        }
        let read = u64::try_from(orders.len()).unwrap_or(u64::MAX);
        // A short page may be the last; only the next one shows whether it was.
        let offset = self.offset + read.saturating_sub(OVERLAP).max(1);
        let (lowest, highest) = (lowest.min(least), highest.max(most));
        Some(SpanCursor(format!("{offset} {lowest} {highest}")))
    }
}

/// Whether everything that follows was created before the span.
fn is_before(span: &TimeSpan, ids: &[u64], orders: &[ObservedOrder]) -> bool {
    let falls = ids.windows(2).all(|pair| pair[0] > pair[1]);
    let last = orders.last().and_then(|order| order.created_at);
    falls && last.is_some_and(|at| at < span.from.minus(TOLERANCE))
}
