//! Reports a poller's requests, observations, events and limits to the metrics.

use super::fetch::{About, FetchOutcome};
use super::ledger::LedgerAnswer;
use super::page::Listed;
use super::poller::Poller;
use super::span_reader::SpanOutcome;
use super::writer::Decided;
use crate::domain::event::EventType;
use crate::domain::invoice::Invoice;
use crate::domain::observation::Observation;
use crate::domain::planner::Why;
use crate::domain::state::Status;
use crate::metrics::Limiting;
use crate::store::Written;

impl Poller {
    /// Counts a request about orders, or a probe.
    pub(super) fn meter_answer(&self, asked: &FetchOutcome) {
        let (meter, now) = (&self.setup.signals.meter, self.setup.clock.now());
        let kind = match &asked.about {
            About::Nothing => "probe",
            About::Invoices(invoices) => {
                let creates = |i: &Invoice| i.facts.status == Status::Requested;
                if invoices.iter().any(creates) {
                    "creation"
                } else {
                    "poll"
                }
            }
        };
        let answer = match &asked.answer {
            Err(error) => return meter.failed(kind, error.kind(), error.to_string(), now),
            Ok(answer) => answer,
        };
        meter.answered(kind, now);
        for observation in &answer.observations {
            let outcome = match observation {
                Observation::Seen(_) | Observation::Ledger(_) => "seen",
                Observation::NotFound { .. } | Observation::NothingUntil { .. } => "not_found",
                Observation::Created(_) | Observation::LinkMade { .. } => "created",
                Observation::CreationRefused { .. } | Observation::CreationTooLate { .. } => {
                    "refused"
                }
                Observation::CreationConflict { .. } => "conflict",
                // A person's decision is not an answer of the provider, nor is a rule of its
                // module.
                Observation::Resolved { .. }
                | Observation::ExternalIdInvalid { .. }
                | Observation::TransactionTaken { .. } => continue,
            };
            meter.observed(kind, outcome, 1);
        }
    }

    /// Counts a request for a page or the length of the order list.
    pub(super) fn meter_list(&self, listed: &Listed) {
        let (meter, now) = (&self.setup.signals.meter, self.setup.clock.now());
        let counts = listed.request.why == Why::Count;
        let kind = if counts { "count" } else { "page" };
        match &listed.result {
            Err(error) => meter.failed(kind, error.kind(), error.to_string(), now),
            Ok(bytes) => {
                meter.answered(kind, now);
                if !counts {
                    let items = listed.page.summary.items;
                    meter.observed(kind, "seen", items);
                    meter.page(*bytes, items);
                }
            }
        }
    }

    /// Counts a request for a page of the ledger.
    pub(super) fn meter_ledger(&self, answer: &LedgerAnswer) {
        let (meter, now) = (&self.setup.signals.meter, self.setup.clock.now());
        match &answer.result {
            Err(error) => meter.failed("ledger", error.kind(), error.to_string(), now),
            Ok(page) => {
                meter.answered("ledger", now);
                let items = u64::try_from(page.transactions.len()).unwrap_or_default();
                meter.observed("ledger", "seen", items);
            }
        }
    }

    /// Counts a request for a page of the list by time.
    pub(super) fn meter_span(&self, outcome: &SpanOutcome) {
        let (meter, now) = (&self.setup.signals.meter, self.setup.clock.now());
        match &outcome.result {
            Err(error) => meter.failed("page", error.kind(), error.to_string(), now),
            Ok(read) => {
                meter.answered("page", now);
                meter.observed("page", "seen", read.items);
                meter.page(read.bytes, read.items);
            }
        }
    }

    /// Counts the events of written decisions.
    pub(super) fn meter_written(&self, written: &[(Decided, Written)]) {
        let (meter, now) = (&self.setup.signals.meter, self.setup.clock.now());
        for (decided, written) in written {
            if !matches!(written, Written::Yes { .. }) {
                continue;
            }
            let paid_at = decided.decision.row.paid_while_followed();
            for event in decided.decision.events() {
                meter.recorded(event.event_type.as_str(), 1);
                if let (EventType::Paid, Some(paid_at)) = (event.event_type, paid_at) {
                    meter.detected(now.since(paid_at));
                }
            }
        }
    }

    /// Reports the limits, once a turn.
    pub(super) fn meter_limits(&mut self) {
        let clock = &self.setup.clock;
        let (now, at) = (clock.now(), clock.monotonic());
        let has_due = self.requests.loader.count_ready() > 0 || self.planner.has_fetches();
        let database_fails = self.writer.database.is_failing();
        let reading = {
            let mut limiter = self.setup.limiter.lock();
            let may_begin = limiter.wait(at).is_some_and(|wait| wait.is_zero());
            let (state, wait) = limiter.state(at);
            Limiting {
                state,
                failures: self.recorder.failures(),
                resume_at: wait.map(|wait| now.plus(wait)),
                begun: limiter.begun(),
                rate: limiter.rate(),
                in_flight: limiter.in_flight(),
                waits: has_due && !may_begin,
                database_fails,
            }
        };
        self.setup.signals.meter.turn(reading, now, at);
    }
}
