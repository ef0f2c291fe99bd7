//! What a poller tells of its work to whoever counts: outcomes, sightings, events, its gate.

use super::Poller;
use super::ask::Asked;
use super::committer::Decided;
use super::page::{Fetched, Purpose};
use super::reading::Reading;
use crate::domain::event::EventType;
use crate::domain::sighting::News;
use crate::domain::state::Status;
use crate::metrics::{Gate, State};
use crate::store::Written;
use crate::throttle::Trouble;

impl Poller {
    /// A question about one invoice came back.
    pub(super) fn meter_asked(&self, asked: &Asked) {
        let (meter, now) = (&self.setup.meter, self.setup.clock.now());
        let creates = asked.invoice.facts.status == Status::Requested;
        let kind = if creates { "creation" } else { "look" };
        let news = match &asked.answer {
            Err(error) => return meter.failed(kind, error.kind(), error.to_string(), now),
            Ok(answer) => &answer.news,
        };
        let outcome = match news {
            News::Seen(_) => "seen",
            News::NotFound { .. } => "not_found",
            News::Created(_) => "created",
            News::CreationRefused { .. } | News::CreationTooLate { .. } => "refused",
            News::CreationConflict { .. } => "conflict",
            // A person's word is no answer of the provider's.
            News::Resolved { .. } => return,
        };
        meter.answered(kind, outcome, now);
        if matches!(news, News::Seen(_) | News::Created(_)) {
            meter.sighted(kind, 1);
        }
    }

    /// A page, or the count of orders, came back.
    pub(super) fn meter_page(&self, fetched: &Fetched) {
        let (meter, now) = (&self.setup.meter, self.setup.clock.now());
        let counts = fetched.errand.purpose == Purpose::Count;
        let kind = if counts { "count" } else { "page" };
        match &fetched.result {
            Err(error) => meter.failed(kind, error.kind(), error.to_string(), now),
            Ok(bytes) => {
                meter.answered(kind, "read", now);
                if !counts {
                    meter.sighted(kind, fetched.summary.items);
                    meter.page(*bytes, fetched.summary.items);
                }
            }
        }
    }

    /// Decisions were written.
    pub(super) fn meter_written(&self, written: &[(Decided, Written)]) {
        let (meter, now) = (&self.setup.meter, self.setup.clock.now());
        for (decided, written) in written {
            let (Some(event), Written::Yes { .. }) = (&decided.decision.event, written) else {
                continue;
            };
            meter.said(event.event_type.as_str(), 1);
            let paid_at = decided.decision.row.paid_while_followed();
            if let (EventType::Paid, Some(paid_at)) = (event.event_type, paid_at) {
                meter.detected(now.since(paid_at));
            }
        }
    }

    /// How the gate stands, once a turn.
    pub(super) fn meter_gate(&mut self) {
        let clock = &self.setup.clock;
        let (now, at) = (clock.now(), clock.monotonic());
        let list_has_due = self.reading.as_ref().is_some_and(Reading::has_ones);
        let has_due = !self.queue.is_empty() || list_has_due || !self.drained;
        let database_fails = self.committer.is_failing();
        let reading = {
            let mut throttle = self.setup.gate.lock();
            let state = match throttle.trouble() {
                Some(Trouble::KeyRefused) => State::KeyRefused,
                Some(Trouble::NothingSucceeds) => State::Paused,
                None if throttle.held_for(at).is_some() => State::Held,
                None => State::Working,
            };
            let may_begin = throttle.wait(at).is_some_and(|wait| wait.is_zero());
            Gate {
                state,
                begun: throttle.begun(),
                rate: throttle.rate(),
                in_flight: throttle.in_flight(),
                waits: has_due && !may_begin,
                database_fails,
            }
        };
        self.setup.meter.turn(reading, now, at);
    }
}
