//! The bodies of the four store operations, as the provider writes and reads them.
//!
//! A 200 may carry a failing envelope. Other statuses are undocumented; the format here is the one
//! that most clients have in their fixtures.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::money::{PaymentOption, WalletPayCurrency, WalletPayMoney};
use super::order::{WalletPayOrder, WalletPayStatus};
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::moment::Moment;
use crate::sandbox::new_order::NewOrder;

#[derive(Serialize)]
struct WalletPayEnvelope<'a, T> {
    status: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

/// 200 with data.
pub(super) fn success(status: &str, data: &impl Serialize) -> SimulatedAnswer {
    let envelope = WalletPayEnvelope {
        status,
        message: "",
        data: Some(data),
    };
    SimulatedAnswer::data(&envelope)
}

/// 200 with a failing envelope: no data.
pub(super) fn refusal(status: &str, message: &str) -> SimulatedAnswer {
    let envelope = WalletPayEnvelope::<()> {
        status,
        message,
        data: None,
    };
    SimulatedAnswer::failure(StatusCode::OK, &envelope)
}

/// Anything but 200.
pub(super) fn error(http: StatusCode, message: &str) -> SimulatedAnswer {
    let envelope = WalletPayEnvelope::<()> {
        status: "ERROR",
        message,
        data: None,
    };
    SimulatedAnswer::failure(http, &envelope)
}

#[derive(Serialize)]
pub(super) struct OrderCount {
    /// The number of orders, despite its name.
    #[serde(rename = "totalAmount")]
    pub total_amount: usize,
}

#[derive(Serialize)]
pub(super) struct OrderListPage<'a> {
    items: Vec<ListedOrder<'a>>,
}

/// One page of the list at `now`.
pub(super) fn page(orders: &[WalletPayOrder], now: Moment) -> OrderListPage<'_> {
    OrderListPage {
        items: orders
            .iter()
            .map(|order| ListedOrder::of(order, now))
            .collect(),
    }
}

/// An item of the list: only here are the external id and the payment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedOrder<'a> {
    id: u64,
    status: WalletPayStatus,
    amount: WalletPayMoney,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_conversion_currency: Option<WalletPayCurrency>,
    external_id: &'a str,
    customer_telegram_user_id: i64,
    created_date_time: Moment,
    expiration_date_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_date_time: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected_payment_option: Option<&'a PaymentOption>,
}

impl<'a> ListedOrder<'a> {
    fn of(order: &'a WalletPayOrder, now: Moment) -> ListedOrder<'a> {
        let (status, completed) = order.status(now);
        ListedOrder {
            id: order.id,
            status,
            amount: order.amount,
            auto_conversion_currency: order.auto_conversion,
            external_id: &order.external_id,
            customer_telegram_user_id: order.customer_telegram_user_id,
            created_date_time: order.created,
            expiration_date_time: order.expires,
            payment_date_time: completed.filter(|_| status == WalletPayStatus::Paid),
            selected_payment_option: order.payment(),
        }
    }
}

/// The answer of create and preview: no external id, no payment details.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenPreview {
    id: Value,
    status: WalletPayStatus,
    number: String,
    amount: WalletPayMoney,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_conversion_currency: Option<WalletPayCurrency>,
    created_date_time: Moment,
    expiration_date_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_date_time: Option<Moment>,
    pay_link: String,
    direct_pay_link: String,
}

impl WrittenPreview {
    /// The specification has the id as text, its own example as a number.
    pub fn of(order: &WalletPayOrder, now: Moment, number_id: bool) -> WrittenPreview {
        let id = order.id;
        let (status, completed) = order.status(now);
        WrittenPreview {
            id: if number_id {
                id.into()
            } else {
                id.to_string().into()
            },
            status,
            number: order.number(),
            amount: order.amount,
            auto_conversion_currency: order.auto_conversion,
            created_date_time: order.created,
            expiration_date_time: order.expires,
            completed_date_time: completed,
            pay_link: format!("https://t.me/wallet?startattach=wpay_order_{id}"),
            direct_pay_link: format!("https://t.me/wallet/start?startapp=wpay_order-orderId__{id}"),
        }
    }
}

