//! One invoice of Crypto Pay.
//!
//! Fields that do not apply are absent, not null. An invoice has no expiry unless one was
//! requested. Price and payment can be in different currencies: a fiat price is always paid in a
//! coin. TON and GRAM are two currencies here. Unusable values:
//!
//! - in id, status or price: the invoice cannot be parsed;
//! - in any other field (payment, times, links): the field is left out.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::invoice::OrderId;
use crate::domain::money::{Money, difference};
use crate::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::wire::{
    Raw, array, currency, decimal, external_id, link, object, order_id, text, time, word,
};

#[derive(Deserialize)]
struct InvoiceWire<'a> {
    #[serde(borrow)]
    invoice_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    currency_type: Raw<'a>,
    #[serde(borrow)]
    asset: Raw<'a>,
    #[serde(borrow)]
    fiat: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    paid_asset: Raw<'a>,
    #[serde(borrow)]
    paid_amount: Raw<'a>,
    #[serde(borrow)]
    paid_fiat_rate: Raw<'a>,
    #[serde(borrow)]
    fee_asset: Raw<'a>,
    #[serde(borrow)]
    fee_amount: Raw<'a>,
    #[serde(borrow)]
    bot_invoice_url: Raw<'a>,
    #[serde(borrow)]
    mini_app_invoice_url: Raw<'a>,
    #[serde(borrow)]
    payload: Raw<'a>,
    #[serde(borrow)]
    created_at: Raw<'a>,
    #[serde(borrow)]
    expiration_date: Raw<'a>,
    #[serde(borrow)]
    paid_at: Raw<'a>,
}

#[derive(Deserialize)]
struct ItemsWire<'a> {
    #[serde(borrow)]
    items: Raw<'a>,
}

/// The invoices in a result: under `items`, or sometimes as a bare array.
pub(super) fn list(
    result: &RawValue,
    observed_at: UnixMillis,
    is_test: bool,
) -> Result<Vec<ObservedOrder>, String> {
    let items = array(Some(result)).or_else(|| {
        let wire: ItemsWire<'_> = object(result.get()).ok()?;
        array(wire.items)
    });
    let items = items.ok_or("no items in the result")?;
    let each = items.into_iter().enumerate().map(|(index, item)| {
        observed(item.get(), observed_at, is_test).map_err(|what| format!("item {index}: {what}"))
    });
    each.collect()
}

/// Parses an invoice; `is_test`: on the test network.
pub(super) fn observed(
    json: &str,
    observed_at: UnixMillis,
    is_test: bool,
) -> Result<ObservedOrder, String> {
    let wire: InvoiceWire<'_> = object(json).map_err(|error| error.to_string())?;
    let order_id = OrderId(order_id(wire.invoice_id)?.into_owned());
    let status = word(wire.status).ok_or("invoice without a status")?;
    let state = state(&status);
    let price = price(&wire)?;
    let is_paid = state == OrderState::Paid;
    Ok(ObservedOrder {
        order_id,
        state,
        provider_status: one_line(&status),
        observed_at,
        told_at: None,
        bare_amount: None,
        external_id: text(wire.payload).map(|id| external_id(&id)),
        number: None,
        created_at: time(wire.created_at),
        expires_at: time(wire.expiration_date),
        paid_at: time(wire.paid_at).filter(|_| is_paid),
        pay_link: link(wire.mini_app_invoice_url),
        direct_pay_link: link(wire.bot_invoice_url),
        payment: is_paid.then(|| payment(&wire, price.as_ref())),
        money: ObservedMoney {
            is_test: is_test && is_paid,
            ..ObservedMoney::exact(price.clone().filter(|_| is_paid))
        },
        amount: price,
    })
}

fn state(word: &str) -> OrderState {
    match word {
        "active" => OrderState::Open,
        "paid" => OrderState::Paid,
        "expired" => OrderState::Expired,
        _ => OrderState::Unknown,
    }
}

/// The amount of the invoice; None if it is absent. A price that cannot be parsed is an error:
/// taken as absent, it would agree with any expected amount.
fn price(wire: &InvoiceWire<'_>) -> Result<Option<Money>, String> {
    let code = match word(wire.currency_type).as_deref() {
        Some("fiat") => wire.fiat,
        Some(_) => wire.asset,
        None => wire.asset.or(wire.fiat),
    };
    let (Some(amount), Some(code)) = (wire.amount, code) else {
        return Ok(None);
    };
    let told = decimal(wire.amount).zip(currency(Some(code)));
    let price = told.map(|(value, currency)| Money { value, currency });
    price.map(Some).ok_or_else(|| {
        let told = one_line(&format!("{amount} {code}"));
        format!("amount: expected a decimal and a currency, got {told}")
    })
}

/// The amount paid, and the provider's fee, which the shop bears. A fee in another currency than
/// the payment's is left out. If the payment is not reported, it was the price: only exact sums are
/// accepted.
fn payment(wire: &InvoiceWire<'_>, price: Option<&Money>) -> Payment {
    let is_crypto = word(wire.currency_type).as_deref() != Some("fiat");
    let price = price.filter(|_| is_crypto && wire.paid_amount.is_none());
    let value = decimal(wire.paid_amount).or_else(|| price.map(|price| price.value.clone()));
    let paid_in = currency(wire.paid_asset).or_else(|| price.map(|price| price.currency.clone()));
    let fee_in = currency(wire.fee_asset);
    let fee = decimal(wire.fee_amount).filter(|_| fee_in.is_none() || fee_in == paid_in);
    let net = value.as_deref().zip(fee.as_deref());
    Payment {
        net: net.and_then(|(value, fee)| difference(value, fee)),
        value,
        currency: paid_in,
        fee,
        exchange_rate: decimal(wire.paid_fiat_rate),
    }
}
