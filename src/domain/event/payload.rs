//! The JSON text of an event.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Event;
use super::metadata::one_line_json;
use crate::domain::audit::{self, Discrepancy};
use crate::domain::money::Money;
use crate::domain::observation::Payment;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;

impl Event {
    /// The JSON text, on one line, for its place `seq` in the outbox of `epoch`.
    pub fn payload(&self, seq: i64, epoch: &str) -> String {
        CloudEvent {
            specversion: "1.0",
            id: self.id().to_string(),
            source: format!("/payrecond/{}", self.account),
            event_type: self.event_type.as_str(),
            subject: &self.external_id.0,
            time: self.observed_at.to_string(),
            datacontenttype: "application/json",
            sequence: seq.to_string(),
            epoch,
            data: self.data(),
        }
        .line()
    }

    /// The JSON text before and after its place in the outbox, for a database that gives out the
    /// number while it writes.
    pub fn payload_parts(&self, epoch: &str) -> (String, String) {
        cut_at_sequence(&self.payload(0, epoch))
    }

    fn data(&self) -> EventData<'_> {
        let facts = &self.facts;
        let time = |at: Option<UnixMillis>| at.map(|at| at.to_string());
        EventData {
            account: &self.account.0,
            provider: &self.provider,
            external_id: Some(&self.external_id.0),
            order_id: facts.order_id.as_ref().map(|id| id.0.as_str()),
            order_number: facts.order_number.as_deref(),
            status: Some(facts.status.as_str()),
            previous_status: Some(self.previous_status.as_str()),
            late: self.late,
            reason: facts.reason.as_deref(),
            note: self.note.as_deref(),
            version: Some(self.version),
            amount: facts.amount.as_ref().map(AmountData::from),
            payment: (!facts.payment.is_empty()).then(|| PaymentData::from(&facts.payment)),
            received: facts.sums.received.as_ref().map(AmountData::from),
            refunded: facts.sums.refunded.as_ref().map(AmountData::from),
            transaction_id: self.transaction_id.as_ref().map(|id| id.0.as_str()),
            test: facts.is_test,
            provider_status: facts.provider_status.as_deref(),
            paid_at: time(facts.paid_at),
            expires_at: time(facts.expires_at),
            observed_at: self.observed_at.to_string(),
            pay_link: facts.pay_link.as_deref(),
            direct_pay_link: facts.direct_pay_link.as_deref(),
            metadata: one_line_json(self.metadata.as_deref()),
            discrepancy: None,
        }
    }
}

/// Cuts a payload where `sequence` stands. Within a text its quotes are escaped, so the field itself is
/// the first place that has these.
fn cut_at_sequence(payload: &str) -> (String, String) {
    const FIELD: &str = r#""sequence":""#;
    let Some((head, tail)) = payload.split_once(FIELD) else {
        return (payload.to_owned(), String::new());
    };
    let tail = tail.trim_start_matches(|digit: char| digit.is_ascii_digit());
    (format!("{head}{FIELD}"), tail.to_owned())
}

/// As `discrepancy_payload`, before and after its place in the outbox.
pub fn discrepancy_payload_parts(
    finding: &Discrepancy,
    provider: &str,
    about: Option<(Status, i64)>,
    observed_at: UnixMillis,
    epoch: &str,
) -> (String, String) {
    cut_at_sequence(&discrepancy_payload(
        finding,
        provider,
        about,
        observed_at,
        (0, epoch),
    ))
}

/// The event that reports an audit finding. `about` is the invoice it concerns, its status, and the
/// version that this event takes; None where there is no invoice.
pub fn discrepancy_payload(
    finding: &Discrepancy,
    provider: &str,
    about: Option<(Status, i64)>,
    observed_at: UnixMillis,
    (seq, epoch): (i64, &str),
) -> String {
    let status = about.map(|(status, _)| status.as_str());
    let theirs = finding.theirs.as_ref();
    let sum = finding
        .ours
        .as_ref()
        .or(theirs)
        .and_then(|side| side.amount.as_ref());
    let names = (finding.external_id.as_deref(), finding.order_id.as_deref());
    let transaction_id = finding.transaction_id.as_deref();
    CloudEvent {
        specversion: "1.0",
        id: finding.event_id().to_string(),
        source: format!("/payrecond/{}", finding.account),
        event_type: audit::EVENT_TYPE,
        subject: names.0.or(names.1).or(transaction_id).unwrap_or_default(),
        time: observed_at.to_string(),
        datacontenttype: "application/json",
        sequence: seq.to_string(),
        epoch,
        data: EventData {
            account: &finding.account,
            provider,
            external_id: names.0,
            order_id: names.1,
            order_number: None,
            status,
            previous_status: status,
            late: false,
            reason: Some(finding.kind.as_str()),
            note: None,
            version: about.map(|(_, version)| version),
            amount: sum.map(|sum| AmountData {
                value: &sum.value,
                currency: &sum.currency,
            }),
            payment: None,
            received: None,
            refunded: None,
            transaction_id,
            test: false,
            provider_status: theirs.map(|side| side.status.as_str()),
            paid_at: None,
            expires_at: None,
            observed_at: observed_at.to_string(),
            pay_link: None,
            direct_pay_link: None,
            metadata: one_line_json(None),
            discrepancy: Some(finding),
        },
    }
    .line()
}

impl CloudEvent<'_> {
    /// The JSON text. It consists of strings and `RawValue` only, so serialization cannot fail.
    fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'a str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: &'a str,
    time: String,
    datacontenttype: &'a str,
    sequence: String,
    epoch: &'a str,
    data: EventData<'a>,
}

#[derive(Serialize)]
struct EventData<'a> {
    account: &'a str,
    provider: &'a str,
    external_id: Option<&'a str>,
    order_id: Option<&'a str>,
    order_number: Option<&'a str>,
    status: Option<&'a str>,
    previous_status: Option<&'a str>,
    late: bool,
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    version: Option<i64>,
    amount: Option<AmountData<'a>>,
    payment: Option<PaymentData<'a>>,
    received: Option<AmountData<'a>>,
    refunded: Option<AmountData<'a>>,
    transaction_id: Option<&'a str>,
    test: bool,
    provider_status: Option<&'a str>,
    paid_at: Option<String>,
    expires_at: Option<String>,
    observed_at: String,
    pay_link: Option<&'a str>,
    direct_pay_link: Option<&'a str>,
    metadata: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discrepancy: Option<&'a Discrepancy>,
}

#[derive(Serialize)]
struct AmountData<'a> {
    value: &'a str,
    currency: &'a str,
}

impl<'a> From<&'a Money> for AmountData<'a> {
    fn from(money: &'a Money) -> Self {
        Self {
            value: &money.value,
            currency: &money.currency,
        }
    }
}

#[derive(Serialize)]
struct PaymentData<'a> {
    value: Option<&'a str>,
    currency: Option<&'a str>,
    fee: Option<&'a str>,
    net: Option<&'a str>,
    exchange_rate: Option<&'a str>,
}

impl<'a> From<&'a Payment> for PaymentData<'a> {
    fn from(payment: &'a Payment) -> Self {
        Self {
            value: payment.value.as_deref(),
            currency: payment.currency.as_deref(),
            fee: payment.fee.as_deref(),
            net: payment.net.as_deref(),
            exchange_rate: payment.exchange_rate.as_deref(),
        }
    }
}
