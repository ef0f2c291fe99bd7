//! Handles completed requests: updates the limits, decides invoices, writes decisions.

use std::time::Duration;

use super::fetch::{About, FetchAnswer, FetchOutcome};
use super::load::Group;
use super::page::lock;
use super::poller::Poller;
use super::schedule::tick;
use super::writer::{Decided, WriteOutcome};
use crate::domain::decide::{Decision, decide_by};
use crate::domain::invoice::Invoice;
use crate::domain::observation::{Observation, OrderState};
use crate::domain::reschedule::PollOutcome;
use crate::domain::state::{Status, reason};
use crate::limit::{Permit, StopReason};
use crate::provider::ProviderError;
use crate::store::Written;

/// Delay until the next poll of an invoice whose plan the database refuses.
const UNWRITABLE_AGAIN: Duration = Duration::from_hours(1);

impl Poller {
    /// Accepts the answer of a request other than to the list.
    pub(super) fn accept_answer(&mut self, asked: FetchOutcome) {
        self.meter_answer(&asked);
        let FetchOutcome {
            about,
            permit,
            answer,
        } = asked;
        let now = self.setup.clock.monotonic();
        let blames_orders = self.setup.limiter.lock().blames_order(now);
        let proves = answer.as_ref().is_ok_and(|answer| answer.proves);
        self.settle(&permit, answer.as_ref().map(|_| ()), proves);
        let is_stopped = self.setup.limiter.lock().stop_reason() == Some(StopReason::KeyRefused);
        let About::Invoices(invoices) = about else {
            return;
        };
        match answer {
            Ok(FetchAnswer { observations, .. }) => {
                for (invoice, observation) in invoices.into_iter().zip(observations) {
                    self.want_paid_amount(&invoice, &observation);
                    self.decide_invoice(Box::new(invoice), observation);
                }
            }
            Err(error) => {
                let is_blamed = blames_orders && !is_stopped && blames_order(&error);
                self.retry_or_postpone(invoices, &error, is_blamed);
            }
        }
    }

    /// Returns a permit, and records the state of the account.
    pub(super) fn settle(
        &mut self,
        permit: &Permit,
        outcome: Result<(), &ProviderError>,
        proves: bool,
    ) {
        let (now, wall) = (self.setup.clock.monotonic(), self.setup.clock.now());
        let mut limiter = self.setup.limiter.lock();
        if outcome.is_ok() && !proves {
            limiter.settle_unproven();
        } else {
            limiter.settle(permit, outcome, now);
        }
        drop(limiter);
        match outcome {
            Ok(()) => {
                self.recorder.note_success(proves, wall);
                self.pass.counts.answered += 1;
            }
            Err(error) => {
                self.recorder.note_failure(wall, error.to_string());
                self.pass.counts.failed_requests += 1;
            }
        }
        self.report_stop();
    }

    /// Handles a failed request. If one order may have caused the failure for the others, the two
    /// halves are requested separately.
    fn retry_or_postpone(&mut self, mut invoices: Group, error: &ProviderError, is_blamed: bool) {
        if is_blamed && invoices.len() > 1 && !self.pass.is_finishing {
            let other_half = invoices.split_off(invoices.len() / 2);
            self.requests.loader.push_front(other_half);
            self.requests.loader.push_front(invoices);
            return;
        }
        for invoice in invoices {
            self.postpone_poll(Box::new(invoice), error, is_blamed);
        }
    }

    /// Requests the amounts of a payment from the list, where polls of single orders do not have
    /// them. The order's position in the list follows from its creation time.
    fn want_paid_amount(&mut self, invoice: &Invoice, observation: &Observation) {
        if let Observation::Seen(seen) = observation
            && seen.lacks_paid_amount()
            && let Some(created_at) = seen.created_at
            && invoice.facts.payment.value.is_none()
        {
            let now = self.setup.clock.monotonic();
            let order_id = &seen.order_id.0;
            self.planner
                .want_details(order_id, Some(created_at), None, now);
        }
    }

