//! One order: its parameters and its states.
//!
//! An order expires by itself when the provider's sweep runs, a little after `expirationDateTime`.
//! The sweep is not a task: the status is computed from the current time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::money::{PaymentOption, WalletPayCurrency, WalletPayMoney};
use crate::sandbox::moment::Moment;
use crate::sandbox::new_order::NewOrder;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::simulator::{OrderTruth, OrderView, ViewedAmount};

/// The provider's four states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum WalletPayStatus {
    Active,
    Paid,
    Expired,
    Cancelled,
}

impl WalletPayStatus {
    pub const ALL: [WalletPayStatus; 4] = [
        WalletPayStatus::Active,
        WalletPayStatus::Paid,
        WalletPayStatus::Expired,
        WalletPayStatus::Cancelled,
    ];

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            WalletPayStatus::Active => "ACTIVE",
            WalletPayStatus::Paid => "PAID",
            WalletPayStatus::Expired => "EXPIRED",
            WalletPayStatus::Cancelled => "CANCELLED",
        }
    }

    const fn truth(self) -> OrderTruth {
        match self {
            WalletPayStatus::Active => OrderTruth::Open,
            WalletPayStatus::Paid => OrderTruth::Paid,
            WalletPayStatus::Expired => OrderTruth::Expired,
            WalletPayStatus::Cancelled => OrderTruth::Cancelled,
        }
    }
}

impl NewOrder {
    /// Checks the parameters against the provider's limits; the error names the field and the rule.
    pub(super) fn check(&self) -> Result<CheckedOrder, String> {
        let length = |field: &str, text: &str, least: usize, most: usize| {
            let count = text.chars().count();
            if (least..=most).contains(&count) {
                return Ok(());
            }
            Err(format!(
                "{field}: {count} characters; expected: {least} to {most}"
            ))
        };
        length("externalId", &self.external_id, 1, 255)?;
        length("description", &self.description, 5, 100)?;
        for (field, text) in [
            ("returnUrl", &self.return_url),
            ("failReturnUrl", &self.fail_return_url),
            ("customData", &self.custom_data),
        ] {
            length(field, text.as_deref().unwrap_or_default(), 0, 255)?;
        }
        if !(30..=864_000).contains(&self.timeout_seconds) {
            return Err(format!(
                "timeoutSeconds: {}; expected: 30 to 864000",
                self.timeout_seconds
            ));
        }
        let currency = WalletPayCurrency::parse(&self.currency)
            .map_err(|error| format!("amount.currencyCode: {error}"))?;
        let amount = WalletPayMoney::parse(&self.amount, currency)
            .map_err(|error| format!("amount.amount: {error}"))?;
        amount
            .check_minimum()
            .map_err(|error| format!("amount.amount: {error}"))?;
        let auto_conversion = self.auto_conversion_currency.as_deref();
        let auto_conversion = auto_conversion
            .map(|code| conversion(currency, code))
            .transpose()?;
        Ok(CheckedOrder {
            amount,
            auto_conversion,
        })
    }

    /// One number for all parameters.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

fn conversion(order: WalletPayCurrency, code: &str) -> Result<WalletPayCurrency, String> {
    let field = "autoConversionCurrency";
    let target = WalletPayCurrency::parse(code).map_err(|error| format!("{field}: {error}"))?;
    if !target.is_crypto() {
        return Err(format!("{field}: {code} is not a crypto currency"));
    }
    if order.is_crypto() && order != target {
        return Err(format!(
            "{field}: an order in {} can only be converted to the same",
            order.code()
        ));
    }
    Ok(target)
}

/// The values parsed by [`NewOrder::check`].
pub(super) struct CheckedOrder {
    pub amount: WalletPayMoney,
    pub auto_conversion: Option<WalletPayCurrency>,
}

/// The stored order. Kept small, since a million of them must fit in memory.
#[derive(Debug, Clone)]
pub(super) struct WalletPayOrder {
    pub id: u64,
    pub external_id: Arc<str>,
    /// Fingerprint of the creation's parameters, to distinguish ALREADY from CONFLICT.
    pub fingerprint: u64,
    pub amount: WalletPayMoney,
    pub auto_conversion: Option<WalletPayCurrency>,
    pub customer_telegram_user_id: i64,
    pub created: Moment,
    pub expires: Moment,
    /// How long after `expires` the sweep runs, in milliseconds.
    pub sweep_delay_ms: u16,
    /// How it ended other than by the sweep, and when.
    pub ended: Option<(OrderEnd, Moment)>,
}

/// How an order was ended by an action.
#[derive(Debug, Clone)]
pub(super) enum OrderEnd {
    Paid(Box<PaymentOption>),
    Expired,
    Cancelled,
}

impl WalletPayOrder {
    /// The status at `now`, and when the order reached it (`None` while it is active).
    pub fn status(&self, now: Moment) -> (WalletPayStatus, Option<Moment>) {
        match &self.ended {
            Some((OrderEnd::Paid(_), at)) => (WalletPayStatus::Paid, Some(*at)),
            Some((OrderEnd::Expired, at)) => (WalletPayStatus::Expired, Some(*at)),
            Some((OrderEnd::Cancelled, at)) => (WalletPayStatus::Cancelled, Some(*at)),
            None => {
                let swept = self
                    .expires
                    .plus(Duration::from_millis(u64::from(self.sweep_delay_ms)));
                if now >= swept {
                    (WalletPayStatus::Expired, Some(swept))
                } else {
                    (WalletPayStatus::Active, None)
                }
            }
        }
    }

