//! The parameters of createInvoice, checked by the provider's rules.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::Map;

use super::invoice::{InvoicePrice, InvoiceTerms};
use super::market;
use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::decimal;
use crate::sandbox::params::MethodParams;

/// Seconds: 31 days.
const EXPIRES_MOST: u32 = 2_678_400;
const BUTTONS: &[&str] = &["viewItem", "openChannel", "openBot", "callback"];

/// The parameters of createInvoice, or a refusal.
pub(super) fn terms(params: &MethodParams) -> Result<InvoiceTerms, SimulatedAnswer> {
    let amount = params.text("amount").unwrap_or_default();
    let amount = decimal::positive(&amount).map_err(|_| bad("AMOUNT_INVALID"))?;
    let price = price(params)?;
    if decimal::shortest(&amount).len() > 24 {
        return Err(bad("AMOUNT_TOO_BIG"));
    }
    let expires_in = match params.whole("expires_in") {
        Ok(None) => None,
        Ok(Some(seconds)) => {
            let fits = u32::try_from(seconds).ok();
            let fits = fits.filter(|seconds| (1..=EXPIRES_MOST).contains(seconds));
            Some(fits.ok_or_else(|| bad("EXPIRES_IN_INVALID"))?)
        }
        Err(()) => return Err(bad("EXPIRES_IN_INVALID")),
    };
    let swap_to = params.text("swap_to");
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
        description: limited(params, "description", 1024, "DESCRIPTION_TOO_LONG")?,
        hidden_message: limited(params, "hidden_message", 2048, "HIDDEN_MESSAGE_TOO_LONG")?,
        payload: limited(params, "payload", 4096, "PAYLOAD_TOO_LONG")?.map(Arc::from),
        button: button(params)?,
        allow_comments: params.truth("allow_comments", true),
        allow_anonymous: params.truth("allow_anonymous", true),
        expires_in,
    })
}

fn price(params: &MethodParams) -> Result<InvoicePrice, SimulatedAnswer> {
    match params.text("currency_type").as_deref() {
        None | Some("crypto") => {
            let asset = params.text("asset").filter(|code| market::is_asset(code));
            asset
                .map(InvoicePrice::Asset)
                .ok_or_else(|| bad("UNSUPPORTED_ASSET"))
        }
        Some("fiat") => {
            let fiat = params.text("fiat").filter(|code| market::is_fiat(code));
            let fiat = fiat.ok_or_else(|| bad("UNSUPPORTED_FIAT"))?;
            let accepted = match params.text("accepted_assets") {
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

fn button(params: &MethodParams) -> Result<Option<(String, String)>, SimulatedAnswer> {
    let Some(name) = params.text("paid_btn_name") else {
        return Ok(None);
    };
    if !BUTTONS.contains(&name.as_str()) {
        return Err(bad("PAID_BTN_NAME_INVALID"));
    }
    let url = params.text("paid_btn_url");
    let url = url.ok_or_else(|| bad("PAID_BTN_URL_REQUIRED"))?;
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(bad("PAID_BTN_URL_INVALID"));
    }
    Ok(Some((name, url)))
}

fn limited(
    params: &MethodParams,
    name: &str,
    most: usize,
    refusal: &str,
) -> Result<Option<String>, SimulatedAnswer> {
    let text = params.text(name);
    if text.as_deref().is_some_and(|text| text.len() > most) {
        return Err(bad(refusal));
    }
    Ok(text)
}

/// Names beyond those of the documentation are invented: only their form is known.
fn bad(name: &str) -> SimulatedAnswer {
    wire::error(StatusCode::BAD_REQUEST, name)
}
