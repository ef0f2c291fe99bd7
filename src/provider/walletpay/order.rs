//! Parses one Wallet Pay order: in a preview, after a creation, or as an item of the list.
//!
//! Rules for unusable values:
//!
//! - in id or status: the answer is unusable;
//! - in the order's amount: the answer is unusable too. Taken as absent, it would agree with any
//!   expected amount, and a payment would be credited unchecked. (Absent, null, `{}` and empty
//!   texts count as absent.)
//! - in any other field (payment details, times, links, number): the field is left out.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::invoice::OrderId;
use crate::domain::money::Money;
use crate::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::wire::{
    Raw, currency, decimal, external_id, link, object, order_id, text, time, word,
};

/// An order as the preview and the creation (`OrderPreview`) or the list write it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderWire<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    number: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
    /// Only in the list.
    #[serde(borrow)]
    external_id: Raw<'a>,
    #[serde(borrow)]
    created_date_time: Raw<'a>,
    #[serde(borrow)]
    expiration_date_time: Raw<'a>,
    /// In the preview; set at expiry too.
    #[serde(borrow)]
    completed_date_time: Raw<'a>,
    /// In the list.
    #[serde(borrow)]
    payment_date_time: Raw<'a>,
    #[serde(borrow)]
    pay_link: Raw<'a>,
    #[serde(borrow)]
    direct_pay_link: Raw<'a>,
    /// Only in the list.
    #[serde(borrow)]
    selected_payment_option: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MoneyWire<'a> {
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    currency_code: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentWire<'a> {
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    amount_fee: Raw<'a>,
    #[serde(borrow)]
    amount_net: Raw<'a>,
    #[serde(borrow)]
    exchange_rate: Raw<'a>,
}

/// Parses an order.
pub(super) fn observed(json: &str, observed_at: UnixMillis) -> Result<ObservedOrder, String> {
    let wire: OrderWire<'_> = object(json).map_err(|error| error.to_string())?;
    let order_id = OrderId(order_id(wire.id)?.into_owned());
    let word = order_status(wire.status)?;
    let state = order_state(&word);
    // The documentation's own examples have both fields in unpaid orders as well.
    let is_paid = state == OrderState::Paid;
    let paid_at = time(wire.payment_date_time).or_else(|| time(wire.completed_date_time));
    let payment = payment(wire.selected_payment_option);
    let amount = order_amount(wire.amount)?;
    Ok(ObservedOrder {
        order_id,
        state,
        provider_status: one_line(&word),
        observed_at,
        told_at: None,
        bare_amount: None,
        external_id: text(wire.external_id).map(|id| external_id(&id)),
        number: text(wire.number).map(|number| one_line(&number)),
        created_at: time(wire.created_date_time),
        expires_at: time(wire.expiration_date_time),
        paid_at: paid_at.filter(|_| is_paid),
        pay_link: link(wire.pay_link),
        direct_pay_link: link(wire.direct_pay_link),
        payment: payment.filter(|payment| is_paid && !payment.is_empty()),
        money: ObservedMoney::exact(amount.clone().filter(|_| is_paid)),
        amount,
    })
}