/// The body of a creation. The server is known to be lenient: the documentation's own example has
/// the amount as a number, and a public tutorial sends the user id as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    amount: Option<CreateAmount>,
    external_id: Option<String>,
    description: Option<String>,
    timeout_seconds: Option<i64>,
    customer_telegram_user_id: Option<Value>,
    auto_conversion_currency: Option<String>,
    return_url: Option<String>,
    fail_return_url: Option<String>,
    custom_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateAmount {
    amount: Option<Value>,
    currency_code: Option<String>,
}

/// Parses a creation. The error is the answer: 400 if it is not such an object, an envelope if a
/// field is missing.
pub(super) fn read_create(body: &[u8]) -> Result<NewOrder, SimulatedAnswer> {
    let body: CreateBody = serde_json::from_slice(body).map_err(|broken| {
        error(
            StatusCode::BAD_REQUEST,
            &format!("Invalid request: {broken}"),
        )
    })?;
    let amount = required("amount", body.amount)?;
    Ok(NewOrder {
        amount: match required("amount.amount", amount.amount)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(wrong_type("amount.amount", "a decimal as text")),
        },
        currency: required("amount.currencyCode", amount.currency_code)?,
        external_id: required("externalId", body.external_id)?,
        description: required("description", body.description)?,
        timeout_seconds: required("timeoutSeconds", body.timeout_seconds)?,
        customer_telegram_user_id: match required(
            "customerTelegramUserId",
            body.customer_telegram_user_id,
        )? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| wrong_type("customerTelegramUserId", "a whole number"))?,
        auto_conversion_currency: body.auto_conversion_currency,
        return_url: body.return_url,
        fail_return_url: body.fail_return_url,
        custom_data: body.custom_data,
    })
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, SimulatedAnswer> {
    value.ok_or_else(|| refusal("INVALID_REQUEST", &format!("{field} is required")))
}

fn wrong_type(field: &str, accepted: &str) -> SimulatedAnswer {
    error(
        StatusCode::BAD_REQUEST,
        &format!("Invalid request: {field} must be {accepted}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = r#"{"amount":{"currencyCode":"USD","amount":"1.00"},"autoConversionCurrency":"USDT",
        "description":"VPN for 1 month","returnUrl":"https://t.me/wallet","failReturnUrl":null,
        "customData":"client_ref=4E89","externalId":"ORD-5023-4E89","timeoutSeconds":10800,"customerTelegramUserId":0}"#;

    #[test]
    fn the_documented_request_is_read() {
        let order = read_create(README.as_bytes()).unwrap();
        assert_eq!(order.auto_conversion_currency.as_deref(), Some("USDT"));
        assert_eq!(order.fail_return_url, None);
        let lenient = README
            .replace(r#""amount":"1.00""#, r#""amount":30.45"#)
            .replace(r#"UserId":0"#, r#"UserId":"77""#);
        let order = read_create(lenient.as_bytes()).unwrap();
        assert_eq!(
            (order.amount.as_str(), order.customer_telegram_user_id),
            ("30.45", 77)
        );
    }

    #[test]
    fn broken_is_400_and_missing_is_an_envelope() {
        let answer = |body: &str| read_create(body.as_bytes()).unwrap_err();
        assert_eq!(answer("{").http, StatusCode::BAD_REQUEST);
        assert_eq!(answer("[]").http, StatusCode::BAD_REQUEST);
        assert_eq!(
            answer(&README.replace("10800", "\"x\"")).http,
            StatusCode::BAD_REQUEST
        );
        let missing = answer(&README.replace("customerTelegramUserId", "customer"));
        assert_eq!(missing.http, StatusCode::OK);
        assert!(
            String::from_utf8_lossy(&missing.body).contains("customerTelegramUserId is required")
        );
    }
}
