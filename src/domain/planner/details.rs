//! Payments reported without their amounts, which only the list has.

use std::collections::HashMap;
use std::time::Duration;

use super::list_request::{ListRequest, Why};
use crate::domain::listing::{MARGIN, Positions};
use crate::domain::time::UnixMillis;

/// Delays before the attempts; the first lets the watch go first. After the last one the audit
/// takes over.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_mins(1),
];
/// Maximum number of payments waited for at a time.
const MOST: usize = 1000;

#[derive(Debug)]
struct Missing {
    /// Creation time of the order, by the provider's clock.
    created_at: Option<UnixMillis>,
    position: Option<u64>,
    tries: usize,
    next: Duration,
}

/// The missing amounts, by order id.
#[derive(Debug, Default)]
pub(super) struct Details {
    missing: HashMap<String, Missing>,
}

impl Details {
    /// Adds an order whose payment lacks its amounts.
    pub(super) fn want(
        &mut self,
        order_id: &str,
        created_at: Option<UnixMillis>,
        position: Option<u64>,
        now: Duration,
    ) {
        if let Some(known) = self.missing.get_mut(order_id) {
            known.created_at = known.created_at.or(created_at);
            known.position = position.or(known.position);
        } else if self.missing.len() < MOST {
            let missing = Missing {
                created_at,
                position,
                tries: 0,
                next: now + PAUSES[0],
            };
            self.missing.insert(order_id.to_owned(), missing);
        }
    }

    /// Removes an order whose amounts are known.
    pub(super) fn have(&mut self, order_id: &str) {
        self.missing.remove(order_id);
    }

    /// When the next attempt is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.missing.values().map(|missing| missing.next).min()
    }

    /// The page to read for the attempt that is due, if any.
    pub(super) fn request(
        &mut self,
        positions: &Positions,
        page_limit: u32,
        now: Duration,
    ) -> Option<ListRequest> {
        let due = self
            .missing
            .iter()
            .filter(|(_, missing)| missing.next <= now);
        // Ties in time are broken by id, because a map's own order differs in each run.
        let first = due.min_by(|a, b| (a.1.next, a.0).cmp(&(b.1.next, b.0)));
        let order_id = first.map(|(id, _)| id.clone())?;
        let missing = self.missing.get_mut(&order_id)?;
        if missing.position.is_none() && positions.total() == 0 && missing.tries == 0 {
            missing.tries += 1;
            return Some(ListRequest::count());
        }
        let page = missing.page(positions, page_limit);
        missing.tries += 1;
        match PAUSES.get(missing.tries) {
            Some(&pause) => missing.next = now + pause,
            None => drop(self.missing.remove(&order_id)),
        }
        page.map(|(offset, count)| ListRequest {
            why: Why::Details,
            offset,
            count,
        })
    }
}

impl Missing {
    fn page(&self, positions: &Positions, page_limit: u32) -> Option<(u64, u32)> {
        let around = u32::try_from(2 * MARGIN + 1).unwrap_or(page_limit);
        if let Some(position) = self.position {
            return Some((position.saturating_sub(MARGIN), around.min(page_limit)));
        }
        let Some(created_at) = self.created_at else {
            return Some(positions.tail(page_limit));
        };
        match positions.probe(created_at, page_limit) {
            Some(position) => Some((position, 1)),
            None => positions.page_around(created_at, page_limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_amounts_are_requested_a_few_times_with_growing_delays() {
        let mut details = Details::default();
        let positions = Positions::default();
        details.want("7", None, Some(100), Duration::ZERO);
        let mut times = Vec::new();
        while let Some(next) = details.next() {
            let request = details.request(&positions, 10_000, next).unwrap();
            assert_eq!((request.offset, request.count), (84, 33));
            times.push(next.as_secs());
        }
        assert_eq!(times, [4, 12, 32, 92]);
    }

    #[test]
    fn known_amounts_are_not_requested_again() {
        let mut details = Details::default();
        details.want("7", None, None, Duration::ZERO);
        details.have("7");
        assert_eq!(details.next(), None);
    }
}
