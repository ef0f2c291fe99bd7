//! Bodies in CryptoCloud's format: sums are numbers, times have no zone.

use std::str::FromStr as _;

use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use serde_json::{Map, Number, Value, json};

use super::invoice::{CloudFigures, CloudInvoice};
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::core::SandboxCore;
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;
use crate::sandbox::simulator::OrderTruth;
use crate::sandbox::variant::Variant;

pub(super) fn success(result: &Value) -> SimulatedAnswer {
    SimulatedAnswer::data(&json!({"status": "success", "result": result}))
}

/// A page of the list, with the total number in its span.
pub(super) fn page(items: &[Value], all: usize) -> SimulatedAnswer {
    SimulatedAnswer::data(&json!({"status": "success", "result": items, "all_count": all}))
}

pub(super) fn refusal(http: StatusCode, problems: &Value) -> SimulatedAnswer {
    SimulatedAnswer::failure(http, &json!({"status": "error", "result": problems}))
}

/// `2026-01-01 12:00:00.000120`; a whole second has no fraction.
fn time(at: Moment) -> String {
    let at = at.truncated(6);
    let text = at.to_string().replace('T', " ");
    let text = text.trim_end_matches('Z');
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{fraction:0<6}"),
        None => text.to_owned(),
    }
}

/// In the format of a float: `100.0`, `4.5e-6`.
fn figure(value: &BigDecimal) -> Value {
    let mut text = decimal::shortest(value);
    if !text.contains('.') {
        text.push_str(".0");
    }
    Number::from_str(&text).map_or(Value::Null, Value::Number)
}

/// The fields common to create, info and list.
fn common(core: &SandboxCore, invoice: &CloudInvoice, now: Moment) -> Map<String, Value> {
    let ends_partial = core.has(Variant::CryptoCloudPartialCanceled);
    let (status, _) = invoice.status(now, ends_partial);
    let figures = invoice.figures();
    let (terms, coin) = (&invoice.terms, figures.coin);
    let chosen = terms.coin.is_some() || !invoice.payments.is_empty();
    let uuid = &invoice.uuid;
    let object = json!({
        "uuid": if core.has(Variant::CryptoCloudBareUuid) { uuid.clone() } else { format!("INV-{uuid}") },
        "created": time(invoice.created),
        "address": if chosen { format!("T{uuid}XXXXXXXXXXXXXXXXXXXXXXXXX") } else { String::new() },
        "expiry_date": time(invoice.expires),
        "side_commission": "client",
        "side_commission_cc": "merchant",
        "amount": figure(if chosen { &figures.amount } else { &terms.amount }),
        "amount_usd": figure(&figures.usd(&figures.amount)),
        "amount_in_fiat": figure(&terms.amount),
        "fee": figure(&figures.fee),
        "fee_usd": figure(&figures.usd(&figures.fee)),
        "service_fee": figure(&figures.service_fee),
        "service_fee_usd": figure(&figures.usd(&figures.service_fee)),
        "type_payments": "crypto",
        "fiat_currency": terms.currency,
        "status": status,
        "is_email_required": false,
        "currency": coin.object(),
        "project": {
            "id": 1,
            "name": "TestShop",
            "fail": "https://example.com/fail",
            "success": "https://example.com/success",
            "logo": "None",
        },
        "test_mode": invoice.test,
    });
    object.as_object().cloned().unwrap_or_default()
}

pub(super) fn link(core: &SandboxCore, invoice: &CloudInvoice) -> String {
    if core.has(Variant::CryptoCloudOldHost) {
        format!("pay.cryptocloud.plus/{}", invoice.uuid)
    } else {
        format!("https://pay.trybit.com/{}", invoice.uuid)
    }
}

/// The answer to create.
pub(super) fn created(core: &SandboxCore, invoice: &CloudInvoice, now: Moment) -> Value {
    let mut object = common(core, invoice, now);
    object.insert("link".into(), link(core, invoice).into());
    object.insert("invoice_id".into(), Value::Null);
    Value::Object(object)
}

/// An item of info: received sums are net of fees.
pub(super) fn informed(core: &SandboxCore, invoice: &CloudInvoice, now: Moment) -> Value {
    let mut object = common(core, invoice, now);
    put_received(&mut object, &invoice.figures());
    let ends_partial = core.has(Variant::CryptoCloudPartialCanceled);
    let (status, truth) = invoice.status(now, ends_partial);
    let settled = if truth == OrderTruth::Paid {
        "success"
    } else {
        status
    };
    object.insert("invoice_status".into(), settled.into());
    object.insert("order_id".into(), json!(invoice.terms.order_id.as_deref()));
    object.insert("tx_list".into(), transactions(invoice));
    Value::Object(object)
}

/// An item of the list: also with the paid sums.
pub(super) fn listed(core: &SandboxCore, invoice: &CloudInvoice, now: Moment) -> Value {
    let mut object = common(core, invoice, now);
    let figures = invoice.figures();
    put_received(&mut object, &figures);
    let asked = &figures.amount + &figures.fee;
    let more = json!({
        "date_finished": invoice.finished(now).map(time),
        "tx_list": transactions(invoice),
        "amount_in_crypto": null,
        "amount_to_pay": figure(&asked),
        "amount_to_pay_usd": figure(&figures.usd(&asked)),
        "amount_paid": figure(&figures.paid),
        "amount_paid_usd": figure(&figures.usd(&figures.paid)),
        "to_surcharge": figure(&figures.missing),
        "to_surcharge_usd": figure(&figures.usd(&figures.missing)),
        "order_id": invoice.terms.order_id.as_deref(),
        "phone": "",
        "user_email": invoice.terms.email,
        "pay_url": link(core, invoice),
        "type": "up",
        "invoice_id": null,
    });
    object.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(object)
}

fn put_received(object: &mut Map<String, Value>, figures: &CloudFigures) {
    let received = &figures.received;
    object.insert("received".into(), figure(received));
    object.insert("received_usd".into(), figure(&figures.usd(received)));
}

/// A hash for each payment.
fn transactions(invoice: &CloudInvoice) -> Value {
    let hashes = (1..=invoice.payments.len()).map(|n| format!("tx-{}-{n}", invoice.uuid));
    hashes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_or_none() {
        let at = |text| time(Moment::parse(text).unwrap());
        assert_eq!(at("2026-01-01T12:00:00Z"), "2026-01-01 12:00:00");
        assert_eq!(at("2026-01-01T12:00:00.1Z"), "2026-01-01 12:00:00.100000");
        assert_eq!(
            at("2026-01-01T12:00:00.123456789Z"),
            "2026-01-01 12:00:00.123456"
        );
    }

    #[test]
    fn figures_are_floats_and_small_ones_have_an_exponent() {
        let text = |value: &str| figure(&value.parse().unwrap()).to_string();
        assert_eq!(text("100"), "100.0");
        assert_eq!(text("0.033366"), "0.033366");
        assert!(text("0.0000045").contains("e-"), "{}", text("0.0000045"));
    }
}
