//! Bodies in YooKassa's format.

use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::payment::{PaymentCourse, StoredPayment, word};
use super::refund::StoredRefund;
use super::request::BadParameter;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;

/// YooKassa's fee in thousandths of the sum: 3.5 %.
const FEE_PERMILLE: u32 = 35;

/// An error of any kind; `more` has its fields beyond the common ones.
pub(super) fn error(
    http: StatusCode,
    code: &str,
    description: &str,
    more: &Value,
) -> SimulatedAnswer {
    let mut body = Map::new();
    body.insert("type".into(), "error".into());
    body.insert("id".into(), Uuid::new_v4().to_string().into());
    body.insert("code".into(), code.into());
    body.insert("description".into(), description.into());
    body.extend(more.as_object().cloned().unwrap_or_default());
    SimulatedAnswer::failure(http, &body)
}

/// 400 about one parameter.
pub(super) fn invalid(parameter: &str, description: &str) -> SimulatedAnswer {
    let more = json!({"parameter": parameter});
    error(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        description,
        &more,
    )
}

pub(super) fn bad_parameter(bad: &BadParameter) -> SimulatedAnswer {
    invalid(&bad.name, &bad.problem)
}

fn money(value: &BigDecimal, currency: &str) -> Value {
    json!({"value": decimal::fixed(value, 2), "currency": currency})
}

/// One payment at `now`: fields that do not apply are absent.
pub(super) fn payment(payment: &StoredPayment, now: Moment) -> Value {
    let (terms, course) = (&payment.terms, payment.course(now));
    let sum = |value: &BigDecimal| money(value, &terms.currency);
    let fee = decimal::rounded(
        &(&terms.amount * BigDecimal::new(FEE_PERMILLE.into(), 3)),
        2,
    );
    let mut object = json!({
        "id": payment.id,
        "status": word(&course),
        "amount": sum(&terms.amount),
        "recipient": {"account_id": payment.shop, "gateway_id": "100700"},
        "created_at": payment.created.to_millis_text(),
        "test": payment.test,
        "paid": matches!(course, PaymentCourse::Held { .. } | PaymentCourse::Succeeded { .. }),
        "refundable": false,
        "metadata": terms.metadata,
    });
    if let Some(description) = &terms.description {
        object["description"] = description.as_str().into();
    }
    if let Some(method) = &terms.method {
        object["payment_method"] = payment_method(&payment.id, method);
    }
    match &course {
        PaymentCourse::Pending => object["confirmation"] = confirmation(payment),
        PaymentCourse::Held { until } => {
            object["income_amount"] = sum(&(&terms.amount - fee));
            object["expires_at"] = until.to_millis_text().into();
        }
        PaymentCourse::Succeeded { captured } => {
            object["income_amount"] = sum(&(&terms.amount - fee));
            object["captured_at"] = captured.to_millis_text().into();
            object["refunded_amount"] = sum(&payment.refunded);
            object["refundable"] = (payment.refunded < terms.amount).into();
        }
        PaymentCourse::Canceled { party, reason } => {
            object["cancellation_details"] = json!({"party": party, "reason": reason});
        }
    }
    object
}

fn payment_method(id: &str, method: &str) -> Value {
    let mut object = json!({"type": method, "id": id, "saved": false});
    if method == "bank_card" {
        object["title"] = "Bank card *4444".into();
        object["card"] = json!({
            "first6": "555555", "last4": "4444", "expiry_month": "12", "expiry_year": "2030",
            "card_type": "MasterCard", "issuer_country": "RU",
        });
    }
    object
}

fn confirmation(payment: &StoredPayment) -> Value {
    let asked = &payment.terms.confirmation;
    let kind = asked
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("redirect");
    let mut object = json!({"type": kind});
    let host = "https://yoomoney.ru/checkout/payments/v2/contract?orderId=";
    match kind {
        "redirect" | "mobile_application" => {
            object["confirmation_url"] = format!("{host}{}", payment.id).into();
            if let Some(back) = asked.get("return_url") {
                object["return_url"] = back.clone();
            }
        }
        "embedded" => object["confirmation_token"] = format!("ct-{}", payment.id).into(),
        "qr" => object["confirmation_data"] = format!("https://qr.nspk.ru/{}", payment.id).into(),
        _ => {}
    }
    object
}

pub(super) fn refund(refund: &StoredRefund) -> Value {
    let mut object = json!({
        "id": refund.id,
        "payment_id": refund.payment_id,
        "status": "succeeded",
        "created_at": refund.created.to_millis_text(),
        "amount": money(&refund.amount, &refund.currency),
    });
    if let Some(description) = &refund.description {
        object["description"] = description.as_str().into();
    }
    object
}
