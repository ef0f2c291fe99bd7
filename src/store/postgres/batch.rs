//! A batch of decisions in the form that PostgreSQL receives: JSON arrays of objects, read by
//! `json_to_recordset`. A missing field is NULL. The statements of `commit` name the fields.

use serde::Serialize;

use crate::domain::decide::Decision;
use crate::domain::event::{self, Event};
use crate::domain::invoice::{AccountName, InvoiceId};
use crate::domain::transaction::Transaction;

/// One decision: always the plan, and facts only if some were learned.
#[derive(Serialize)]
pub(super) struct DecidedRow<'a> {
    ord: usize,
    id: i64,
    /// The version that it is based on, and the version afterwards.
    ver: i64,
    nver: i64,
    /// The plan that was read, and the new one.
    bp: Option<i64>,
    np: Option<i64>,
    lp: Option<i64>,
    po: i64,
    fa: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    er: Option<&'a str>,
    /// When the row was last changed, as it was read.
    bu: i64,
    #[serde(flatten)]
    learned: Option<LearnedFacts<'a>>,
}

/// All facts of a row.
#[derive(Serialize)]
struct LearnedFacts<'a> {
    facts: bool,
    st: &'a str,
    ord_id: Option<&'a str>,
    rs: Option<&'a str>,
    am: Option<&'a str>,
    cu: Option<&'a str>,
    ps: Option<&'a str>,
    num: Option<&'a str>,
    pl: Option<&'a str>,
    dpl: Option<&'a str>,
    ex: Option<i64>,
    pa: Option<i64>,
    pav: Option<&'a str>,
    pac: Option<&'a str>,
    fee: Option<&'a str>,
    net: Option<&'a str>,
    rate: Option<&'a str>,
    rec: Option<&'a str>,
    refd: Option<&'a str>,
    refa: Option<i64>,
    test: Option<i64>,
    sent: Option<i64>,
    ended: Option<i64>,
    nf: Option<i64>,
}

impl<'a> DecidedRow<'a> {
    pub(super) fn of(ord: usize, decision: &'a Decision) -> Self {
        let (row, plan) = (&decision.row, &decision.row.schedule);
        let learns = decision.facts_changed || decision.order_learned || decision.event.is_some();
        Self {
            ord,
            id: row.id.0,
            ver: decision.based_on_version,
            nver: row.version,
            bp: decision.based_on_next_poll_at.map(|at| at.0),
            np: plan.next_poll_at.map(|at| at.0),
            lp: plan.last_polled_at.map(|at| at.0),
            po: plan.polls,
            fa: plan.failures,
            er: plan.last_error.as_deref(),
            bu: row.updated_at.0,
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
            st: facts.status.as_str(),
            ord_id: facts.order_id.as_ref().map(|id| id.0.as_str()),
            rs: facts.reason.as_deref(),
            am: amount.map(|amount| amount.value.as_str()),
            cu: amount.map(|amount| amount.currency.as_str()),
            ps: facts.provider_status.as_deref(),
            num: facts.order_number.as_deref(),
            pl: facts.pay_link.as_deref(),
            dpl: facts.direct_pay_link.as_deref(),
            ex: facts.expires_at.map(|at| at.0),
            pa: facts.paid_at.map(|at| at.0),
            pav: facts.payment.value.as_deref(),
            pac: facts.payment.currency.as_deref(),
            fee: facts.payment.fee.as_deref(),
            net: facts.payment.net.as_deref(),
            rate: facts.payment.exchange_rate.as_deref(),
            rec: sums.received.as_ref().map(|sum| sum.value.as_str()),
            refd: sums.refunded.as_ref().map(|sum| sum.value.as_str()),
            refa: sums.refunded_at.map(|at| at.0),
            test: facts.is_test.then_some(1),
            sent: facts.create_sent_at.map(|at| at.0),
            ended: facts.ended_at.map(|at| at.0),
            nf: facts.not_found_since.map(|at| at.0),
        }
    }
}

/// One event. Its number is known only inside the statement, so the payload is sent in two parts.
#[derive(Serialize)]
pub(super) struct EventRow<'a> {
    /// Its index in the batch.
    n: usize,
    /// The decision that it belongs to, and whether it is its last event.
    ord: usize,
    last: bool,
    eid: String,
    sub: String,
    typ: &'a str,
    ord_id: Option<&'a str>,
    st: &'a str,
    pst: &'a str,
    ver: i64,
    head: String,
    tail: String,
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
            n,
            ord,
            last,
            eid: event.id().to_string(),
            sub: event::subject(prefix, &event.account, kind),
            typ: kind,
            ord_id: event.facts.order_id.as_ref().map(|id| id.0.as_str()),
            st: event.facts.status.as_str(),
            pst: event.previous_status.as_str(),
            ver: event.version,
            head,
            tail,
        }
    }
}

/// One transaction.
#[derive(Serialize)]
pub(super) struct TransactionRow<'a> {
    n: usize,
    ord: usize,
    acc: &'a str,
    tid: &'a str,
    dir: &'a str,
    inv: Option<i64>,
    ext: Option<&'a str>,
    am: &'a str,
    cu: &'a str,
    is_net: i64,
    st: &'a str,
    at: i64,
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
            n,
            ord,
            acc: &account.0,
            tid: &transaction.id.0,
            dir: transaction.direction.as_str(),
            inv: invoice.map(|id| id.0),
            ext: transaction.external_id.as_ref().map(|id| id.0.as_str()),
            am: &transaction.amount.value,
            cu: &transaction.amount.currency,
            is_net: i64::from(transaction.is_net),
            st: transaction.status.as_str(),
            at: transaction.happened_at.0,
        }
    }
}

/// Rows as one JSON array.
pub(super) fn json<T: Serialize>(rows: &[T]) -> String {
    // A row cannot fail to serialize.
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
