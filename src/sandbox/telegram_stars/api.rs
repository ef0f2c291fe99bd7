//! The methods over HTTP: `/bot<token>/<method>`; the names of methods ignore case.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use serde_json::{Value, json};

use super::dialect::{BotApiDialect, error};
use super::store::StarsSimulator;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::call::{Call, Caller};
use crate::sandbox::operation::{Operation, SimulatedProvider};
use crate::sandbox::params::MethodParams;
use crate::sandbox::serve::serve;

const PAGE_MOST: i64 = 100;
const SUBSCRIPTION_PERIOD: &str = "2592000";

pub(in crate::sandbox) fn routes(bot: Arc<StarsSimulator>) -> Router {
    Router::new()
        .route("/bot{token}/{method}", any(method))
        .with_state(bot)
}

async fn method(
    State(bot): State<Arc<StarsSimulator>>,
    Path((token, name)): Path<(String, String)>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let mut known = Operation::of(SimulatedProvider::TelegramStars);
    let operation = known.find(|it| it.name().eq_ignore_ascii_case(&name));
    let operation = operation.unwrap_or(Operation::StarsUnknown);
    let key = bot.core.shown_key(token.clone());
    let well_formed = is_token(&token) || bot.core.is_key(&token);
    let call = Call {
        core: Arc::clone(&bot.core),
        dialect: &BotApiDialect,
        operation,
        caller,
        key: Some(key),
    };
    let job = move || {
        if !well_formed {
            let words = "Unauthorized: invalid token specified";
            return error(StatusCode::UNAUTHORIZED, words);
        }
        match MethodParams::read(&query.unwrap_or_default(), &body) {
            Some(params) => answer(&bot, operation, &params),
            None => bad("can't parse parameters"),
        }
    };
    serve(call, job).await
}

/// `<id>:<secret>`.
fn is_token(token: &str) -> bool {
    let parts = token.split_once(':');
    parts.is_some_and(|(id, secret)| {
        !id.is_empty() && id.bytes().all(|it| it.is_ascii_digit()) && !secret.is_empty()
    })
}

fn answer(bot: &StarsSimulator, operation: Operation, params: &MethodParams) -> SimulatedAnswer {
    match operation {
        Operation::StarsGetMe => plain(&json!({
            "id": 123_456, "is_bot": true, "first_name": "Sandbox", "username": "sandbox_bot",
            "can_join_groups": true, "can_read_all_group_messages": false,
        })),
        Operation::StarsGetTransactions => transactions(bot, params),
        Operation::StarsGetBalance => {
            let (amount, nanos) = bot.balance();
            plain(&json!({"amount": amount, "nanostar_amount": nanos}))
        }
        Operation::StarsCreateInvoiceLink => invoice_link(bot, params),
        Operation::StarsRefundPayment => refund(bot, params),
        // A client that requests updates takes them from the bot.
        Operation::StarsGetUpdates => error(
            StatusCode::CONFLICT,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        ),
        _ => error(StatusCode::NOT_FOUND, "Not Found: method not found"),
    }
}

fn plain(result: &Value) -> SimulatedAnswer {
    SimulatedAnswer::without_orders(&json!({"ok": true, "result": result}))
}

fn bad(words: &str) -> SimulatedAnswer {
    error(StatusCode::BAD_REQUEST, &format!("Bad Request: {words}"))
}

/// Values out of range are silently moved into it.
fn transactions(bot: &StarsSimulator, params: &MethodParams) -> SimulatedAnswer {
    let whole = |name, usual| params.whole(name).ok().flatten().unwrap_or(usual);
    let offset = usize::try_from(whole("offset", 0).max(0)).unwrap_or(usize::MAX);
    let limit = whole("limit", PAGE_MOST).clamp(1, PAGE_MOST);
    let page = bot.page(offset, usize::try_from(limit).unwrap_or_default());
    SimulatedAnswer::data(&json!({"ok": true, "result": {"transactions": page}}))
}

fn invoice_link(bot: &StarsSimulator, params: &MethodParams) -> SimulatedAnswer {
    let text = |name: &str| params.text(name).unwrap_or_default();
    let chars = |name: &str, most: usize| (1..=most).contains(&text(name).chars().count());
    if !chars("title", 32) {
        return bad("INVOICE_TITLE_INVALID");
    }
    if !chars("description", 255) {
        return bad("INVOICE_DESCRIPTION_INVALID");
    }
    if !(1..=128).contains(&text("payload").len()) {
        return bad("INVOICE_PAYLOAD_INVALID");
    }
    if text("currency") != "XTR" {
        return bad("CURRENCY_INVALID");
    }
    let prices = params.json("prices").unwrap_or_default();
    let amounts: Vec<u64> = match &prices {
        Value::Array(items) => items
            .iter()
            .filter_map(|it| it.get("amount")?.as_u64())
            .collect(),
        _ => Vec::new(),
    };
    if !matches!(amounts[..], [1..=100_000]) {
        return bad("STARS_INVOICE_INVALID");
    }
    let period = params.text("subscription_period");
    if period.is_some_and(|period| period != SUBSCRIPTION_PERIOD || amounts[0] > 10_000) {
        return bad("SUBSCRIPTION_PERIOD_INVALID");
    }
    let mut rng = bot.core.rng(bot.core.now().nanos().unsigned_abs());
    let slug: String = (0..16).map(|_| rng.alphanumeric()).collect();
    plain(&format!("https://t.me/${slug}").into())
}

fn refund(bot: &StarsSimulator, params: &MethodParams) -> SimulatedAnswer {
    let user = params.whole("user_id").ok().flatten().unwrap_or_default();
    let charge = params.text("telegram_payment_charge_id");
    let user = u64::try_from(user).unwrap_or_default();
    match bot.refund(user, &charge.unwrap_or_default()) {
        Ok(()) => plain(&Value::Bool(true)),
        Err(problem) => bad(problem),
    }
}
