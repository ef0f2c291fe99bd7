//! Selects the next planned request, and the requests beyond due entries.

use std::collections::VecDeque;
use std::time::Duration;

use super::cover::PlannedRequest;
use super::list_request::{ListRequest, Why};
use super::planning::Planner;
use crate::domain::listing::Count;

impl Planner {
    /// Whether no due entry waits for a request.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.sweep.is_none() && !self.needs_count
    }

    /// Whether orders are to be requested by their ids.
    pub fn has_fetches(&self) -> bool {
        self.requests
            .iter()
            .any(|r| matches!(r, PlannedRequest::Fetch(_)))
    }

    /// Takes the next requests for orders by their ids, at most `most` requests with `most_orders`
    /// orders in total; at least one request if there is one.
    pub fn take_fetches(&mut self, most: usize, most_orders: usize) -> Vec<Vec<u32>> {
        let mut taken = Vec::new();
        let mut orders = 0;
        let mut kept = VecDeque::new();
        while let Some(request) = self.requests.pop_front() {
            match request {
                PlannedRequest::Fetch(slots)
                    if taken.len() < most
                        && (taken.is_empty() || orders + slots.len() <= most_orders) =>
                {
                    orders += slots.len();
                    taken.push(slots);
                }
                PlannedRequest::Fetch(_) => {
                    kept.push_back(request);
                    break;
                }
                PlannedRequest::Page { .. } => kept.push_back(request),
            }
        }
        kept.append(&mut self.requests);
        self.requests = kept;
        taken
    }

    /// Whether a request to the list may be made now.
    pub fn may_list(&self, now: Duration) -> bool {
        self.terms.shapes.page_limit > 0 && now >= self.listing.not_before()
    }

    /// Takes the next request to the list for due entries.
    pub fn take_list_request(&mut self) -> Option<ListRequest> {
        if std::mem::take(&mut self.needs_count) {
            return Some(ListRequest::count());
        }
        if let Some(sweep) = &self.sweep {
            let page_limit = self.page_limit();
            let (offset, count) = sweep.page(&self.listing.positions, page_limit);
            return Some(ListRequest {
                why: Why::Sweep,
                offset,
                count,
            });
        }
        let is_page =
            |request: &PlannedRequest<u32>| matches!(request, PlannedRequest::Page { .. });
        let first = self.requests.iter().position(is_page)?;
        match self.requests.remove(first) {
            Some(PlannedRequest::Page {
                offset,
                count,
                covers,
            }) => Some(ListRequest {
                why: Why::Due(covers),
                offset,
                count,
            }),
            Some(PlannedRequest::Fetch(_)) | None => None,
        }
    }

    /// The request to the list for missing amounts, if an attempt is due.
    pub fn take_details_request(&mut self, now: Duration) -> Option<ListRequest> {
        let page_limit = self.page_limit();
        self.details
            .request(&self.listing.positions, page_limit, now)
    }

    /// Whether the watch is due.
    pub fn watch_is_due(&self, now: Duration) -> bool {
        self.watch.next().is_some_and(|at| at <= now)
    }

    /// Postpones the watch: no invoice waits for money at present.
    pub fn rest_watch(&mut self, now: Duration) {
        self.watch.rest(now);
    }

    /// The page of the watch, or the request that must precede it.
    pub fn take_watch_request(&mut self, now: Duration) -> Option<ListRequest> {
        let is_unknown = self.listing.positions.total() == 0;
        if is_unknown && self.listing.count_lately(now) == Count::NotRequested {
            return Some(ListRequest::count());
        }
        let item_bytes = self.listing.item_bytes();
        let page_limit = self.page_limit();
        let positions = &self.listing.positions;
        let (offset, count) = self.watch.page(positions, page_limit, item_bytes, now)?;
        Some(ListRequest {
            why: Why::Watch,
            offset,
            count,
        })
    }

    /// When the next request to the list beyond due entries should be made.
    pub fn next_beyond(&self) -> Option<Duration> {
        let times = self.watch.next().into_iter().chain(self.details.next());
        times.min().map(|at| at.max(self.listing.not_before()))
    }

    /// Records the start of a request to the list.
    pub fn begin(&mut self, request: &ListRequest, now: Duration) {
        if request.why == Why::Watch {
            self.watch.begun(now);
        }
    }
}
