//! The request for a new invoice. The same row always gives the same bytes.
//!
//! Limits are those of the documentation. The available coins and currencies change, so any code is
//! sent, and the provider refuses those it does not know.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::invoice::Invoice;
use crate::domain::money::{Money, is_plain_decimal};
use crate::provider::Creation;
use crate::provider::options::{check_length, flag_option, read_options, text_option};

/// Fiat currencies: a price in one of these is paid in a coin at the provider's rate.
const FIAT: [&str; 20] = [
    "USD", "EUR", "RUB", "BYN", "UAH", "GBP", "CNY", "KZT", "UZS", "GEL", "TRY", "AMD", "THB",
    "INR", "BRL", "IDR", "AZN", "AED", "PLN", "ILS",
];
/// Values for the button that the payer sees after the payment.
const BUTTONS: [&str; 4] = ["viewItem", "openChannel", "openBot", "callback"];
/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 1024;
/// Longest message that is shown after the payment, in characters.
const LONGEST_MESSAGE: usize = 2048;
/// Time to pay, in seconds.
const EXPIRES_IN_S: RangeInclusive<i64> = 1..=2_678_400;
/// Length of a currency code.
const CODE: RangeInclusive<usize> = 2..=16;
const ACCEPTED: &str = "hidden_message, paid_btn_name, paid_btn_url, accepted_assets, swap_to, \
                        allow_comments, allow_anonymous";

/// The request body. The order of the fields is the order of the bytes.
#[derive(Serialize)]
struct InvoiceBody<'a> {
    currency_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiat: Option<&'a str>,
    /// Comma-separated: this API takes no arrays.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_assets: Option<String>,
    amount: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_btn_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_btn_url: Option<String>,
    payload: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_comments: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_anonymous: Option<bool>,
    expires_in: i64,
}

/// The invoice's `options`, kept raw so that each error can name its key. Null is the same as
/// absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvoiceOptions<'a> {
    #[serde(borrow)]
    hidden_message: Option<&'a RawValue>,
    #[serde(borrow)]
    paid_btn_name: Option<&'a RawValue>,
    #[serde(borrow)]
    paid_btn_url: Option<&'a RawValue>,
    #[serde(borrow)]
    accepted_assets: Option<&'a RawValue>,
    #[serde(borrow)]
    swap_to: Option<&'a RawValue>,
    #[serde(borrow)]
    allow_comments: Option<&'a RawValue>,
    #[serde(borrow)]
    allow_anonymous: Option<&'a RawValue>,
}

/// The creation request for `invoice`, or why it can never be made.
pub(super) fn creation(invoice: &Invoice) -> Result<Creation, String> {
    let amount = invoice.facts.amount.as_ref().ok_or("amount: missing")?;
    check_amount(amount)?;
    let expires_in = invoice.wish.timeout_s;
    if !EXPIRES_IN_S.contains(&expires_in) {
        return Err(format!(
            "timeout_seconds: {expires_in}, expected 1 to 2678400"
        ));
    }
    let description = invoice.wish.description.as_deref();
    if let Some(text) = description {
        check_length("description", text, 0..=LONGEST_DESCRIPTION)?;
    }
    let code = amount.currency.as_str();
    let is_fiat = FIAT.contains(&code);
    let options: InvoiceOptions<'_> = read_options(invoice.wish.options.as_deref(), ACCEPTED)?;
    let (paid_btn_name, paid_btn_url) = button(&options)?;
    let body = InvoiceBody {
        currency_type: if is_fiat { "fiat" } else { "crypto" },
        asset: (!is_fiat).then_some(code),
        fiat: is_fiat.then_some(code),
        accepted_assets: accepted_assets(options.accepted_assets, is_fiat)?,
        amount: &amount.value,
        swap_to: code_option("swap_to", options.swap_to)?,
        description,
        hidden_message: text_option(
            "hidden_message",
            options.hidden_message,
            0..=LONGEST_MESSAGE,
        )?,
        paid_btn_name,
        paid_btn_url,
        payload: &invoice.external_id.0,
        allow_comments: flag_option("allow_comments", options.allow_comments)?,
        allow_anonymous: flag_option("allow_anonymous", options.allow_anonymous)?,
        expires_in,
    };
    Ok(Creation {
        external_id: invoice.external_id.clone(),
        body: serde_json::to_string(&body).map_err(|error| error.to_string())?,
        idempotence_key: String::new(),
    })
}

fn check_amount(amount: &Money) -> Result<(), String> {
    if !is_code(&amount.currency) {
        return Err("currency: expected upper-case letters and digits, 2 to 16".into());
    }
    if !is_plain_decimal(&amount.value) {
        return Err("amount: expected a plain decimal such as 1.00".into());
    }
    if !amount.is_positive() {
        return Err("amount: expected more than 0".into());
    }
    Ok(())
}

fn is_code(code: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    CODE.contains(&code.len()) && code.bytes().all(is_plain)
}

/// A button needs both its text and its address.
fn button(options: &InvoiceOptions<'_>) -> Result<(Option<String>, Option<String>), String> {
    let name = text_option("paid_btn_name", options.paid_btn_name, 0..=64)?;
    let address = text_option("paid_btn_url", options.paid_btn_url, 0..=LONGEST_MESSAGE)?;
    match &name {
        Some(name) if !BUTTONS.contains(&name.as_str()) => Err(format!(
            "options.paid_btn_name: expected one of {}",
            BUTTONS.join(", ")
        )),
        Some(_) if address.is_none() => {
            Err("options.paid_btn_url: needed with paid_btn_name".into())
        }
        None if address.is_some() => Err("options.paid_btn_name: needed with paid_btn_url".into()),
        Some(_) | None => Ok((name, address)),
    }
}

/// The coins accepted for a price in a fiat currency, as an array or comma-separated.
fn accepted_assets(token: Option<&RawValue>, is_fiat: bool) -> Result<Option<String>, String> {
    let Some(token) = token else { return Ok(None) };
    if !is_fiat {
        return Err(
            "options.accepted_assets: only for a price in a currency that is no coin".into(),
        );
    }
    let read: Result<Vec<String>, _> = serde_json::from_str(token.get()).or_else(|_| {
        let text: Result<String, _> = serde_json::from_str(token.get());
        text.map(|text| text.split(',').map(|code| code.trim().to_owned()).collect())
    });
    match read {
        Ok(codes) if !codes.is_empty() && codes.iter().all(|code| is_code(code)) => {
            Ok(Some(codes.join(",")))
        }
        Ok(_) | Err(_) => Err(
            "options.accepted_assets: expected codes of coins, such as [\"USDT\",\"TON\"]".into(),
        ),
    }
}

fn code_option(key: &str, token: Option<&RawValue>) -> Result<Option<String>, String> {
    match text_option(key, token, 0..=*CODE.end())? {
        Some(code) if !is_code(&code) => Err(format!(
            "options.{key}: expected the code of a coin, such as USDT"
        )),
        code => Ok(code),
    }
}
