//! What clients did: the numbers behind `GET /sandbox/stats`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::faults::FaultKind;
use super::moment::Moment;
use super::operation::{Operation, SimulatedProvider};

/// A copy of all counters. Requests are counted on arrival, including refused ones.
#[derive(Debug, Clone, Serialize)]
pub struct SandboxStats {
    /// By operation, including those without requests; in JSON by provider and operation.
    #[serde(serialize_with = "by_provider")]
    pub requests: BTreeMap<Operation, u64>,
    /// Bytes of answer bodies as sent, compressed or not; endless bodies are not counted.
    #[serde(serialize_with = "by_provider")]
    pub bytes: BTreeMap<Operation, u64>,
    /// Answers by HTTP status. Requests without an answer (time-out, reset) are missing here.
    pub answers: BTreeMap<u16, u64>,
    /// Faults applied, by kind; kinds that never were are missing.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Requests with a missing or wrong key.
    pub unauthorized: u64,
    /// Requests over the rate limit (429 by fault not included).
    pub rate_limited: u64,
    /// Requests in progress now, and the maximum so far.
    pub in_flight: u64,
    pub in_flight_max: u64,
    /// The maximum number of requests within one second of the clock.
    pub peak_per_second: u64,
    pub first_request_at: Option<Moment>,
    pub last_request_at: Option<Moment>,
    /// Orders by provider and its own name of their current status, including statuses without
    /// orders.
    pub orders: BTreeMap<SimulatedProvider, BTreeMap<&'static str, u64>>,
    #[serde(skip)]
    second: (i64, u64),
}

impl SandboxStats {
    pub(super) fn new() -> SandboxStats {
        let zeros = || {
            let all = Operation::ALL.iter();
            all.map(|operation| (*operation, 0)).collect()
        };
        SandboxStats {
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

    /// All requests to one provider.
    pub fn requests_to(&self, provider: SimulatedProvider) -> u64 {
        let of = |operation: &Operation| operation.provider() == provider;
        let counts = self.requests.iter();
        counts
            .filter_map(|(operation, count)| of(operation).then_some(count))
            .sum()
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

fn by_provider<S: Serializer>(
    counts: &BTreeMap<Operation, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut nested: BTreeMap<_, BTreeMap<_, u64>> = BTreeMap::new();
    for (operation, count) in counts {
        let of_provider = nested.entry(operation.provider()).or_default();
        of_provider.insert(operation.name(), *count);
    }
    nested.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_is_recorded() {
        let mut stats = SandboxStats::new();
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
    fn keys_match_the_contract() {
        let mut stats = SandboxStats::new();
        stats.fault(FaultKind::Status502Html);
        stats.answer(Operation::List, 200, 10);
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(
            json["requests"]["walletpay"],
            serde_json::json!({"create": 0, "preview": 0, "list": 0, "amount": 0})
        );
        assert_eq!(json["faults"], serde_json::json!({"status_502_html": 1}));
        assert_eq!(json["answers"], serde_json::json!({"200": 1}));
    }
}
