//! The creation request. The same invoice always gives the same bytes.
//!
//! Currencies and minimum amounts are checked by the server, because they change; its error message
//! becomes the reason for `rejected`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::invoice::Invoice;
use crate::domain::money::{Money, is_plain_decimal};
use crate::provider::Creation;
use crate::provider::options::{read_object, read_options};

const ACCEPTED: &str = "email, add_fields";
const ACCEPTED_FIELDS: &str = "email_to_send, available_currencies, cryptocurrency, period \
                               (time_to_pay is made of timeout_seconds)";
/// Seconds per minute, the unit of an invoice's time to pay.
const MINUTE_S: i64 = 60;

/// The request body. The order of the fields is the order of the bytes.
#[derive(Serialize)]
struct InvoiceRequest<'a> {
    shop_id: &'a str,
    amount: Box<RawValue>,
    currency: &'a str,
    order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a RawValue>,
    add_fields: SentFields<'a>,
}

#[derive(Serialize)]
struct SentFields<'a> {
    time_to_pay: TimeToPay,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_to_send: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_currencies: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cryptocurrency: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct TimeToPay {
    hours: i64,
    minutes: i64,
}

/// The invoice's `options`, kept raw so that each error can name its key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloudOptions<'a> {
    #[serde(borrow)]
    email: Option<&'a RawValue>,
    #[serde(borrow)]
    add_fields: Option<&'a RawValue>,
}

/// The values that a shop may set in `add_fields`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChosenFields<'a> {
    #[serde(borrow)]
    email_to_send: Option<&'a RawValue>,
    #[serde(borrow)]
    available_currencies: Option<&'a RawValue>,
    #[serde(borrow)]
    cryptocurrency: Option<&'a RawValue>,
    #[serde(borrow)]
    period: Option<&'a RawValue>,
}

/// The creation request for `invoice`, or why it can never be made.
pub(super) fn creation(shop_id: &str, invoice: &Invoice) -> Result<Creation, String> {
    let money = invoice.facts.amount.as_ref().ok_or("amount: missing")?;
    let options: CloudOptions<'_> = read_options(invoice.wish.options.as_deref(), ACCEPTED)?;
    let body = InvoiceRequest {
        shop_id,
        amount: amount(money)?,
        currency: currency(money)?,
        order_id: &invoice.external_id.0,
        email: text("email", options.email)?,
        add_fields: add_fields(invoice.wish.timeout_s, options.add_fields)?,
    };
    let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    Ok(Creation {
        external_id: invoice.external_id.clone(),
        body,
        idempotence_key: String::new(),
    })
}

/// A JSON number with the same digits; only leading zeros, which JSON forbids, are removed.
fn amount(money: &Money) -> Result<Box<RawValue>, String> {
    let value = money.value.as_str();
    if !is_plain_decimal(value) || !money.is_positive() {
        return Err("amount: expected a plain decimal above 0, such as 1.00".into());
    }
    let digits = value.trim_start_matches('0');
    let number = if digits.is_empty() || digits.starts_with('.') {
        format!("0{digits}")
    } else {
        digits.to_owned()
    };
    RawValue::from_string(number).map_err(|error| format!("amount: {error}"))
}

fn currency(money: &Money) -> Result<&str, String> {
    let code = money.currency.as_str();
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code {
        Ok(code)
    } else {
        Err("currency: expected three upper-case letters such as USD".into())
    }
}

/// Hours and minutes, rounded up: an order never expires earlier than requested.
fn time_to_pay(timeout_s: i64) -> TimeToPay {
    let minutes = timeout_s.saturating_add(MINUTE_S - 1) / MINUTE_S;
    TimeToPay {
        hours: minutes / 60,
        minutes: minutes % 60,
    }
}

fn add_fields(timeout_s: i64, token: Option<&RawValue>) -> Result<SentFields<'_>, String> {
    let chosen = match token {
        Some(token) => read_object("options.add_fields", token.get(), ACCEPTED_FIELDS)?,
        None => ChosenFields::default(),
    };
    Ok(SentFields {
        time_to_pay: time_to_pay(timeout_s),
        email_to_send: text("add_fields.email_to_send", chosen.email_to_send)?,
        available_currencies: chosen.available_currencies,
        cryptocurrency: text("add_fields.cryptocurrency", chosen.cryptocurrency)?,
        period: chosen.period,
    })
}

fn text<'a>(key: &str, token: Option<&'a RawValue>) -> Result<Option<&'a RawValue>, String> {
    match token {
        Some(token) if !token.get().starts_with('"') => {
            Err(format!("options.{key}: expected a text or null"))
        }
        token => Ok(token),
    }
}
