//! The wallet's methods over HTTP, and the pay form.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{any, post};
use bytes::Bytes;
use serde_json::json;

use super::dialect::{YooMoneyDialect, error, insufficient_scope};
use super::query::HistoryQuery;
use super::store::YooMoneySimulator;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::call::{Call, Caller};
use crate::sandbox::decimal;
use crate::sandbox::operation::Operation;
use crate::sandbox::params::MethodParams;
use crate::sandbox::reply;
use crate::sandbox::serve::serve;
use crate::sandbox::variant::Variant;

const PATHS: [(&str, Operation); 3] = [
    ("/api/account-info", Operation::YooMoneyAccountInfo),
    ("/api/operation-history", Operation::YooMoneyHistory),
    ("/api/operation-details", Operation::YooMoneyDetails),
];

pub(in crate::sandbox) fn routes(wallet: Arc<YooMoneySimulator>) -> Router {
    let mut router = Router::new();
    for (path, _) in PATHS {
        router = router.route(path, post(method));
    }
    router
        .route("/quickpay/confirm", any(form))
        .route("/quickpay/confirm.xml", any(form))
        .with_state(wallet)
}

async fn method(
    State(wallet): State<Arc<YooMoneySimulator>>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let known = PATHS.iter().find(|(path, _)| *path == uri.path());
    let operation = known.map_or(Operation::YooMoneyHistory, |(_, operation)| *operation);
    let key = headers.get(header::AUTHORIZATION);
    let key = key.and_then(|key| key.to_str().ok()?.strip_prefix("Bearer "));
    let call = Call {
        core: Arc::clone(&wallet.core),
        dialect: &YooMoneyDialect,
        operation,
        caller,
        // A revoked token is refused like a wrong one, permanently.
        key: key
            .filter(|_| !wallet.core.has(Variant::YooMoneyDeadToken))
            .map(str::to_owned),
    };
    let job = move || match MethodParams::read(&query.unwrap_or_default(), &body) {
        Some(params) => answer(&wallet, operation, &params),
        None => error("illegal_params"),
    };
    serve(call, job).await
}

fn answer(
    wallet: &YooMoneySimulator,
    operation: Operation,
    params: &MethodParams,
) -> SimulatedAnswer {
    match operation {
        Operation::YooMoneyAccountInfo | Operation::YooMoneyDetails
            if wallet.core.has(Variant::YooMoneyHistoryScope) =>
        {
            insufficient_scope()
        }
        Operation::YooMoneyAccountInfo => account(wallet),
        Operation::YooMoneyDetails => {
            let id = params.text("operation_id").unwrap_or_default();
            let details = wallet.details(&id);
            details.map_or_else(
                || error("illegal_param_operation_id"),
                |details| SimulatedAnswer::without_orders(&details),
            )
        }
        _ => match HistoryQuery::read(params) {
            Ok(query) => SimulatedAnswer::data(&wallet.history(&query)).starting_at(query.start),
            Err(word) => error(word),
        },
    }
}

fn account(wallet: &YooMoneySimulator) -> SimulatedAnswer {
    let balance = decimal::number(&wallet.balance());
    SimulatedAnswer::without_orders(&json!({
        "account": "4100123456789",
        "balance": balance,
        "balance_details": {"total": balance, "available": balance},
        "currency": "643",
        "account_status": "identified",
        "account_type": "personal",
    }))
}

/// The page to which the form leads; payments are made through the control API.
async fn form(RawQuery(query): RawQuery, body: Bytes) -> Response {
    let params = MethodParams::read(&query.unwrap_or_default(), &body);
    let told = |name: &str| {
        let text = params.as_ref().and_then(|params| params.text(name));
        escaped(&text.unwrap_or_default())
    };
    let (receiver, sum, label) = (told("receiver"), told("sum"), told("label"));
    if receiver.is_empty() || sum.is_empty() {
        let words = json!({"error": "receiver and sum are required"});
        return reply::uncounted(SimulatedAnswer::failure(StatusCode::BAD_REQUEST, &words));
    }
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>YooMoney (sandbox)</title>\
         <h1>{sum} RUB</h1><p>to the wallet {receiver}, label <code>{label}</code></p>\
         <p>Pay by <code>POST /sandbox/transactions</code>.</p>"
    );
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    reply::plain(StatusCode::OK, html, Body::from(page))
}

fn escaped(text: &str) -> String {
    let signs = text.chars().map(|sign| match sign {
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '&' => "&amp;".into(),
        '"' => "&quot;".into(),
        other => other.to_string(),
    });
    signs.collect()
}
