//! Pages of the list of all invoices. It is cut by position and grows at its beginning while it is read:
//! so pages overlap, and what earlier ones showed is shown again.
//!
//! Newest first is what everybody finds and nobody promises: only a page that goes from higher ids to lower
//! ones proves by its last invoice that older ones need not be read. The list ends where a page shows
//! nothing new.

use std::time::Duration;

use crate::domain::observation::ObservedOrder;
use crate::provider::{SpanCursor, TimeSpan};

/// So many invoices may be deleted while two pages are read, and none is missed.
const OVERLAP: u64 = 50;
/// Ids follow creation times at least this closely.
const TOLERANCE: Duration = Duration::from_mins(1);

/// Where the reading stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ListPlace {
    /// Newest invoices to leave out.
    pub(super) offset: u64,
    /// Lowest and highest id shown so far.
    shown: Option<(u64, u64)>,
}

impl ListPlace {
    /// The place that a cursor names; the beginning without one.
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

    /// Where to go on after a page that showed `orders`; None at the end of the span.
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
        // A short page may be the last: the next one shows whether it was.
        let offset = self.offset + read.saturating_sub(OVERLAP).max(1);
        let (lowest, highest) = (lowest.min(least), highest.max(most));
        Some(SpanCursor(format!("{offset} {lowest} {highest}")))
    }
}

/// Whether all that follows was made before the span.
fn is_before(span: &TimeSpan, ids: &[u64], orders: &[ObservedOrder]) -> bool {
    let falls = ids.windows(2).all(|pair| pair[0] > pair[1]);
    let last = orders.last().and_then(|order| order.created_at);
    falls && last.is_some_and(|at| at < span.from.minus(TOLERANCE))
}
