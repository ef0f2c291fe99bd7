//! Request bodies. A refusal is a map from field to error.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::coin::{CloudCoin, fiat_usd, fiats};
use super::invoice::CloudTerms;
use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;

const LASTS_USUAL: Duration = Duration::from_hours(24);
/// Number of invoices on a page of the list, default and maximum.
const PAGE_USUAL: usize = 10;
pub(super) const PAGE_MOST: usize = 100;

/// A JSON object; anything else counts as an empty one.
pub(super) fn object(body: &Bytes) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

pub(super) fn bad(field: &str, problem: &str) -> SimulatedAnswer {
    let mut problems = Map::new();
    problems.insert(field.into(), problem.into());
    wire::refusal(StatusCode::BAD_REQUEST, &Value::Object(problems))
}

pub(super) fn terms(body: &Map<String, Value>) -> Result<CloudTerms, SimulatedAnswer> {
    let mut missing = Map::new();
    for field in ["amount", "shop_id"] {
        if text(body, field).is_none() {
            missing.insert(field.into(), format!("{field} not passed.").into());
        }
    }
    if !missing.is_empty() {
        return Err(wire::refusal(
            StatusCode::BAD_REQUEST,
            &Value::Object(missing),
        ));
    }
    let amount = decimal::positive(&text(body, "amount").unwrap_or_default());
    let amount = amount.map_err(|_| bad("amount", "Invalid value amount."))?;
    let currency = text(body, "currency").unwrap_or_else(|| "USD".into());
    if fiat_usd(&currency).is_none() {
        let codes: Vec<_> = fiats().map(|code| format!("'{code}'")).collect();
        let problem = "Invalid account currency specified. Available currencies";
        return Err(bad("currency", &format!("{problem} {}.", codes.join(", "))));
    }
    let more = body.get("add_fields").and_then(Value::as_object);
    let coin = more.and_then(|more| text(more, "cryptocurrency"));
    if let Some(code) = coin
        .as_deref()
        .filter(|code| CloudCoin::find(code).is_none())
    {
        return Err(bad(
            "cryptocurrency",
            &format!("Invalid cryptocurrency {code}."),
        ));
    }
    Ok(CloudTerms {
        amount,
        currency,
        order_id: text(body, "order_id").map(Into::into),
        email: text(body, "email").unwrap_or_default(),
        lasts: more
            .and_then(|more| more.get("time_to_pay"))
            .map_or(LASTS_USUAL, time_to_pay),
        coin,
    })
}

fn time_to_pay(value: &Value) -> Duration {
    let part = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    let minutes = part("hours")
        .saturating_mul(60)
        .saturating_add(part("minutes"));
    Duration::from_secs(minutes.saturating_mul(60))
}

/// A nonempty text or a number, as text.
pub(super) fn text(body: &Map<String, Value>, field: &str) -> Option<String> {
    let text = match body.get(field)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The requested days of the list, and the requested part of them.
pub(super) struct ListSpan {
    pub from: Moment,
    pub to: Moment,
    pub offset: usize,
    pub count: usize,
}

/// How the service interprets `limit`, which its documentation calls the number of the last record.
#[derive(Clone, Copy)]
pub(super) enum LimitMeaning {
    EndIndex,
    Size,
    /// As a size; more than 100 is refused.
    RefusedSize,
}

pub(super) fn span(
    body: &Map<String, Value>,
    reading: LimitMeaning,
) -> Result<ListSpan, SimulatedAnswer> {
    let days = |field: &str| {
        let text = text(body, field).ok_or_else(|| bad(field, &format!("{field} not passed.")))?;
        day(&text).ok_or_else(|| bad(field, "Invalid date format. Use dd.mm.yyyy"))
    };
    let (from, to) = (days("start")?, days("end")?);
    if to < from {
        return Err(bad("end", "end must be greater than or equal to start"));
    }
    let number = |field: &str| match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let read = text.parse::<usize>();
            read.map(Some)
                .map_err(|_| bad(field, "A valid integer is required."))
        }
    };
    let offset = number("offset")?.unwrap_or(0);
    let limit = number("limit")?;
    let count = match (reading, limit) {
        (_, None) => PAGE_USUAL,
        (LimitMeaning::EndIndex, Some(end)) => end.saturating_sub(offset),
        (LimitMeaning::RefusedSize, Some(size)) if size > PAGE_MOST => {
            return Err(bad(
                "limit",
                "Ensure this value is less than or equal to 100.",
            ));
        }
        (LimitMeaning::Size | LimitMeaning::RefusedSize, Some(size)) => size,
    };
    Ok(ListSpan {
        from,
        to: to.plus(Duration::from_hours(24)),
        offset,
        count: count.min(PAGE_MOST),
    })
}

/// The start of a day written as `dd.mm.yyyy`.
fn day(text: &str) -> Option<Moment> {
    let mut parts = text.split('.');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let shaped = day.len() == 2 && month.len() == 2 && year.len() == 4 && parts.next().is_none();
    shaped
        .then(|| Moment::parse(&format!("{year}-{month}-{day}T00:00:00Z")))
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn count(offset: usize, limit: usize, reading: LimitMeaning) -> Option<usize> {
        let body =
            json!({"start": "01.11.2026", "end": "30.11.2026", "offset": offset, "limit": limit});
        let body = body.as_object().unwrap();
        span(body, reading).ok().map(|span| span.count)
    }

    #[test]
    fn a_limit_is_an_end_or_a_size() {
        assert_eq!(count(10, 20, LimitMeaning::EndIndex), Some(10));
        assert_eq!(count(10, 20, LimitMeaning::Size), Some(20));
        assert_eq!(count(100, 200, LimitMeaning::EndIndex), Some(100));
        assert_eq!(count(100, 200, LimitMeaning::Size), Some(100));
        assert_eq!(count(100, 200, LimitMeaning::RefusedSize), None);
    }

    #[test]
    fn days_are_whole_and_in_order() {
        assert_eq!(day("01.02.2026"), Moment::parse("2026-02-01T00:00:00Z"));
        assert_eq!(day("1.2.2026"), None);
        assert_eq!(day("2026-02-01"), None);
        let body = json!({"start": "02.02.2026", "end": "01.02.2026"});
        assert!(span(body.as_object().unwrap(), LimitMeaning::Size).is_err());
    }
}
