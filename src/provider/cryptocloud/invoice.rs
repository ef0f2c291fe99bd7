//! Parses one CryptoCloud invoice: after its creation, in a batch, or as an item of the list.
//!
//! - Only `status` decides whether it is paid. `received` is the credit after both fees, so it is
//!   usually below `amount` for a fully paid invoice, and `paid` may come with less than the
//!   requested amount if the merchant accepted it.
//! - `canceled` means expiry or a cancellation by the merchant: only the provider's clock compared
//!   with `expiry_date` distinguishes them. After that time both look the same.
//! - `amount` is in the coin once the payer has chosen one. The requested amount is
//!   `amount_in_fiat` in `fiat_currency`; if the currency is absent, it is the dollar if the sum in
//!   dollars is the same, otherwise only the value can be compared.
//! - All amounts are JSON numbers, some with exponents: parsed digit by digit, never through a
//!   float.

use serde::Deserialize;

use crate::domain::invoice::OrderId;
use crate::domain::money::{self, Money};
use crate::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment, Sums};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::wire::{self, Raw, object, text};

/// Optional prefix of an id.
const PREFIX: &str = "INV-";
/// The currency of `received_usd` and `amount_usd`.
const DOLLAR: &str = "USD";

#[derive(Deserialize)]
struct CloudInvoiceWire<'a> {
    #[serde(borrow)]
    uuid: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    order_id: Raw<'a>,
    #[serde(borrow)]
    created: Raw<'a>,
    #[serde(borrow)]
    expiry_date: Raw<'a>,
    /// Only in the list.
    #[serde(borrow)]
    date_finished: Raw<'a>,
    #[serde(borrow)]
    fiat_currency: Raw<'a>,
    #[serde(borrow)]
    amount_in_fiat: Raw<'a>,
    #[serde(borrow)]
    amount_usd: Raw<'a>,
    /// Only in the list.
    #[serde(borrow)]
    amount_paid: Raw<'a>,
    #[serde(borrow)]
    received: Raw<'a>,
    #[serde(borrow)]
    received_usd: Raw<'a>,
    #[serde(borrow)]
    fee: Raw<'a>,
    #[serde(borrow)]
    service_fee: Raw<'a>,
    #[serde(borrow)]
    currency: Raw<'a>,
    /// After creation.
    #[serde(borrow)]
    link: Raw<'a>,
    /// In the list.
    #[serde(borrow)]
    pay_url: Raw<'a>,
    #[serde(borrow)]
    test_mode: Raw<'a>,
}

#[derive(Deserialize)]
struct CoinWire<'a> {
    #[serde(borrow)]
    code: Raw<'a>,
}

/// The time of an answer.
#[derive(Clone, Copy)]
pub(super) struct AnsweredAt {
    /// By our clock.
    pub(super) ours: UnixMillis,
    /// By the provider's clock, if it is known.
    pub(super) theirs: Option<UnixMillis>,
}

/// The id without its prefix, in upper case: the same for every spelling of an id.
pub(super) fn bare_id(id: &str) -> String {
    let capitals = id.to_ascii_uppercase();
    match capitals.strip_prefix(PREFIX) {
        Some(bare) => bare.to_owned(),
        None => capitals,
    }
}

/// The provider's usual spelling.
pub(super) fn usual_id(id: &str) -> OrderId {
    OrderId(format!("{PREFIX}{}", bare_id(id)))
}

/// Parses an invoice; its id has the prefix.
pub(super) fn observed(json: &str, at: AnsweredAt) -> Result<ObservedOrder, String> {
    let fields: CloudInvoiceWire<'_> = object(json).map_err(|error| error.to_string())?;
    let order_id = usual_id(&wire::order_id(fields.uuid)?);
    let word = wire::word(fields.status).ok_or("invoice without a status")?;
    let expires_at = time(fields.expiry_date);
    let finished_at = time(fields.date_finished);
    let moment = finished_at.or(at.theirs).unwrap_or(at.ours);
    let state = state_of(&word, moment, expires_at);
    let (amount, bare_amount) = requested_amount(&fields)?;
    let is_paid = state == OrderState::Paid;
    Ok(ObservedOrder {
        order_id,
        state,
        provider_status: one_line(&word),
        observed_at: at.ours,
        told_at: at.theirs,
        external_id: text(fields.order_id).map(|id| wire::external_id(&id)),
        number: None,
        created_at: time(fields.created),
        expires_at,
        paid_at: finished_at.filter(|_| is_paid),
        pay_link: link(fields.link).or_else(|| link(fields.pay_url)),
        direct_pay_link: None,
        payment: payment(&fields).filter(|_| state != OrderState::Open),
        money: ObservedMoney {
            sums: Sums {
                received: received(&fields, amount.as_ref(), is_paid),
                refunded: None,
                refunded_at: None,
            },
            is_test: wire::boolean(fields.test_mode) == Some(true),
            transactions: Vec::new(),
        },
        amount,
        bare_amount,
    })
}

