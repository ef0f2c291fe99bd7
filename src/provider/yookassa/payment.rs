//! Parses one YooKassa payment: alone, after its creation, or as an item of a list.
//!
//! Id, status and amount must be usable, else the whole payment is unusable. Any other field with
//! an unusable value is left out, and unknown fields are ignored, as the documentation requires.
//! The API does not report how long a payment can be paid. YooKassa cancels a payment that was not
//! confirmed, usually after an hour, so `expires_at` is an estimate.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::invoice::{ExternalId, OrderId};
use crate::domain::money::{self, Money};
use crate::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment, Sums};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::wire::{self, Raw, object, text};

/// Usual time to pay by card, wallet and SberPay. Other methods have longer terms.
const OPEN_FOR: Duration = Duration::from_hours(1);
/// The key in `metadata` that holds our external id.
pub(super) const EXTERNAL_ID_KEY: &str = "external_id";
/// Reasons of `canceled` that mean expiry, not a refusal.
const EXPIRED: [&str; 3] = [
    "expired_on_confirmation",
    "expired_on_capture",
    "invoice_expired",
];

#[derive(Deserialize)]
struct PaymentObjectWire<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    income_amount: Raw<'a>,
    #[serde(borrow)]
    refunded_amount: Raw<'a>,
    #[serde(borrow)]
    metadata: Raw<'a>,
    #[serde(borrow)]
    created_at: Raw<'a>,
    #[serde(borrow)]
    captured_at: Raw<'a>,
    /// The end of a hold, present only in `waiting_for_capture`: not the end of `pending`.
    #[serde(borrow)]
    expires_at: Raw<'a>,
    #[serde(borrow)]
    confirmation: Raw<'a>,
    #[serde(borrow)]
    cancellation_details: Raw<'a>,
    #[serde(borrow)]
    test: Raw<'a>,
}

#[derive(Deserialize)]
struct PriceWire<'a> {
    #[serde(borrow)]
    value: Raw<'a>,
    #[serde(borrow)]
    currency: Raw<'a>,
}

#[derive(Deserialize)]
struct PaymentMetadataWire<'a> {
    #[serde(borrow)]
    external_id: Raw<'a>,
}

#[derive(Deserialize)]
struct ConfirmationWire<'a> {
    #[serde(borrow)]
    confirmation_url: Raw<'a>,
}

#[derive(Deserialize)]
struct CancellationWire<'a> {
    #[serde(borrow)]
    party: Raw<'a>,
    #[serde(borrow)]
    reason: Raw<'a>,
}

/// Parses a payment. Refunds are included only as a sum.
pub(super) fn observed(json: &str, observed_at: UnixMillis) -> Result<ObservedOrder, String> {
    let told: PaymentObjectWire<'_> = object(json).map_err(|error| error.to_string())?;
    let order_id = OrderId(wire::order_id(told.id)?.into_owned());
    let word = wire::word(told.status).ok_or("a payment without a status")?;
    let reason = CancellationReason::read(told.cancellation_details);
    let state = state_of(&word, reason.as_ref());
    let amount = required_amount(told.amount)?;
    let created_at = wire::time(told.created_at);
    let is_paid = state == OrderState::Paid;
    Ok(ObservedOrder {
        order_id,
        state,
        provider_status: provider_status(&word, reason.as_ref()),
        observed_at,
        told_at: None,
        bare_amount: None,
        external_id: external_id(told.metadata),
        number: None,
        created_at,
        expires_at: expires_at(state, created_at, wire::time(told.expires_at)),
        paid_at: wire::time(told.captured_at).filter(|_| is_paid),
        pay_link: confirmation_url(told.confirmation),
        direct_pay_link: None,
        payment: is_paid.then(|| payment(&amount, told.income_amount)),
        money: ObservedMoney {
            sums: Sums {
                received: is_paid.then(|| amount.clone()),
                refunded: money_of(told.refunded_amount).filter(Money::is_positive),
                refunded_at: None,
            },
            is_test: wire::boolean(told.test).unwrap_or(false),
            transactions: Vec::new(),
        },
        amount: Some(amount),
    })
}

/// The reason and the party of a cancellation.
struct CancellationReason {
    party: String,
    reason: String,
}

impl CancellationReason {
    fn read(token: Raw<'_>) -> Option<Self> {
        let told: CancellationWire<'_> = object(token?.get()).ok()?;
        Some(Self {
            party: text(told.party).map_or_else(String::new, |party| one_line(&party)),
            reason: one_line(&text(told.reason)?),
        })
    }
}

/// `canceled` covers expired and refused payments; only the reason distinguishes them. `paid: true`
/// of a held payment does not mean that the money was captured.
fn state_of(word: &str, reason: Option<&CancellationReason>) -> OrderState {
    match word {
        "pending" => OrderState::Open,
        "waiting_for_capture" => OrderState::Authorized,
        "succeeded" => OrderState::Paid,
        "canceled" if reason.is_some_and(|why| EXPIRED.contains(&why.reason.as_str())) => {
            OrderState::Expired
        }
        "canceled" => OrderState::Cancelled,
        _ => OrderState::Unknown,
    }
}

/// The status as reported, with party and reason of a cancellation:
/// `canceled:yoo_money:general_decline`.
fn provider_status(word: &str, reason: Option<&CancellationReason>) -> String {
    let word = one_line(word);
    match reason {
        Some(CancellationReason { party, reason }) => format!("{word}:{party}:{reason}"),
        None => word,
    }
}

/// Our external id, where the payment has one. A number in `metadata` is returned as a text.
fn external_id(metadata: Raw<'_>) -> Option<ExternalId> {
    let told: PaymentMetadataWire<'_> = object(metadata?.get()).ok()?;
    text(told.external_id).map(|id| wire::external_id(&id))
}

/// When a payment ends: for a held one as reported, for an open one estimated.
fn expires_at(
    state: OrderState,
    created_at: Option<UnixMillis>,
    hold_ends_at: Option<UnixMillis>,
) -> Option<UnixMillis> {
    match state {
        OrderState::Open => created_at.map(|at| at.plus(OPEN_FOR)),
        OrderState::Authorized => hold_ends_at,
        OrderState::Partial
        | OrderState::Paid
        | OrderState::Expired
        | OrderState::Cancelled
        | OrderState::Unknown => None,
    }
}

/// The payer pays exactly the price. The fee is the part that the shop does not receive.
fn payment(amount: &Money, income: Raw<'_>) -> Payment {
    let net = money_of(income).filter(|net| net.currency == amount.currency);
    Payment {
        fee: net
            .as_ref()
            .and_then(|net| money::difference(&amount.value, &net.value)),
        net: net.map(|net| net.value),
        value: Some(amount.value.clone()),
        currency: Some(amount.currency.clone()),
        exchange_rate: None,
    }
}

/// The price. Taken as absent, it would agree with any expected amount.
fn required_amount(token: Raw<'_>) -> Result<Money, String> {
    money_of(token).ok_or_else(|| {
        let told = token.map_or_else(|| "nothing".to_owned(), |token| one_line(token.get()));
        format!("the payment's amount: expected a decimal and a currency, got {told}")
    })
}

/// A value and its currency, if both are usable.
pub(super) fn money_of(token: Raw<'_>) -> Option<Money> {
    let told: PriceWire<'_> = object(token?.get()).ok()?;
    Some(Money {
        value: wire::decimal(told.value)?,
        currency: wire::currency(told.currency)?,
    })
}

fn confirmation_url(token: Raw<'_>) -> Option<String> {
    let told: ConfirmationWire<'_> = object(token?.get()).ok()?;
    wire::link(told.confirmation_url)
}
