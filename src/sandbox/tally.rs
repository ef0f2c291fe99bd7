//! What clients did: the numbers behind `GET /sandbox/stats`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::{FaultKind, Operation};
use super::moment::Moment;

/// A copy of all counters. Requests are counted on arrival, the refused ones included.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// By operation; all four are there.
    pub requests: BTreeMap<Operation, u64>,
    /// Bytes of answer bodies as sent, compressed ones compressed, by operation; endless bodies count nothing.
    pub bytes: BTreeMap<Operation, u64>,
    /// Answers by HTTP status. A request that got none (time-out, reset) is missing here.
    pub answers: BTreeMap<u16, u64>,
    /// Faults played, by kind; those that never were are missing.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Requests with a missing or wrong key.
    pub unauthorized: u64,
    /// Requests over the rate limit (429 by fault not included).
    pub rate_limited: u64,
    /// Requests being worked at now, and at most at any time.
    pub in_flight: u64,
    pub in_flight_max: u64,
    /// The most requests within any second of the clock.
    pub peak_per_second: u64,
    pub first_request_at: Option<Moment>,
    pub last_request_at: Option<Moment>,
    /// Orders by status now; all four are there.
    pub orders: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    second: (i64, u64),
}

impl Stats {
    pub(super) fn new() -> Stats {
        let zeros = || {
            Operation::ALL
                .into_iter()
                .map(|operation| (operation, 0))
                .collect()
        };
        Stats {
            requests: zeros(),
            bytes: zeros(),
            answers: BTreeMap::new(),
            faults: BTreeMap::new(),
            unauthorized: 0,
            rate_limited: 0,
            in_flight: 0,
            in_flight_max: 0,
            peak_per_second: 0,
            first_request_at: None,
            last_request_at: None,
            orders: BTreeMap::new(),
            second: (0, 0),
        }
    }

    pub(super) fn request(&mut self, operation: Operation, now: Moment) {
        *self.requests.entry(operation).or_default() += 1;
        self.first_request_at.get_or_insert(now);
        self.last_request_at = Some(now);
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
        let second = now.nanos().div_euclid(1_000_000_000);
        self.second = if self.second.0 == second {
            (second, self.second.1 + 1)
        } else {
            (second, 1)
        };
        self.peak_per_second = self.peak_per_second.max(self.second.1);
    }

    pub(super) fn answer(&mut self, operation: Operation, http: u16, bytes: usize) {
        *self.answers.entry(http).or_default() += 1;
        *self.bytes.entry(operation).or_default() += bytes as u64;
    }

    pub(super) fn fault(&mut self, kind: FaultKind) {
        *self.faults.entry(kind).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_is_kept() {
        let mut stats = Stats::new();
        for millis in [100, 200, 900, 1000, 1100, 5000] {
            stats.request(Operation::Preview, Moment::from_nanos(millis * 1_000_000));
        }
        assert_eq!(
            (
                stats.peak_per_second,
                stats.requests[&Operation::Preview],
                stats.in_flight_max
            ),
            (3, 6, 6)
        );
    }

    #[test]
    fn keys_are_the_words_of_the_contract() {
        let mut stats = Stats::new();
        stats.fault(FaultKind::Status502Html);
        stats.answer(Operation::List, 200, 10);
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(
            json["requests"],
            serde_json::json!({"create": 0, "preview": 0, "list": 0, "amount": 0})
        );
        assert_eq!(json["faults"], serde_json::json!({"status_502_html": 1}));
        assert_eq!(json["answers"], serde_json::json!({"200": 1}));
    }
}
