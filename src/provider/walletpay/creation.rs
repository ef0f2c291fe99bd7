//! The creation request. The same invoice always gives the same bytes.
//!
//! The bytes must be equal because a repeat with any other parameter is answered `CONFLICT` instead
//! of `ALREADY`. Limits are those of the documentation; minimum amounts and valid pairs of
//! currencies are checked by the server, because they change.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::invoice::{Invoice, Wish};
use crate::domain::money::{Money, is_plain_decimal};
use crate::provider::Creation;
use crate::provider::options::{check_length, read_options, text_option};

/// Length of a description, in characters.
const DESCRIPTION: std::ops::RangeInclusive<usize> = 5..=100;
/// Time to pay, in seconds.
const TIMEOUT_S: std::ops::RangeInclusive<i64> = 30..=864_000;
/// Length of an external id, and of a text among the options, in characters.
const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 1..=255;
const OPTION: std::ops::RangeInclusive<usize> = 0..=255;
/// Length of a currency code. Current codes have 3 or 4 characters.
const CURRENCY: std::ops::RangeInclusive<usize> = 2..=16;
const ACCEPTED: &str = "customerTelegramUserId, returnUrl, failReturnUrl, customData, \
                        autoConversionCurrency";

/// The request body. The order of the fields is the order of the bytes: never change it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationBody<'a> {
    amount: AmountBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_conversion_currency: Option<String>,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_return_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_data: Option<String>,
    external_id: &'a str,
    timeout_seconds: i64,
    customer_telegram_user_id: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmountBody<'a> {
    currency_code: &'a str,
    amount: &'a str,
}

/// The invoice's `options`, kept raw so that each error can name its key. Null is the same as
/// absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options<'a> {
    #[serde(borrow)]
    customer_telegram_user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    return_url: Option<&'a RawValue>,
    #[serde(borrow)]
    fail_return_url: Option<&'a RawValue>,
    #[serde(borrow)]
    custom_data: Option<&'a RawValue>,
    #[serde(borrow)]
    auto_conversion_currency: Option<&'a RawValue>,
}

/// The creation request for `invoice`, or why it can never be made.
pub(super) fn creation(invoice: &Invoice) -> Result<Creation, String> {
    let amount = invoice.facts.amount.as_ref().ok_or("amount: missing")?;
    check_amount(amount)?;
    let external_id = invoice.external_id.0.as_str();
    check_length("external_id", external_id, EXTERNAL_ID)?;
    let description = description(&invoice.wish)?;
    let timeout_seconds = invoice.wish.timeout_s;
    if !TIMEOUT_S.contains(&timeout_seconds) {
        return Err(format!(
            "timeout_seconds: {timeout_seconds} is not within 30 to 864000"
        ));
    }
    let options: Options<'_> = read_options(invoice.wish.options.as_deref(), ACCEPTED)?;
    let body = CreationBody {
        amount: AmountBody {
            currency_code: &amount.currency,
            amount: &amount.value,
        },
        auto_conversion_currency: conversion(options.auto_conversion_currency)?,
        description,
        return_url: text_option("returnUrl", options.return_url, OPTION)?,
        fail_return_url: text_option("failReturnUrl", options.fail_return_url, OPTION)?,
        custom_data: text_option("customData", options.custom_data, OPTION)?,
        external_id,
        timeout_seconds,
        customer_telegram_user_id: user_id(options.customer_telegram_user_id)?,
    };
    let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    Ok(Creation {
        external_id: invoice.external_id.clone(),
        body,
        idempotence_key: String::new(),
    })
}

fn description(wish: &Wish) -> Result<&str, String> {
    let text = wish.description.as_deref().ok_or("description: missing")?;
    check_length("description", text, DESCRIPTION)?;
    Ok(text)
}