/// The status text of an order.
pub(super) fn order_status(token: Raw<'_>) -> Result<Cow<'_, str>, String> {
    word(token).ok_or_else(|| "order without a status".to_owned())
}

/// The state of a status text. There is no refunded and no partly paid state.
pub(super) fn order_state(word: &str) -> OrderState {
    match word {
        "ACTIVE" => OrderState::Open,
        "PAID" => OrderState::Paid,
        "EXPIRED" => OrderState::Expired,
        "CANCELLED" => OrderState::Cancelled,
        _ => OrderState::Unknown,
    }
}

/// The amount of the order; None if it is absent, an error if it is not a sum of money.
fn order_amount(token: Raw<'_>) -> Result<Option<Money>, String> {
    let Some(token) = token else { return Ok(None) };
    let unusable = || {
        let told = one_line(token.get());
        format!("the order's amount: expected a decimal and a currency, got {told}")
    };
    let wire: MoneyWire<'_> = object(token.get()).map_err(|_| unusable())?;
    let is_absent = |part: Raw<'_>| part.is_none_or(|part| part.get() == "\"\"");
    if is_absent(wire.amount) || is_absent(wire.currency_code) {
        return Ok(None);
    }
    match (decimal(wire.amount), currency(wire.currency_code)) {
        (Some(value), Some(currency)) => Ok(Some(Money { value, currency })),
        _ => Err(unusable()),
    }
}

/// The amount of the order, unchecked: used only to compare it with the known one.
pub(super) fn unchecked_amount(token: Raw<'_>) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let wire: MoneyWire<'_> = object(token?.get()).ok()?;
    text(wire.amount).zip(text(wire.currency_code))
}

/// The amount paid. Fee and net are expected in the paid currency; in another one they are left
/// out.
fn payment(token: Raw<'_>) -> Option<Payment> {
    let wire: PaymentWire<'_> = object(token?.get()).ok()?;
    let (value, paid_currency) = value_and_currency(wire.amount);
    let in_paid_currency = |token| {
        let (value, currency) = value_and_currency(token);
        value.filter(|_| currency == paid_currency)
    };
    Some(Payment {
        fee: in_paid_currency(wire.amount_fee),
        net: in_paid_currency(wire.amount_net),
        exchange_rate: decimal(wire.exchange_rate),
        value,
        currency: paid_currency,
    })
}

fn value_and_currency(token: Raw<'_>) -> (Option<String>, Option<String>) {
    match token.map(|token| object::<MoneyWire<'_>>(token.get())) {
        Some(Ok(wire)) => (decimal(wire.amount), currency(wire.currency_code)),
        Some(Err(_)) | None => (None, None),
    }
}

/// The paid amount of a paid order, on one line, if it is not a decimal.
pub(super) fn unreadable_paid_amount(json: &str) -> Option<String> {
    let order: OrderWire<'_> = object(json).ok()?;
    let payment: PaymentWire<'_> = object(order.selected_payment_option?.get()).ok()?;
    let told = payment.amount?.get();
    let value = object::<MoneyWire<'_>>(told)
        .ok()
        .and_then(|money| money.amount);
    let is_read = value.is_some() && decimal(value).is_some();
    (!is_read).then(|| one_line(value.map_or(told, RawValue::get)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::envelope;
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn read(json: &str) -> Result<ObservedOrder, String> {
        observed(json, NOW)
    }

    fn with(fields: &str) -> ObservedOrder {
        read(&format!(r#"{{"id":"1","status":"PAID",{fields}}}"#)).unwrap()
    }

    #[test]
    fn what_was_received_is_the_amount_of_a_paid_order() {
        let received = |status: &str| {
            let json = format!(
                r#"{{"id":"1","status":"{status}","amount":{{"amount":"1.00","currencyCode":"USD"}}}}"#
            );
            read(&json).unwrap().money.sums.received
        };
        assert_eq!(received("ACTIVE"), None);
        let sum = received("PAID").unwrap();
        assert_eq!((sum.value.as_str(), sum.currency.as_str()), ("1.00", "USD"));
    }

    #[test]
    fn an_id_keeps_every_digit() {
        for (token, id) in [
            ("10030467668508673", "10030467668508673"),
            ("99999999999999999999999999", "99999999999999999999999999"),
            ("\"10030467668508673\"", "10030467668508673"),
            ("\"a-B_9\"", "a-B_9"),
            ("\"\\u0031\"", "1"),
        ] {
            let json = format!(r#"{{"status":"ACTIVE","id":{token}}}"#);
            assert_eq!(read(&json).unwrap().order_id.0, id);
        }
    }

    #[test]
    fn an_invalid_id_makes_the_order_unusable() {
        for token in [
            "2.7e+15",
            "1E5",
            "1.0",
            "-5",
            "true",
            "[1]",
            "{}",
            "null",
            "\"\"",
            "\" 1\"",
            "\"1.5\"",
            "\"\\u0000\"",
        ] {
            let json = format!(r#"{{"status":"ACTIVE","id":{token}}}"#);
            assert!(read(&json).is_err(), "{token}");
        }
        for json in [
            r#"{"status":"ACTIVE"}"#,
            r#"{"id":1}"#,
            r#"{"id":1,"status":7}"#,
            r#"{"id":1,"status":""}"#,
            r#"[1,"ACTIVE"]"#,
            r#"{"id":1,"id":2,"status":"ACTIVE"}"#,
            r#"{"id":1,"status":"ACTIVE","status":"PAID"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_unknown_status_is_reported_on_one_line() {
        let seen = read("{\"id\":1,\"status\":\"RE\\u001b[2J\\nFUNDED\"}").unwrap();
        assert_eq!(seen.state, OrderState::Unknown);
        assert_eq!(seen.provider_status, "RE [2J FUNDED");
        assert_eq!(
            read(r#"{"id":1,"status":"paid"}"#).unwrap().state,
            OrderState::Unknown
        );
    }

    #[test]
    fn an_amount_is_valid_absent_or_an_error() {
        for absent in [
            r"{}",
            "null",
            r#"{"amount":"","currencyCode":"USD"}"#,
            r#"{"amount":"1.00"}"#,
            r#"{"amount":"1.00","currencyCode":null}"#,
        ] {
            assert_eq!(with(&format!(r#""amount":{absent}"#)).amount, None);
        }
        for (told, value) in [
            (
                r#"{"amount":"0.100000340","currencyCode":"TON"}"#,
                "0.100000340",
            ),
            (r#"{"amount":1e1,"currencyCode":"USD"}"#, "1e1"),
            (r#"{"amount":"1.7E-7","currencyCode":"BTC"}"#, "1.7E-7"),
            (r#"{"currencyCode":"TON","amount":30.450}"#, "30.450"),
        ] {
            let amount = with(&format!(r#""amount":{told}"#)).amount.unwrap();
            assert_eq!(amount.value, value);
        }
        for unusable in [
            r#"{"amount":"1,00","currencyCode":"USD"}"#,
            r#"{"amount":1e3000,"currencyCode":"USD"}"#,
            r#"{"amount":-1,"currencyCode":"USD"}"#,
            r#"{"amount":["1"],"currencyCode":"USD"}"#,
            r#"{"amount":"1.00","currencyCode":"U D"}"#,
            r#"{"amount":"1","amount":"2","currencyCode":"USD"}"#,
            "12.5",
            r#"["1.00","USD"]"#,
        ] {
            let json = format!(r#"{{"id":1,"status":"PAID","amount":{unusable}}}"#);
            assert!(read(&json).is_err(), "{unusable}");
        }
    }

    #[test]
    fn only_paid_orders_have_a_payment_and_its_time() {
        let told = r#""paymentDateTime":"2024-04-21T15:04:24.092Z","selectedPaymentOption":
            {"amount":{"amount":"0.5","currencyCode":"TON"},"amountFee":{"amount":"0.1",
            "currencyCode":"USDT"},"amountNet":{"amount":0.4,"currencyCode":"TON"},
            "exchangeRate":"0.0017462023476135017"}"#;
        let paid = with(told);
        assert_eq!(paid.paid_at, Some(UnixMillis(1_713_711_864_092)));
        let payment = paid.payment.unwrap();
        assert_eq!(payment.value.as_deref(), Some("0.5"));
        assert_eq!(payment.net.as_deref(), Some("0.4"));
        assert_eq!(payment.fee, None, "a fee in another currency is left out");
        let rate = payment.exchange_rate.unwrap();
        assert_eq!(rate, "0.0017462023476135017");
        let open = read(&format!(r#"{{"id":1,"status":"ACTIVE",{told}}}"#)).unwrap();
        assert_eq!((open.paid_at, open.payment), (None, None));
    }

    #[test]
    fn only_http_links_are_kept() {
        let kept = "https://t.me/wallet/start?startapp=wpay_order-orderId__1&startApp=x";
        assert_eq!(
            with(&format!(r#""payLink":"{kept}""#)).pay_link.unwrap(),
            kept
        );
        let long = format!("https://t.me/{}", "x".repeat(2048));
        for bad in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://t.me/\\u001b[2J",
            "https://t.me/ x",
            "https://t.me/\\u202e",
            "t.me/x",
            "",
            &long,
        ] {
            assert_eq!(with(&format!(r#""payLink":"{bad}""#)).pay_link, None);
        }
    }

    #[test]
    fn a_foreign_external_id_never_becomes_ours() {
        let id = |json: &str| with(&format!(r#""externalId":{json}"#)).external_id;
        assert_eq!(id("\"ORD-1\""), Some("ORD-1".into()));
        assert_eq!(id("123"), Some("123".into()));
        assert_eq!(id("\"\""), None);
        assert_eq!(id("\"ORD-1\\n\""), Some("ORD-1\u{fffd}".into()));
        let long = id(&format!("\"{}\"", "я".repeat(300))).unwrap();
        assert_eq!(long.0.chars().count(), 255);
        assert!(long.0.ends_with('\u{fffd}'));
    }

    #[test]
    fn fields_of_a_wrong_type_do_not_affect_others() {
        let seen = with(
            r#""number":{},"externalId":[1],"createdDateTime":5,"expirationDateTime":"soon",
            "completedDateTime":true,"payLink":1,"selectedPaymentOption":"none","new":{"id":2}"#,
        );
        assert_eq!(seen.state, OrderState::Paid);
        assert_eq!((seen.number, seen.external_id), (None, None));
        assert_eq!((seen.expires_at, seen.payment), (None, None));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let _ = read(&text);
            let _ = envelope(&bytes);
            let quoted = serde_json::to_string(&text).unwrap();
            let _ = read(&format!(r#"{{"id":1,"status":{quoted},"payLink":{quoted},"number":{quoted},
                "externalId":{quoted},"createdDateTime":{quoted}}}"#));
        }
    }
}