    /// Reports that the account stopped or recovered, whichever user of the limiter noticed it.
    pub(super) fn report_stop(&mut self) {
        let limiter = self.setup.limiter.lock();
        let stop = limiter.stop_reason();
        if !self.recorder.has_stop_changed(stop) {
            return;
        }
        let cause = limiter.cause().to_owned();
        let (state, _) = limiter.state(self.setup.clock.monotonic());
        drop(limiter);
        let (account, status_lines) = (&self.setup.account, &self.setup.signals.status_lines);
        match stop {
            Some(StopReason::KeyRefused) => {
                tracing::error!(%account, %state, error = cause, "API key refused; account stopped except for probes");
            }
            Some(StopReason::Failing) => {
                tracing::warn!(%account, %state, error = cause, "every request fails; account paused except for probes");
            }
            None => {
                tracing::info!(%account, %state, "account working again");
            }
        }
        let line = match stop {
            None => "polling".to_owned(),
            Some(_) => format!("{state}: {cause}"),
        };
        status_lines.put(&account.0, line);
        self.recorder.note_stop(stop, self.setup.clock.now());
        self.planner.plan_again();
    }

    // ---------------------------------------------------------------------------- deciding

    pub(super) fn decide_invoice(&mut self, invoice: Box<Invoice>, observation: Observation) {
        let now = self.setup.clock.now();
        let paid_already =
            matches!(&observation, Observation::Created(seen) if seen.state != OrderState::Open);
        let mut decision = decide_by(
            &self.setup.settings.rules,
            &invoice,
            self.setup.provider.name(),
            observation,
        );
        let outcome = if paid_already {
            PollOutcome::CreatedPaid
        } else {
            PollOutcome::Answered
        };
        let (cadence, roll) = (&self.setup.settings.cadence, self.rng.f64());
        cadence.reschedule(&mut decision.row, outcome, now, roll);
        self.keep_decision(invoice, decision);
    }

    /// Moves the next poll of a failed one, and changes nothing else.
    fn postpone_poll(&mut self, invoice: Box<Invoice>, error: &ProviderError, is_blamed: bool) {
        tracing::debug!(account = %invoice.account, external_id = %invoice.external_id, %error, "request failed");
        let outcome = PollOutcome::Failed {
            error: &error.to_string(),
            is_order_at_fault: is_blamed,
        };
        self.reschedule(invoice, outcome);
    }

    /// The order cannot be created before the configuration is mended, which is no fault of the
    /// invoice. The warning is logged once.
    pub(super) fn wait_for_configuration(&mut self, invoice: Box<Invoice>, what: &str) {
        if self.recorder.is_first_warning(what) {
            tracing::warn!(account = %invoice.account, external_id = %invoice.external_id, error = what, "orders cannot be created with this configuration; requested invoices wait");
        }
        let outcome = PollOutcome::Failed {
            error: what,
            is_order_at_fault: false,
        };
        self.reschedule(invoice, outcome);
    }

    /// Plans the next poll although there is nothing to request, since a person may change that.
    pub(super) fn plan_next_poll(&mut self, invoice: Box<Invoice>) {
        self.reschedule(invoice, PollOutcome::NotPolled);
    }

    /// A reading that covered many orders counted as a poll of this one, and nothing has changed.
    pub(super) fn plan_polled(&mut self, invoice: Box<Invoice>) {
        self.reschedule(invoice, PollOutcome::Unchanged);
    }

    /// A decision that changes only the plan.
    fn reschedule(&mut self, invoice: Box<Invoice>, outcome: PollOutcome<'_>) {
        let now = self.setup.clock.now();
        let mut row = invoice.clone();
        let (cadence, roll) = (&self.setup.settings.cadence, self.rng.f64());
        cadence.reschedule(&mut row, outcome, now, roll);
        let decision = Decision {
            based_on_version: invoice.version,
            based_on_next_poll_at: invoice.schedule.next_poll_at,
            facts_changed: false,
            order_learned: false,
            event: None,
            earlier: Vec::new(),
            transactions: Vec::new(),
            row,
        };
        self.keep_decision(invoice, decision);
    }

    pub(super) fn keep_decision(&mut self, invoice: Box<Invoice>, decision: Decision) {
        log_decision(&invoice, &decision);
        self.writer.add(Decided { invoice, decision });
    }

    // ----------------------------------------------------------------------------- writing