    pub fn payment(&self) -> Option<&PaymentOption> {
        match &self.ended {
            Some((OrderEnd::Paid(option), _)) => Some(option),
            Some((OrderEnd::Expired | OrderEnd::Cancelled, _)) | None => None,
        }
    }

    pub fn number(&self) -> String {
        number_of(self.id)
    }

    pub fn view(&self, now: Moment) -> OrderView {
        let (status, completed) = self.status(now);
        let details = json!({
            "number": self.number(),
            "autoConversionCurrency": self.auto_conversion,
            "customerTelegramUserId": self.customer_telegram_user_id,
            "selectedPaymentOption": self.payment(),
        });
        OrderView {
            provider: SimulatedProvider::WalletPay,
            id: self.id.to_string(),
            external_id: Arc::clone(&self.external_id),
            status: status.word(),
            state: status.truth(),
            amount: ViewedAmount {
                currency_code: self.amount.currency.code().into(),
                amount: self.amount.to_string(),
            },
            created_date_time: self.created,
            expiration_date_time: Some(self.expires),
            completed_date_time: completed,
            details: given(details),
        }
    }
}

/// The fields that have a value.
fn given(details: Value) -> Map<String, Value> {
    let fields = match details {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// The short id for people: eight letters and digits derived from the id, so it need not be stored.
fn number_of(id: u64) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ0123456789";
    let mut rng = fastrand::Rng::with_seed(id);
    (0..8)
        .map(|_| char::from(SIGNS[rng.usize(..SIGNS.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut NewOrder)) -> String {
        let mut order = NewOrder::simple("ORD-1", "1.00", "USD");
        change(&mut order);
        order.check().err().unwrap_or_default()
    }

    #[test]
    fn limits_hold_at_their_edges() {
        assert_eq!(refusal(|_| ()), "");
        assert_eq!(refusal(|o| o.external_id = "x".repeat(255)), "");
        assert!(refusal(|o| o.external_id = "x".repeat(256)).starts_with("externalId"));
        assert!(refusal(|o| o.external_id = String::new()).starts_with("externalId"));
        assert_eq!(refusal(|o| o.description = "ж".repeat(100)), "");
        assert!(refusal(|o| o.description = "ж".repeat(101)).starts_with("description"));
        assert!(refusal(|o| o.description = "1234".into()).starts_with("description"));
        assert_eq!(refusal(|o| o.timeout_seconds = 30), "");
        assert_eq!(refusal(|o| o.timeout_seconds = 864_000), "");
        assert!(refusal(|o| o.timeout_seconds = 29).starts_with("timeoutSeconds"));
        assert!(refusal(|o| o.timeout_seconds = 864_001).starts_with("timeoutSeconds"));
        assert!(refusal(|o| o.custom_data = Some("x".repeat(256))).starts_with("customData"));
        assert!(refusal(|o| o.currency = "ZZZ".into()).starts_with("amount.currencyCode"));
        assert!(refusal(|o| o.amount = "1.001".into()).starts_with("amount.amount"));
        assert!(refusal(|o| o.amount = "0.001".into()).starts_with("amount.amount"));
    }

    #[test]
    fn crypto_converts_to_itself_only() {
        assert_eq!(
            refusal(|o| o.auto_conversion_currency = Some("USDT".into())),
            ""
        );
        assert!(
            refusal(|o| o.auto_conversion_currency = Some("EUR".into())).contains("not a crypto")
        );
        let crossed = |o: &mut NewOrder| {
            o.currency = "TON".into();
            o.auto_conversion_currency = Some("USDT".into());
        };
        assert!(refusal(crossed).contains("the same"));
    }

    #[test]
    fn any_changed_parameter_changes_the_fingerprint() {
        let order = NewOrder::simple("ORD-1", "1.00", "USD");
        let mut other = order.clone();
        assert_eq!(order.fingerprint(), other.fingerprint());
        other.amount = "1.0".into();
        assert_ne!(order.fingerprint(), other.fingerprint());
    }
}