fn check_amount(amount: &Money) -> Result<(), String> {
    let code = amount.currency.as_str();
    if !is_currency(code) {
        return Err("currency: expected 2 to 16 upper-case letters and digits".into());
    }
    let value = amount.value.as_str();
    if !is_plain_decimal(value) {
        return Err("amount: expected a plain decimal such as 1.00".into());
    }
    let digits = value.split_once('.').map_or(0, |(_, after)| after.len());
    match most_digits(code) {
        Some(most) if digits > most => Err(format!(
            "amount: {digits} digits after the point, {code} has at most {most}"
        )),
        Some(_) | None => Ok(()),
    }
}

/// Digits after the point, where the currency is known. Nine for NOT, as on its chain.
fn most_digits(currency: &str) -> Option<usize> {
    match currency {
        "USD" | "EUR" | "RUB" => Some(2),
        "TON" | "GRAM" | "NOT" => Some(9),
        "BTC" => Some(8),
        "USDT" => Some(6),
        _ => None,
    }
}

fn is_currency(code: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    CURRENCY.contains(&code.len()) && code.bytes().all(is_plain)
}

/// The only user who can open the payment page: required, and never a text.
fn user_id(token: Option<&RawValue>) -> Result<i64, String> {
    token
        .map(RawValue::get)
        .filter(|id| id.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|id| id.parse().ok())
        .filter(|id| *id > 0)
        .ok_or_else(|| {
            "options.customerTelegramUserId: required; expected a whole number above 0".to_owned()
        })
}

