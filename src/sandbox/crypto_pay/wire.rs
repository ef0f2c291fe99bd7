//! Bodies in Crypto Pay's format: fields without a value are absent, amounts are text.

use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use serde_json::{Map, Value, json};

use super::invoice::{InvoicePayment, InvoicePrice, StoredInvoice};
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::core::SandboxCore;
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;
use crate::sandbox::variant::Variant;

pub(super) fn success(result: &Value) -> SimulatedAnswer {
    SimulatedAnswer::data(&json!({"ok": true, "result": result}))
}

/// A failure; the HTTP status is its code.
pub(super) fn error(http: StatusCode, name: &str) -> SimulatedAnswer {
    error_with(http, name, Map::new())
}

/// Some failures contain more than a name.
pub(super) fn error_with(
    http: StatusCode,
    name: &str,
    more: Map<String, Value>,
) -> SimulatedAnswer {
    let mut error = Map::new();
    error.insert("code".into(), http.as_u16().into());
    error.insert("name".into(), name.into());
    error.extend(more);
    SimulatedAnswer::failure(http, &json!({"ok": false, "error": error}))
}

/// A failure with HTTP 200, which the real service was never seen to send.
pub(super) fn failing_envelope(name: &str) -> SimulatedAnswer {
    let error = json!({"code": 500, "name": name});
    SimulatedAnswer::failure(StatusCode::OK, &json!({"ok": false, "error": error}))
}

/// The names of bot and pages, which differ between the two networks.
pub(super) struct Network {
    pub bot: &'static str,
    app_host: &'static str,
}

impl Network {
    pub fn of(core: &SandboxCore) -> Network {
        if core.has(Variant::CryptoPayTestnet) {
            Network {
                bot: "CryptoTestnetBot",
                app_host: "testnet-app.send.tg",
            }
        } else {
            Network {
                bot: "CryptoBot",
                app_host: "app.send.tg",
            }
        }
    }
}

/// One invoice in the form of createInvoice and getInvoices.
pub(super) fn invoice(core: &SandboxCore, invoice: &StoredInvoice, now: Moment) -> Value {
    let (terms, hash) = (&invoice.terms, &invoice.hash);
    let Network { bot, app_host } = Network::of(core);
    let mut fields = Fields(Map::new());
    fields.put("invoice_id", invoice.id);
    fields.put("hash", hash.as_str());
    match &terms.price {
        InvoicePrice::Asset(asset) => {
            fields.put("currency_type", "crypto");
            fields.put("asset", asset.as_str());
        }
        InvoicePrice::Fiat { fiat, accepted } => {
            fields.put("currency_type", "fiat");
            fields.put("fiat", fiat.as_str());
            fields.put("accepted_assets", accepted.clone());
        }
    }
    fields.put("amount", decimal::shortest(&terms.amount));
    let link = format!("https://t.me/{bot}?start={hash}");
    fields.put("pay_url", link.clone());
    fields.put("bot_invoice_url", link);
    let mini_app = format!("https://t.me/{bot}/app?startapp=invoice-{hash}&mode=compact");
    fields.put("mini_app_invoice_url", mini_app);
    fields.put(
        "web_app_invoice_url",
        format!("https://{app_host}/invoices/{hash}"),
    );
    fields.text("description", terms.description.as_deref());
    fields.put("status", invoice.status(now).0);
    fields.text("swap_to", terms.swap_to.as_deref());
    fields.put("created_at", invoice.created.to_millis_text());
    fields.put("allow_comments", terms.allow_comments);
    fields.put("allow_anonymous", terms.allow_anonymous);
    let expires = invoice.expires.map(Moment::to_millis_text);
    fields.text("expiration_date", expires.as_deref());
    fields.text("payload", terms.payload.as_deref());
    if let Some((name, url)) = &terms.button {
        fields.put("paid_btn_name", name.as_str());
        fields.put("paid_btn_url", url.as_str());
    }
    if let Some(payment) = &invoice.payment {
        fields.text("hidden_message", terms.hidden_message.as_deref());
        put_payment(&mut fields, payment, core.has(Variant::CryptoPayNumberFees));
    }
    Value::Object(fields.0)
}

fn put_payment(fields: &mut Fields, payment: &InvoicePayment, number_fees: bool) {
    let fee = |value: &BigDecimal| {
        if number_fees {
            decimal::number(value)
        } else {
            decimal::shortest(value).into()
        }
    };
    let fee_in_usd = decimal::rounded(&(&payment.fee * &payment.usd_rate), 8);
    fields.put("paid_asset", payment.asset.as_str());
    fields.put("paid_amount", decimal::shortest(&payment.amount));
    if let Some(rate) = &payment.fiat_rate {
        fields.put("paid_fiat_rate", decimal::shortest(rate));
    }
    fields.put("fee_asset", payment.asset.as_str());
    fields.put("fee_amount", fee(&payment.fee));
    fields.put("fee_in_usd", fee(&fee_in_usd));
    fields.put("paid_usd_rate", decimal::shortest(&payment.usd_rate));
    fields.put("paid_at", payment.at.to_millis_text());
    fields.put("paid_anonymously", payment.anonymously);
    if let Some(swap) = &payment.swap {
        // Text, despite its name.
        fields.put("is_swapped", "true");
        fields.put("swapped_uid", swap.uid.to_string());
        fields.put("swapped_to", swap.to.as_str());
        fields.put("swapped_rate", decimal::shortest(&swap.rate));
        fields.put("swapped_output", decimal::shortest(&swap.output));
        let in_usd = decimal::rounded(&(&swap.output * &swap.usd_rate), 8);
        fields.put("swapped_usd_amount", decimal::shortest(&in_usd));
        fields.put("swapped_usd_rate", decimal::shortest(&swap.usd_rate));
    }
}

/// Fields in the order in which they are added.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}
