//! Rows as JSON: the names of the columns, times in unix milliseconds, money and ids as text, the
//! shop's own JSON with numbers unchanged.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::invoice::Invoice;
use crate::domain::time::UnixMillis;
use crate::store::{HistoryEvent, SeenTransaction};

/// One row of `invoices`, all columns of the interface.
#[derive(Serialize)]
pub(super) struct InvoiceJson<'a> {
    id: i64,
    account: &'a str,
    external_id: &'a str,
    order_id: Option<&'a str>,
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    description: Option<&'a str>,
    timeout_seconds: i64,
    options: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
    status: &'a str,
    reason: Option<&'a str>,
    provider_status: Option<&'a str>,
    order_number: Option<&'a str>,
    pay_link: Option<&'a str>,
    direct_pay_link: Option<&'a str>,
    expires_at: Option<i64>,
    paid_at: Option<i64>,
    paid_amount: Option<&'a str>,
    paid_currency: Option<&'a str>,
    fee_amount: Option<&'a str>,
    net_amount: Option<&'a str>,
    exchange_rate: Option<&'a str>,
    received_amount: Option<&'a str>,
    refunded_amount: Option<&'a str>,
    refunded_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
    next_poll_at: Option<i64>,
    last_polled_at: Option<i64>,
    polls: i64,
    failures: i64,
    last_error: Option<&'a str>,
}

impl<'a> From<&'a Invoice> for InvoiceJson<'a> {
    fn from(invoice: &'a Invoice) -> Self {
        let (facts, schedule) = (&invoice.facts, &invoice.schedule);
        let payment = &facts.payment;
        let millis = |at: Option<UnixMillis>| at.map(|at| at.0);
        Self {
            id: invoice.id.0,
            account: &invoice.account.0,
            external_id: &invoice.external_id.0,
            order_id: facts.order_id.as_ref().map(|id| id.0.as_str()),
            amount: facts.amount.as_ref().map(|amount| amount.value.as_str()),
            currency: facts.amount.as_ref().map(|amount| amount.currency.as_str()),
            description: invoice.wish.description.as_deref(),
            timeout_seconds: invoice.wish.timeout_s,
            options: invoice.wish.options.as_deref().map(raw),
            metadata: invoice.metadata.as_deref().map(raw),
            status: facts.status.as_str(),
            reason: facts.reason.as_deref(),
            provider_status: facts.provider_status.as_deref(),
            order_number: facts.order_number.as_deref(),
            pay_link: facts.pay_link.as_deref(),
            direct_pay_link: facts.direct_pay_link.as_deref(),
            expires_at: millis(facts.expires_at),
            paid_at: millis(facts.paid_at),
            paid_amount: payment.value.as_deref(),
            paid_currency: payment.currency.as_deref(),
            fee_amount: payment.fee.as_deref(),
            net_amount: payment.net.as_deref(),
            exchange_rate: payment.exchange_rate.as_deref(),
            received_amount: facts.sums.received.as_ref().map(|sum| sum.value.as_str()),
            refunded_amount: facts.sums.refunded.as_ref().map(|sum| sum.value.as_str()),
            refunded_at: millis(facts.sums.refunded_at),
            version: invoice.version,
            created_at: invoice.created_at.0,
            updated_at: invoice.updated_at.0,
            next_poll_at: millis(schedule.next_poll_at),
            last_polled_at: millis(schedule.last_polled_at),
            polls: schedule.polls,
            failures: schedule.failures,
            last_error: schedule.last_error.as_deref(),
        }
    }
}

/// One row of `transactions`.
#[derive(Serialize)]
pub(super) struct TransactionJson<'a> {
    transaction_id: &'a str,
    direction: &'a str,
    external_id: Option<&'a str>,
    amount: &'a str,
    currency: &'a str,
    is_net: bool,
    status: &'a str,
    happened_at: i64,
    seen_at: i64,
}

impl<'a> From<&'a SeenTransaction> for TransactionJson<'a> {
    fn from(seen: &'a SeenTransaction) -> Self {
        let transaction = &seen.transaction;
        Self {
            transaction_id: &transaction.id.0,
            direction: transaction.direction.as_str(),
            external_id: transaction.external_id.as_ref().map(|id| id.0.as_str()),
            amount: &transaction.amount.value,
            currency: &transaction.amount.currency,
            is_net: transaction.is_net,
            status: transaction.status.as_str(),
            happened_at: transaction.happened_at.0,
            seen_at: seen.seen_at.0,
        }
    }
}

/// One row of `outbox`.
#[derive(Serialize)]
pub(super) struct EventJson<'a> {
    seq: i64,
    event_id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    status: Option<&'a str>,
    previous_status: Option<&'a str>,
    payload: Box<RawValue>,
    created_at: i64,
}

impl<'a> From<&'a HistoryEvent> for EventJson<'a> {
    fn from(event: &'a HistoryEvent) -> Self {
        Self {
            seq: event.seq,
            event_id: &event.event_id,
            event_type: &event.event_type,
            status: event.status.as_deref(),
            previous_status: event.previous_status.as_deref(),
            payload: raw(&event.payload),
            created_at: event.created_at.0,
        }
    }
}

/// JSON on one line, with numbers unchanged. Text that the database accepted as JSON, but that is
/// invalid, becomes a string.
fn raw(text: &str) -> Box<RawValue> {
    // In valid JSON, a raw line break occurs only between tokens, never within a string.
    RawValue::from_string(text.trim().replace(['\r', '\n'], " "))
        .or_else(|_| to_raw_value(text))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_and_invalid_json_becomes_text() {
        assert_eq!(
            raw("{\"n\":\n12345678901234567890.10}").get(),
            "{\"n\": 12345678901234567890.10}"
        );
        assert_eq!(raw("{a:1}").get(), "\"{a:1}\"");
    }
}
