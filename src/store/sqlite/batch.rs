//! A batch of decisions as it travels into SQLite: a JSON array of rows, each an array of cells.
//!
//! The statements of `commit` name the cells by their places here.

use crate::domain::decide::Decision;
use crate::domain::event::{self, Event};
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// A JSON array of rows, written cell by cell: a tree of values would cost as much as SQLite.
pub(super) struct JsonRows {
    json: String,
}

impl JsonRows {
    pub(super) fn new() -> Self {
        Self { json: "[".into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.json.len() == 1
    }

    /// Writes a row; `cells` writes what is in it.
    pub(super) fn push(&mut self, cells: impl FnOnce(&mut Self)) {
        self.json.push('[');
        cells(self);
        self.close();
        self.json.push(',');
    }

    pub(super) fn number(&mut self, cell: impl Into<Option<i64>>) {
        match cell.into() {
            Some(number) => self.json.push_str(&number.to_string()),
            None => self.json.push_str("null"),
        }
        self.json.push(',');
    }

    pub(super) fn time(&mut self, cell: Option<UnixMillis>) {
        self.number(cell.map(|at| at.0));
    }

    pub(super) fn text<'t>(&mut self, cell: impl Into<Option<&'t str>>) {
        // There is nothing in a text that could fail to serialize.
        let cell = serde_json::to_string(&cell.into()).unwrap_or_default();
        self.json.push_str(&cell);
        self.json.push(',');
    }

    pub(super) fn finish(mut self) -> String {
        self.close();
        self.json
    }

    /// Ends an array, whose last comma is one too many.
    fn close(&mut self) {
        if self.json.ends_with(',') {
            self.json.pop();
        }
        self.json.push(']');
    }
}

/// `[id, based on version, seq, event id, subject, type, order id, status, previous, payload]`
pub(super) fn event_cells(rows: &mut JsonRows, row: &OutgoingEvent<'_>) {
    let OutgoingEvent {
        decision,
        event,
        seq,
        prefix,
        epoch,
    } = *row;
    let kind = event.event_type.as_str();
    rows.number(decision.row.id.0);
    rows.number(event.version - 1);
    rows.number(seq);
    rows.text(event.id().to_string().as_str());
    rows.text(event::subject(prefix, &event.account, kind).as_str());
    rows.text(kind);
    rows.text(event.facts.order_id.as_ref().map(|id| id.0.as_str()));
    rows.text(event.facts.status.as_str());
    rows.text(event.previous_status.as_str());
    rows.text(event.payload(seq, epoch).as_str());
}

/// An event on its way into the outbox.
pub(super) struct OutgoingEvent<'a> {
    pub(super) decision: &'a Decision,
    pub(super) event: &'a Event,
    pub(super) seq: i64,
    pub(super) prefix: &'a str,
    pub(super) epoch: &'a str,
}

/// `[id, version before, version, status]` of a row that further events follow.
pub(super) fn step_cells(rows: &mut JsonRows, decision: &Decision, event: &Event) {
    rows.number(decision.row.id.0);
    rows.number(event.version - 1);
    rows.number(event.version);
    rows.text(event.facts.status.as_str());
}

/// `[account, transaction_id, direction, invoice, external_id, amount, currency, is_net, status,
/// happened_at]`
pub(super) fn transaction_cells(
    rows: &mut JsonRows,
    account: &AccountName,
    invoice: Option<InvoiceId>,
    transaction: &Transaction,
) {
    rows.text(account.0.as_str());
    rows.text(transaction.id.0.as_str());
    rows.text(transaction.direction.as_str());
    rows.number(invoice.map(|id| id.0));
    rows.text(transaction.external_id.as_ref().map(|id| id.0.as_str()));
    rows.text(transaction.amount.value.as_str());
    rows.text(transaction.amount.currency.as_str());
    rows.number(i64::from(transaction.is_net));
    rows.text(transaction.status.as_str());
    rows.time(Some(transaction.happened_at));
}

/// `[id, version before, based on plan, next, last, polls, failures, error]`
pub(super) fn plan_cells(rows: &mut JsonRows, decision: &Decision) {
    let schedule = &decision.row.schedule;
    rows.number(decision.row.id.0);
    rows.number(decision.version_before_last());
    rows.time(decision.based_on_next_poll_at);
    rows.time(schedule.next_poll_at);
    rows.time(schedule.last_polled_at);
    rows.number(schedule.polls);
    rows.number(schedule.failures);
    rows.text(schedule.last_error.as_deref());
}

/// As `plan_cells`, followed by facts.
pub(super) fn note_cells(rows: &mut JsonRows, decision: &Decision) {
    let facts = &decision.row.facts;
    plan_cells(rows, decision);
    rows.text(facts.reason.as_deref());
    rows.text(facts.amount.as_ref().map(|amount| amount.value.as_str()));
    rows.text(facts.amount.as_ref().map(|amount| amount.currency.as_str()));
    rows.text(facts.provider_status.as_deref());
    rows.text(facts.order_number.as_deref());
    rows.text(facts.pay_link.as_deref());
    rows.text(facts.direct_pay_link.as_deref());
    rows.time(facts.expires_at);
    rows.time(facts.paid_at);
    rows.text(facts.payment.value.as_deref());
    rows.text(facts.payment.currency.as_deref());
    rows.text(facts.payment.fee.as_deref());
    rows.text(facts.payment.net.as_deref());
    rows.text(facts.payment.exchange_rate.as_deref());
    rows.text(facts.sums.received.as_ref().map(|sum| sum.value.as_str()));
    rows.text(facts.sums.refunded.as_ref().map(|sum| sum.value.as_str()));
    rows.time(facts.sums.refunded_at);
    rows.number(facts.is_test.then_some(1));
    rows.time(facts.create_sent_at);
    rows.time(facts.ended_at);
    rows.time(facts.not_found_since);
}

/// As `note_cells`, followed by version, status and order.
pub(super) fn move_cells(rows: &mut JsonRows, decision: &Decision) {
    let (row, facts) = (&decision.row, &decision.row.facts);
    note_cells(rows, decision);
    rows.number(row.version);
    rows.text(facts.status.as_str());
    rows.text(facts.order_id.as_ref().map(|id| id.0.as_str()));
}

/// `[updated, based on plan, last, polls, failures]`, after id and version: what a decision aside gives
/// back as it was read.
pub(super) fn whole_row_cells(rows: &mut JsonRows, decision: &Decision) {
    let schedule = &decision.row.schedule;
    rows.time(Some(decision.row.updated_at));
    rows.time(decision.based_on_next_poll_at);
    rows.time(schedule.last_polled_at);
    rows.number(schedule.polls);
    rows.number(schedule.failures);
}