/// The state at `moment`, by the provider's clock.
fn state_of(word: &str, moment: UnixMillis, expires_at: Option<UnixMillis>) -> OrderState {
    match word {
        "created" => OrderState::Open,
        "partial" => OrderState::Partial,
        "paid" | "overpaid" => OrderState::Paid,
        "canceled" if expires_at.is_some_and(|end| moment < end) => OrderState::Cancelled,
        "canceled" => OrderState::Expired,
        _ => OrderState::Unknown,
    }
}

/// The requested amount, or its value if its currency is absent. A sum that cannot be parsed is an
/// error: taken as absent, it would agree with any expected one.
fn requested_amount(
    fields: &CloudInvoiceWire<'_>,
) -> Result<(Option<Money>, Option<String>), String> {
    let in_fiat = sum(fields.amount_in_fiat, "amount_in_fiat")?;
    let in_dollars = sum(fields.amount_usd, "amount_usd")?;
    let money = |value: String, currency: String| (Some(Money { value, currency }), None);
    let is_in_dollars = |value: &str| {
        let dollars = in_dollars.as_deref();
        dollars.is_some_and(|dollars| money::same_value(dollars, value))
    };
    Ok(match (wire::currency(fields.fiat_currency), in_fiat) {
        (Some(currency), Some(value)) => money(value, currency),
        (Some(currency), None) if currency == DOLLAR => match in_dollars {
            Some(value) => money(value, currency),
            None => (None, None),
        },
        (None, Some(value)) if is_in_dollars(&value) => money(value, DOLLAR.to_owned()),
        (None, Some(value)) => (None, Some(value)),
        (Some(_) | None, None) => (None, None),
    })
}

/// A sum above zero; the provider writes zero for an unknown sum.
fn sum(token: Raw<'_>, field: &str) -> Result<Option<String>, String> {
    let Some(piece) = token else { return Ok(None) };
    match wire::decimal(token) {
        Some(value) => Ok(Some(value).filter(|value| is_positive(value))),
        None => Err(format!(
            "the invoice's {field}: expected a decimal, got {}",
            one_line(piece.get())
        )),
    }
}

fn is_positive(value: &str) -> bool {
    !money::same_value(value, "0")
}

/// The credited sum in the invoice's currency; reported only for dollars.
fn received(fields: &CloudInvoiceWire<'_>, amount: Option<&Money>, is_paid: bool) -> Option<Money> {
    let currency = amount.map(|amount| amount.currency.clone())?;
    let value = wire::decimal(fields.received_usd).filter(|_| currency == DOLLAR)?;
    (is_paid || is_positive(&value)).then_some(Money { value, currency })
}

/// The amount sent by the payer, in the coin: as reported, else the credited sum plus both fees.
/// None before anything was credited.
fn payment(fields: &CloudInvoiceWire<'_>) -> Option<Payment> {
    let net = wire::decimal(fields.received).filter(|net| is_positive(net))?;
    let fees = [fields.fee, fields.service_fee].map(wire::decimal);
    let fee = money::sum(fees.iter().flatten().map(String::as_str));
    let gross = || {
        let parts = [&net].into_iter().chain(fees.iter().flatten());
        money::sum(parts.map(String::as_str)).filter(|_| fees.iter().all(Option::is_some))
    };
    let paid = wire::decimal(fields.amount_paid).filter(|paid| is_positive(paid));
    Some(Payment {
        value: paid.or_else(gross),
        currency: coin(fields.currency),
        fee,
        net: Some(net),
        exchange_rate: None,
    })
}

/// The coin's code without its network.
fn coin(token: Raw<'_>) -> Option<String> {
    let fields: CoinWire<'_> = object(token?.get()).ok()?;
    wire::currency(fields.code)
}

/// The payment page. Some answers leave out the scheme.
fn link(token: Raw<'_>) -> Option<String> {
    let address = text(token)?;
    if address.contains("://") {
        return wire::link(token);
    }
    let quoted = serde_json::to_string(&format!("https://{address}")).ok()?;
    wire::link(serde_json::from_str(&quoted).ok())
}

/// `2026-01-01 12:00:00.000000`, with or without the fraction: UTC, although unmarked.
fn time(token: Raw<'_>) -> Option<UnixMillis> {
    UnixMillis::parse_without_zone(&text(token)?)
}
