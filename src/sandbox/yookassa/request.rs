//! Request bodies, checked by YooKassa's rules. A refusal names the parameter.

use bigdecimal::BigDecimal;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::payment::PaymentTerms;
use crate::sandbox::decimal;

const DESCRIPTION_MOST: usize = 128;
const METADATA_MOST: (usize, usize, usize) = (16, 32, 512);

/// An invalid parameter, and the rule.
#[derive(Debug)]
pub(super) struct BadParameter {
    pub name: String,
    pub problem: String,
}

pub(super) fn bad<T>(name: &str, problem: impl Into<String>) -> Result<T, BadParameter> {
    Err(BadParameter {
        name: name.into(),
        problem: problem.into(),
    })
}

/// A JSON object; a missing body counts as an empty one.
pub(super) fn object(body: &Bytes) -> Result<Map<String, Value>, BadParameter> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let read = serde_json::from_slice(body);
    read.or_else(|error| bad("body", format!("Can't parse: {error}")))
}

/// The terms of a new payment. `needs_receipt`: the shop fiscalizes.
pub(super) fn payment_terms(
    body: &Bytes,
    needs_receipt: bool,
) -> Result<PaymentTerms, BadParameter> {
    let body = object(body)?;
    let Some((amount, currency)) = amount_in(&body)? else {
        return bad("amount", "Amount is required");
    };
    if needs_receipt && !body.get("receipt").is_some_and(Value::is_object) {
        return bad("receipt", "Receipt is missing or illegal");
    }
    let method = body
        .get("payment_method_data")
        .and_then(|it| it.get("type"));
    Ok(PaymentTerms {
        amount,
        currency,
        capture: match body.get("capture") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(capture)) => *capture,
            Some(_) => return bad("capture", "Expected a boolean"),
        },
        description: description_in(&body)?,
        metadata: metadata_in(&body)?,
        confirmation: confirmation_in(&body)?,
        method: method.and_then(Value::as_str).map(str::to_owned),
    })
}

/// `amount`, if present: above zero, two digits, roubles.
pub(super) fn amount_in(
    body: &Map<String, Value>,
) -> Result<Option<(BigDecimal, String)>, BadParameter> {
    let amount = match body.get("amount") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(amount)) => amount,
        Some(_) => return bad("amount", "Expected an object"),
    };
    let value = match amount.get("value") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return bad("amount.value", "Value is required"),
    };
    let sum = match decimal::positive(&value) {
        Ok(sum) => sum,
        Err(problem) => return bad("amount.value", problem),
    };
    if decimal::rounded(&sum, 2) != sum {
        return bad("amount.value", "At most two digits after the point");
    }
    match amount.get("currency").and_then(Value::as_str) {
        Some("RUB") => Ok(Some((sum, "RUB".into()))),
        _ => bad("amount.currency", "Currency is not available: expected RUB"),
    }
}

pub(super) fn description_in(body: &Map<String, Value>) -> Result<Option<String>, BadParameter> {
    let text = body.get("description").and_then(Value::as_str);
    if text.is_some_and(|text| text.chars().count() > DESCRIPTION_MOST) {
        return bad("description", "At most 128 characters");
    }
    Ok(text.map(str::to_owned))
}

/// Numbers and booleans are returned as text.
fn metadata_in(body: &Map<String, Value>) -> Result<Map<String, Value>, BadParameter> {
    let metadata = match body.get("metadata") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return bad("metadata", "Expected an object"),
    };
    let (keys, key_chars, value_chars) = METADATA_MOST;
    if metadata.len() > keys {
        return bad("metadata", "At most 16 keys");
    }
    let mut read = Map::new();
    for (key, value) in metadata {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => return bad("metadata", "Values are text"),
        };
        if key.chars().count() > key_chars || text.chars().count() > value_chars {
            return bad("metadata", "Keys have at most 32 characters, values 512");
        }
        read.insert(key.clone(), text.into());
    }
    Ok(read)
}

fn confirmation_in(body: &Map<String, Value>) -> Result<Map<String, Value>, BadParameter> {
    let Some(Value::Object(confirmation)) = body.get("confirmation") else {
        return bad("confirmation", "Confirmation is required");
    };
    match confirmation.get("type").and_then(Value::as_str) {
        Some("redirect") if !confirmation.get("return_url").is_some_and(Value::is_string) => {
            bad("confirmation.return_url", "Return url is required")
        }
        Some("redirect" | "embedded" | "qr" | "mobile_application" | "external") => {
            Ok(confirmation.clone())
        }
        _ => bad("confirmation.type", "Unknown confirmation type"),
    }
}