/// The currency that the store receives. Any code is accepted: the documented list (TON, BTC, USDT)
/// has already grown by NOT, and the server refuses codes that it does not know.
fn conversion(token: Option<&RawValue>) -> Result<Option<String>, String> {
    let code = text_option("autoConversionCurrency", token, OPTION)?;
    match code {
        Some(code) if !is_currency(&code) => {
            Err("options.autoConversionCurrency: expected a currency code such as TON".into())
        }
        code => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::invoice::{Facts, InvoiceId, PollPlan};
    use crate::domain::state::Status;
    use crate::domain::text::one_line;
    use crate::domain::time::UnixMillis;

    const USER: &str = r#"{"customerTelegramUserId":7}"#;

    fn invoice(amount: &str, currency: &str, options: &str) -> Invoice {
        Invoice {
            id: InvoiceId(1),
            account: "default".into(),
            external_id: "ORD-5023-4E89".into(),
            wish: Wish {
                description: Some("VPN for 1 month".into()),
                timeout_s: 10_800,
                options: Some(options.into()),
            },
            metadata: None,
            transactions: Vec::new(),
            facts: Facts {
                amount: Some(Money {
                    value: amount.into(),
                    currency: currency.into(),
                }),
                ..Facts::bare(Status::Requested)
            },
            version: 0,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            schedule: PollPlan::default(),
        }
    }

    fn refusal(invoice: &Invoice) -> String {
        creation(invoice).unwrap_err()
    }

    #[test]
    fn the_bytes_never_change() {
        let options = r#"{"customData":"client_ref=4E89","returnUrl":"https://t.me/wallet",
            "failReturnUrl":null,"customerTelegramUserId":9007199254740993,
            "autoConversionCurrency":"USDT"}"#;
        let made = creation(&invoice("1.00", "USD", options)).unwrap();
        let body = concat!(
            r#"{"amount":{"currencyCode":"USD","amount":"1.00"},"autoConversionCurrency":"USDT","#,
            r#""description":"VPN for 1 month","returnUrl":"https://t.me/wallet","#,
            r#""customData":"client_ref=4E89","externalId":"ORD-5023-4E89","#,
            r#""timeoutSeconds":10800,"customerTelegramUserId":9007199254740993}"#
        );
        assert_eq!(made.body, body);
        assert_eq!(made.external_id.0, "ORD-5023-4E89");
    }

    #[test]
    fn the_documented_request_has_our_fields() {
        let documented =
            include_str!("../../../tests/fixtures/walletpay/request-create-readme.json");
        let mut documented: serde_json::Value = serde_json::from_str(documented).unwrap();
        documented["customerTelegramUserId"] = 7.into();
        let options = r#"{"customData":"client_ref=4E89","returnUrl":"https://t.me/wallet",
            "failReturnUrl":"https://t.me/wallet","customerTelegramUserId":7,
            "autoConversionCurrency":"USDT"}"#;
        let made = creation(&invoice("1.00", "USD", options)).unwrap();
        let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
        assert_eq!(made, documented);
    }

    #[test]
    fn a_wrong_option_is_named() {
        for (options, key) in [
            ("{}", "customerTelegramUserId"),
            (r#"{"customerTelegramUserId":0}"#, "customerTelegramUserId"),
            (
                r#"{"customerTelegramUserId":"7"}"#,
                "customerTelegramUserId",
            ),
            (
                r#"{"customerTelegramUserId":7.0}"#,
                "customerTelegramUserId",
            ),
            (
                r#"{"customerTelegramUserId":7e3}"#,
                "customerTelegramUserId",
            ),
            (
                r#"{"customerTelegramUserId":9223372036854775808}"#,
                "customerTelegramUserId",
            ),
            (r#"{"customerTelegramUserId":7,"returnUrl":5}"#, "returnUrl"),
            (
                r#"{"customerTelegramUserId":7,"autoConversionCurrency":"ton"}"#,
                "autoConversionCurrency",
            ),
            (
                r#"{"customerTelegramUserId":7,"autoConversionCurrencyCode":"TON"}"#,
                "autoConversionCurrencyCode",
            ),
            (
                r#"{"customerTelegramUserId":7,"customerTelegramUserId":8}"#,
                "customerTelegramUserId",
            ),
            (
                "[7,null,null,null,null]",
                "not a JSON object; keys: customerTelegramUserId",
            ),
            ("nonsense", "not a JSON object; keys: "),
        ] {
            let said = refusal(&invoice("1.00", "USD", options));
            assert!(said.contains(key), "{options}: {said}");
            assert_eq!(one_line(&said), said);
        }
        let unknown = refusal(&invoice("1", "USD", r#"{"color":1}"#));
        assert!(unknown.contains("color") && unknown.contains("failReturnUrl"));
        let long = format!(
            r#"{{"customerTelegramUserId":7,"customData":"{}"}}"#,
            "я".repeat(256)
        );
        assert!(refusal(&invoice("1", "USD", &long)).contains("customData: 256"));
    }

    #[test]
    fn digits_after_the_point_are_counted_by_currency() {
        for (amount, currency, is_good) in [
            ("1.00", "USD", true),
            ("1.000", "USD", false),
            ("0.100000340", "TON", true),
            ("0.1000003400", "GRAM", false),
            ("0.00000001", "BTC", true),
            ("0.000000001", "BTC", false),
            ("0.0000001", "USDT", false),
            ("1.0123456789012345678", "XYZ", true),
            ("1e3", "TON", false),
            ("1", "usd", false),
        ] {
            let made = creation(&invoice(amount, currency, USER));
            assert_eq!(made.is_ok(), is_good, "{amount} {currency}");
        }
    }

    #[test]
    fn lengths_and_times_are_held() {
        let mut short = invoice("1", "USD", USER);
        short.wish.description = Some("four".into());
        assert!(refusal(&short).contains("description: 4"));
        short.wish.description = None;
        assert!(refusal(&short).contains("description: missing"));
        for timeout_s in [29, 864_001, -1] {
            let mut invoice = invoice("1", "USD", USER);
            invoice.wish.timeout_s = timeout_s;
            assert!(refusal(&invoice).contains("timeout_seconds"));
        }
        let mut without = invoice("1", "USD", USER);
        without.facts.amount = None;
        assert!(refusal(&without).contains("amount"));
    }
}
