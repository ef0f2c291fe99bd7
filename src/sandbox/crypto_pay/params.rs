//! Parameters of a method: in the query, a form or JSON, with every value as text, number or truth value.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::invoice::{InvoicePrice, InvoiceTerms};
use super::market;
use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::decimal;

/// Seconds: 31 days.
const EXPIRES_MOST: u32 = 2_678_400;
const BUTTONS: &[&str] = &["viewItem", "openChannel", "openBot", "callback"];

/// The parameters by name; those that no method knows are ignored.
pub(super) struct MethodParams(Map<String, Value>);

impl MethodParams {
    /// `None` when the body is neither JSON nor a form.
    pub fn read(query: &str, body: &Bytes) -> Option<MethodParams> {
        let mut params: Map<String, Value> = pairs(query.as_bytes()).collect();
        match body.trim_ascii() {
            [] => {}
            [b'{', ..] => params.extend(serde_json::from_slice::<Map<_, _>>(body).ok()?),
            [b'[' | b'"', ..] => return None,
            form => params.extend(pairs(form)),
        }
        Some(MethodParams(params))
    }

    /// An array is as good as its items with commas between: the server is lenient.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = match self.0.get(name)? {
            Value::Null => return None,
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
            one => plain(one),
        };
        (!text.is_empty()).then_some(text)
    }

    /// `Err` when it is no whole number.
    pub fn whole(&self, name: &str) -> Result<Option<i64>, ()> {
        let text = self.text(name);
        text.map(|text| text.parse().map_err(drop)).transpose()
    }

    fn truth(&self, name: &str, usual: bool) -> bool {
        match self.text(name).as_deref() {
            Some("false" | "0" | "False") => false,
            Some(_) => true,
            None => usual,
        }
    }

    /// The terms of createInvoice, or its refusal.
    pub fn terms(&self) -> Result<InvoiceTerms, SimulatedAnswer> {
        let amount = self.text("amount").unwrap_or_default();
        let amount = decimal::positive(&amount).map_err(|_| bad("AMOUNT_INVALID"))?;
        let price = self.price()?;
        if decimal::shortest(&amount).len() > 24 {
            return Err(bad("AMOUNT_TOO_BIG"));
        }
        let expires_in = match self.whole("expires_in") {
            Ok(None) => None,
            Ok(Some(seconds)) => {
                let fits = u32::try_from(seconds).ok();
                let fits = fits.filter(|seconds| (1..=EXPIRES_MOST).contains(seconds));
                Some(fits.ok_or_else(|| bad("EXPIRES_IN_INVALID"))?)
            }
            Err(()) => return Err(bad("EXPIRES_IN_INVALID")),
        };
        let swap_to = self.text("swap_to");
        if swap_to
            .as_deref()
            .is_some_and(|to| !market::SWAPS.contains(&to))
        {
            return Err(bad("SWAP_TO_INVALID"));
        }
        Ok(InvoiceTerms {
            price,
            amount,
            swap_to,
            description: self.limited("description", 1024, "DESCRIPTION_TOO_LONG")?,
            hidden_message: self.limited("hidden_message", 2048, "HIDDEN_MESSAGE_TOO_LONG")?,
            payload: self
                .limited("payload", 4096, "PAYLOAD_TOO_LONG")?
                .map(Arc::from),
            button: self.button()?,
            allow_comments: self.truth("allow_comments", true),
            allow_anonymous: self.truth("allow_anonymous", true),
            expires_in,
        })
    }

    fn price(&self) -> Result<InvoicePrice, SimulatedAnswer> {
        match self.text("currency_type").as_deref() {
            None | Some("crypto") => {
                let asset = self.text("asset").filter(|code| market::is_asset(code));
                asset
                    .map(InvoicePrice::Asset)
                    .ok_or_else(|| bad("UNSUPPORTED_ASSET"))
            }
            Some("fiat") => {
                let fiat = self.text("fiat").filter(|code| market::is_fiat(code));
                let fiat = fiat.ok_or_else(|| bad("UNSUPPORTED_FIAT"))?;
                let accepted = match self.text("accepted_assets") {
                    Some(text) => text.split(',').map(|it| it.trim().to_owned()).collect(),
                    None => market::assets().map(str::to_owned).collect::<Vec<_>>(),
                };
                if accepted.iter().all(|code| market::is_asset(code)) {
                    return Ok(InvoicePrice::Fiat { fiat, accepted });
                }
                let mut more = Map::new();
                more.insert("allowed_assets".into(), market::assets().collect());
                let name = "UNSUPPORTED_ACCEPTED_ASSET";
                Err(wire::error_with(StatusCode::BAD_REQUEST, name, more))
            }
            Some(_) => Err(bad("CURRENCY_TYPE_INVALID")),
        }
    }

    fn button(&self) -> Result<Option<(String, String)>, SimulatedAnswer> {
        let Some(name) = self.text("paid_btn_name") else {
            return Ok(None);
        };
        if !BUTTONS.contains(&name.as_str()) {
            return Err(bad("PAID_BTN_NAME_INVALID"));
        }
        let url = self.text("paid_btn_url");
        let url = url.ok_or_else(|| bad("PAID_BTN_URL_REQUIRED"))?;
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(bad("PAID_BTN_URL_INVALID"));
        }
        Ok(Some((name, url)))
    }

    fn limited(
        &self,
        name: &str,
        most: usize,
        refusal: &str,
    ) -> Result<Option<String>, SimulatedAnswer> {
        let text = self.text(name);
        if text.as_deref().is_some_and(|text| text.len() > most) {
            return Err(bad(refusal));
        }
        Ok(text)
    }
}

fn pairs(encoded: &[u8]) -> impl Iterator<Item = (String, Value)> {
    url::form_urlencoded::parse(encoded)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names beyond those of the documentation are made up: only their form is known.
fn bad(name: &str) -> SimulatedAnswer {
    wire::error(StatusCode::BAD_REQUEST, name)
}
