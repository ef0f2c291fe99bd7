//! A batch of decisions in the form that PostgreSQL receives: JSON arrays of objects, read by
//! `json_to_recordset`. A missing field is NULL. Fields are sent under short names, since a batch has
//! hundreds of rows; the statements give them their full names again.

use serde::Serialize;

use crate::domain::decide::Decision;
use crate::domain::event::{self, Event};
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::transaction::Transaction;

/// One decision: always the plan, and facts only if some were learned.
#[derive(Serialize)]
pub(super) struct DecidedRow<'a> {
    #[serde(rename = "ord")]
    place: usize,
    id: i64,
    /// The version that it is based on, and the version afterwards.
    #[serde(rename = "ver")]
    based_on_version: i64,
    #[serde(rename = "nver")]
    version: i64,
    /// The plan that was read, and the new one.
    #[serde(rename = "bp")]
    based_on_plan: Option<i64>,
    #[serde(rename = "np")]
    next_poll_at: Option<i64>,
    #[serde(rename = "lp")]
    last_polled_at: Option<i64>,
    #[serde(rename = "po")]
    polls: i64,
    #[serde(rename = "fa")]
    failures: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "er")]
    last_error: Option<&'a str>,
    /// When the row was last changed, as it was read.
    #[serde(rename = "bu")]
    based_on_update: i64,
    #[serde(flatten)]
    learned: Option<LearnedFacts<'a>>,
}

/// All facts of a row.
#[derive(Serialize)]
struct LearnedFacts<'a> {
    facts: bool,
    #[serde(rename = "st")]
    status: &'a str,
    #[serde(rename = "ord_id")]
    order_id: Option<&'a str>,
    #[serde(rename = "rs")]
    reason: Option<&'a str>,
    #[serde(rename = "am")]
    amount: Option<&'a str>,
    #[serde(rename = "cu")]
    currency: Option<&'a str>,
    #[serde(rename = "ps")]
    provider_status: Option<&'a str>,
    #[serde(rename = "num")]
    order_number: Option<&'a str>,
    #[serde(rename = "pl")]
    pay_link: Option<&'a str>,
    #[serde(rename = "dpl")]
    direct_pay_link: Option<&'a str>,
    #[serde(rename = "ex")]
    expires_at: Option<i64>,
    #[serde(rename = "pa")]
    paid_at: Option<i64>,
    #[serde(rename = "pav")]
    paid_amount: Option<&'a str>,
    #[serde(rename = "pac")]
    paid_currency: Option<&'a str>,
    #[serde(rename = "fee")]
    fee_amount: Option<&'a str>,
    #[serde(rename = "net")]
    net_amount: Option<&'a str>,
    #[serde(rename = "rate")]
    exchange_rate: Option<&'a str>,
    #[serde(rename = "rec")]
    received_amount: Option<&'a str>,
    #[serde(rename = "refd")]
    refunded_amount: Option<&'a str>,
    #[serde(rename = "refa")]
    refunded_at: Option<i64>,
    #[serde(rename = "test")]
    is_test: Option<i64>,
    #[serde(rename = "sent")]
    create_sent_at: Option<i64>,
    #[serde(rename = "ended")]
    ended_at: Option<i64>,
    #[serde(rename = "nf")]
    not_found_since: Option<i64>,
}

impl<'a> DecidedRow<'a> {
    pub(super) fn of(ord: usize, decision: &'a Decision) -> Self {
        let (row, plan) = (&decision.row, &decision.row.schedule);
        let learns = decision.facts_changed || decision.order_learned || decision.event.is_some();
        Self {
            place: ord,
            id: row.id.0,
            based_on_version: decision.based_on_version,
            version: row.version,
            based_on_plan: decision.based_on_next_poll_at.map(|at| at.0),
            next_poll_at: plan.next_poll_at.map(|at| at.0),
            last_polled_at: plan.last_polled_at.map(|at| at.0),
            polls: plan.polls,
            failures: plan.failures,
            last_error: plan.last_error.as_deref(),
            based_on_update: row.updated_at.0,
            learned: learns.then(|| LearnedFacts::of(decision)),
        }
    }

    /// Whether it changes more than the plan.
    pub(super) fn learns(&self) -> bool {
        self.learned.is_some()
    }
}

impl<'a> LearnedFacts<'a> {
    fn of(decision: &'a Decision) -> Self {
        let facts = &decision.row.facts;
        let (amount, sums) = (facts.amount.as_ref(), &facts.sums);
        Self {
            facts: true,
            status: facts.status.as_str(),
            order_id: facts.order_id.as_ref().map(|id| id.0.as_str()),
            reason: facts.reason.as_deref(),
            amount: amount.map(|amount| amount.value.as_str()),
            currency: amount.map(|amount| amount.currency.as_str()),
            provider_status: facts.provider_status.as_deref(),
            order_number: facts.order_number.as_deref(),
            pay_link: facts.pay_link.as_deref(),
            direct_pay_link: facts.direct_pay_link.as_deref(),
            expires_at: facts.expires_at.map(|at| at.0),
            paid_at: facts.paid_at.map(|at| at.0),
            paid_amount: facts.payment.value.as_deref(),
            paid_currency: facts.payment.currency.as_deref(),
            fee_amount: facts.payment.fee.as_deref(),
            net_amount: facts.payment.net.as_deref(),
            exchange_rate: facts.payment.exchange_rate.as_deref(),
            received_amount: sums.received.as_ref().map(|sum| sum.value.as_str()),
            refunded_amount: sums.refunded.as_ref().map(|sum| sum.value.as_str()),
            refunded_at: sums.refunded_at.map(|at| at.0),
            is_test: facts.is_test.then_some(1),
            create_sent_at: facts.create_sent_at.map(|at| at.0),
            ended_at: facts.ended_at.map(|at| at.0),
            not_found_since: facts.not_found_since.map(|at| at.0),
        }
    }
}