    /// Begins to write, if it is time. If nothing else can join the batch, it is written at once.
    pub(super) fn start_commit(&mut self) {
        self.writer.start_commit(self.requests.is_idle());
        if self.writer.is_writing() || self.writer.database.is_failing() {
            return;
        }
        let setup = &self.setup;
        let clock = setup.clock.as_ref();
        let name = setup.provider.name();
        let record = self
            .recorder
            .take_record(&setup.account, name, &setup.limiter.lock(), clock);
        if let Some(mut record) = record {
            let shapes = self.planner.shapes();
            let reads_more = self.spans.is_used() || self.requests.ledger.is_some();
            if shapes.page_limit > 0 || reads_more {
                let is_caught_up =
                    self.queue.has_read_all() && lock(&self.shared).schedule.is_caught_up();
                let positions = &self.planner.listing.positions;
                let now = clock.now();
                record.list = self.recorder.describe_list(positions, is_caught_up, now);
            }
            if self.spans.is_used() {
                record.list.positions = Some(self.spans.to_text());
            }
            self.writer.start_record(record);
        }
    }

    pub(super) fn accept_commit(&mut self, outcome: WriteOutcome) {
        let written = self.writer.accept_outcome(outcome);
        self.meter_written(&written);
        let has_event =
            |(_, written): &(Decided, Written)| matches!(written, Written::Yes { seq: Some(_) });
        if written.iter().any(has_event) {
            self.setup.signals.committed.tell();
        }
        for (decided, written) in written {
            self.settle_written(decided, written);
        }
    }

    fn settle_written(&mut self, decided: Decided, written: Written) {
        match written {
            Written::Yes { .. } => {
                self.note_committed(&decided, true);
                if let Some(next) = decided.decision.row.schedule.next_poll_at {
                    self.read_again_in(next.since(self.setup.clock.now()));
                }
            }
            Written::Stale => {
                self.note_committed(&decided, false);
                self.read_again_in(Duration::ZERO);
            }
            Written::Refused(why) => self.handle_refusal(decided, why),
        }
    }

    fn handle_refusal(&mut self, decided: Decided, why: String) {
        let Decided { invoice, decision } = decided;
        tracing::error!(account = %invoice.account, external_id = %invoice.external_id, error = why, "decision refused by the database; the invoice is polled again later");
        if invoice.facts.status == Status::Requested && decision.event.is_some() {
            // The order that was returned belongs to another invoice already.
            let observed_at = self.setup.clock.now();
            self.decide_invoice(invoice, Observation::CreationConflict { observed_at });
        } else if decision.facts_changed {
            self.postpone_poll(invoice, &ProviderError::Malformed(why), true);
        } else {
            // Not even its plan can be written: it waits here, since it would otherwise be polled
            // in a loop.
            let again = tick(self.setup.clock.monotonic() + UNWRITABLE_AGAIN);
            let schedule = &mut lock(&self.shared).schedule;
            if let Some(slot) = schedule.slot_of(&invoice) {
                schedule.postpone(slot, again);
            }
        }
    }
}

/// Whether the order can be the cause, and not only the account.
fn blames_order(error: &ProviderError) -> bool {
    match error {
        ProviderError::RateLimited { .. } => false,
        ProviderError::KeyRefused(_)
        | ProviderError::Unreachable(_)
        | ProviderError::Unavailable { .. }
        | ProviderError::Malformed(_)
        | ProviderError::Refused(_) => true,
    }
}

/// Logs what happened: a transition, or an anomaly without one.
fn log_decision(before: &Invoice, decision: &Decision) {
    let (row, facts) = (&decision.row, &decision.row.facts);
    let order_id = facts
        .order_id
        .as_ref()
        .map(|id| id.0.as_str())
        .unwrap_or_default();
    let reason = facts.reason.as_deref().unwrap_or_default();
    let is_odd = matches!(reason, reason::UNKNOWN_STATUS | reason::CONTRADICTION);
    for event in decision.events() {
        tracing::info!(account = %row.account, external_id = %row.external_id, order_id, r#type = event.event_type.as_str(), reason, "event recorded");
    }
    if decision.event.is_none() && facts.reason != before.facts.reason && is_odd {
        tracing::warn!(account = %row.account, external_id = %row.external_id, order_id, reason, "unexpected provider answer ignored");
    }
}