/// One event. Its number is known only inside the statement, so the payload is sent in two parts.
#[derive(Serialize)]
pub(super) struct EventRow<'a> {
    /// Its index in the batch.
    #[serde(rename = "n")]
    number: usize,
    /// The decision that it belongs to, and whether it is its last event.
    #[serde(rename = "ord")]
    place: usize,
    #[serde(rename = "last")]
    is_last: bool,
    #[serde(rename = "eid")]
    event_id: String,
    #[serde(rename = "sub")]
    subject: String,
    #[serde(rename = "typ")]
    event_type: &'a str,
    #[serde(rename = "ord_id")]
    order_id: Option<&'a str>,
    #[serde(rename = "st")]
    status: &'a str,
    #[serde(rename = "pst")]
    previous_status: &'a str,
    #[serde(rename = "ver")]
    version: i64,
    #[serde(rename = "head")]
    payload_head: String,
    #[serde(rename = "tail")]
    payload_tail: String,
}

impl<'a> EventRow<'a> {
    /// The events of a batch, in order.
    pub(super) fn all(decisions: &[(usize, &'a Decision)], prefix: &str, epoch: &str) -> Vec<Self> {
        let mut rows = Vec::new();
        for &(ord, decision) in decisions {
            let last = decision.event.as_deref();
            for event in decision.earlier.iter().chain(last) {
                let is_last = last.is_some_and(|last| std::ptr::eq(last, event));
                rows.push(Self::of((rows.len(), ord, is_last), event, prefix, epoch));
            }
        }
        rows
    }

    fn of(
        (n, ord, last): (usize, usize, bool),
        event: &'a Event,
        prefix: &str,
        epoch: &str,
    ) -> Self {
        let kind = event.event_type.as_str();
        let (head, tail) = event.payload_parts(epoch);
        Self {
            number: n,
            place: ord,
            is_last: last,
            event_id: event.id().to_string(),
            subject: event::subject(prefix, &event.account, kind),
            event_type: kind,
            order_id: event.facts.order_id.as_ref().map(|id| id.0.as_str()),
            status: event.facts.status.as_str(),
            previous_status: event.previous_status.as_str(),
            version: event.version,
            payload_head: head,
            payload_tail: tail,
        }
    }
}

/// One transaction.
#[derive(Serialize)]
pub(super) struct TransactionRow<'a> {
    #[serde(rename = "n")]
    number: usize,
    #[serde(rename = "ord")]
    place: usize,
    #[serde(rename = "acc")]
    account: &'a str,
    #[serde(rename = "tid")]
    transaction_id: &'a str,
    #[serde(rename = "dir")]
    direction: &'a str,
    #[serde(rename = "inv")]
    invoice_id: Option<i64>,
    #[serde(rename = "ext")]
    external_id: Option<&'a str>,
    #[serde(rename = "am")]
    amount: &'a str,
    #[serde(rename = "cu")]
    currency: &'a str,
    is_net: i64,
    #[serde(rename = "st")]
    status: &'a str,
    #[serde(rename = "at")]
    happened_at: i64,
}

impl<'a> TransactionRow<'a> {
    /// The transactions of a batch.
    pub(super) fn all(decisions: &[(usize, &'a Decision)]) -> Vec<Self> {
        let mut rows = Vec::new();
        for &(ord, decision) in decisions {
            let row = &decision.row;
            for transaction in &decision.transactions {
                let place = (rows.len(), ord);
                rows.push(Self::of(place, &row.account, Some(row.id), transaction));
            }
        }
        rows
    }

    /// `place`: the index among the transactions, and that of the decision.
    pub(super) fn of(
        (n, ord): (usize, usize),
        account: &'a AccountName,
        invoice: Option<InvoiceId>,
        transaction: &'a Transaction,
    ) -> Self {
        Self {
            number: n,
            place: ord,
            account: &account.0,
            transaction_id: &transaction.id.0,
            direction: transaction.direction.as_str(),
            invoice_id: invoice.map(|id| id.0),
            external_id: transaction.external_id.as_ref().map(|id| id.0.as_str()),
            amount: &transaction.amount.value,
            currency: &transaction.amount.currency,
            is_net: i64::from(transaction.is_net),
            status: transaction.status.as_str(),
            happened_at: transaction.happened_at.0,
        }
    }
}

/// Rows as one JSON array.
pub(super) fn json<T: Serialize>(rows: &[T]) -> String {
    // A row cannot fail to serialize.
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
