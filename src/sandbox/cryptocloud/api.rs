//! The calls over HTTP, under `/v2`: all are POST with a JSON body.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::{any, post};
use bigdecimal::BigDecimal;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::coin::COINS;
use super::dialect::CryptoCloudDialect;
use super::request::{self, LimitMeaning, PAGE_MOST, bad};
use super::store::CryptoCloudSimulator;
use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::call::{Call, Caller};
use crate::sandbox::decimal;
use crate::sandbox::dialect::Dialect as _;
use crate::sandbox::operation::Operation;
use crate::sandbox::reply;
use crate::sandbox::serve::serve;
use crate::sandbox::variant::Variant;

const PATHS: [(&str, Operation); 6] = [
    ("/v2/invoice/create", Operation::CryptoCloudCreate),
    ("/v2/invoice/merchant/info", Operation::CryptoCloudInfo),
    ("/v2/invoice/merchant/list", Operation::CryptoCloudList),
    (
        "/v2/invoice/merchant/canceled",
        Operation::CryptoCloudCancel,
    ),
    (
        "/v2/invoice/merchant/statistics",
        Operation::CryptoCloudStatistics,
    ),
    (
        "/v2/merchant/wallet/balance/all",
        Operation::CryptoCloudBalance,
    ),
];

pub(in crate::sandbox) fn routes(project: Arc<CryptoCloudSimulator>) -> Router {
    let mut router = Router::new();
    for (path, _) in PATHS {
        router = router.route(path, post(method));
    }
    router
        .route("/v2/{*rest}", any(unknown))
        .with_state(project)
}

async fn unknown() -> Response {
    reply::uncounted(CryptoCloudDialect.not_found())
}

async fn method(
    State(project): State<Arc<CryptoCloudSimulator>>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let known = PATHS.iter().find(|(path, _)| *path == uri.path());
    let operation = known.map_or(Operation::CryptoCloudInfo, |(_, operation)| *operation);
    let call = Call {
        core: Arc::clone(&project.core),
        dialect: &CryptoCloudDialect,
        operation,
        caller,
        key: key_of(&headers),
    };
    let job = move || answer(&project, operation, &request::object(&body));
    serve(call, job).await
}

/// `Authorization: Token <key>`.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value
        .strip_prefix("Token ")
        .map(|key| key.trim().to_owned())
}

fn answer(
    project: &CryptoCloudSimulator,
    operation: Operation,
    body: &Map<String, Value>,
) -> SimulatedAnswer {
    match operation {
        Operation::CryptoCloudCreate => match request::terms(body) {
            Ok(terms) => wire::success(&project.create(terms)),
            Err(refused) => refused,
        },
        Operation::CryptoCloudList => list(project, body),
        Operation::CryptoCloudCancel => cancel(project, body),
        Operation::CryptoCloudStatistics => statistics(project, body),
        Operation::CryptoCloudBalance => wire::success(&balance(project)),
        _ => info(project, body),
    }
}

fn info(project: &CryptoCloudSimulator, body: &Map<String, Value>) -> SimulatedAnswer {
    let Some(uuids) = body.get("uuids").and_then(Value::as_array) else {
        return bad("validate_error", "uuids is required");
    };
    if uuids.len() > PAGE_MOST {
        return bad("validate_error", "The maximum number of uuids is 100");
    }
    let uuids = uuids.iter().filter_map(Value::as_str).map(str::to_owned);
    let uuids: Vec<String> = uuids.collect();
    wire::success(&project.inform(&uuids).into())
}

fn list(project: &CryptoCloudSimulator, body: &Map<String, Value>) -> SimulatedAnswer {
    let reading = if project.core.has(Variant::CryptoCloudLimitRefused) {
        LimitMeaning::RefusedSize
    } else if project.core.has(Variant::CryptoCloudLimitSize) {
        LimitMeaning::Size
    } else {
        LimitMeaning::EndIndex
    };
    match request::span(body, reading) {
        Ok(span) => {
            let (items, all) = project.list(&span);
            wire::page(&items, all)
        }
        Err(refused) => refused,
    }
}

fn cancel(project: &CryptoCloudSimulator, body: &Map<String, Value>) -> SimulatedAnswer {
    let Some(uuid) = request::text(body, "uuid") else {
        return bad("validate_error", "uuid is required");
    };
    if project.cancel(&uuid) {
        return wire::success(&json!(["ok"]));
    }
    bad("validate_error", "Invoice is not created")
}

/// Totals of a span of days.
fn statistics(project: &CryptoCloudSimulator, body: &Map<String, Value>) -> SimulatedAnswer {
    let span = match request::span(body, LimitMeaning::Size) {
        Ok(span) => span,
        Err(refused) => return refused,
    };
    let ends_partial = project.core.has(Variant::CryptoCloudPartialCanceled);
    let (counts, sums) = project.see(|invoices, now| {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut sums: BTreeMap<&str, BigDecimal> = BTreeMap::new();
        for invoice in invoices {
            if span.from <= invoice.created && invoice.created < span.to {
                let (status, _) = invoice.status(now, ends_partial);
                let figures = invoice.figures();
                *counts.entry(status).or_default() += 1;
                *sums.entry(status).or_default() += figures.usd(&figures.amount);
            }
        }
        (counts, sums)
    });
    let sums: Map<String, Value> = sums
        .iter()
        .map(|(status, sum)| ((*status).to_owned(), decimal::number(sum)))
        .collect();
    let all: u64 = counts.values().sum();
    wire::success(&json!({"count": {"all": all, "by_status": counts}, "amount": sums}))
}

fn balance(project: &CryptoCloudSimulator) -> Value {
    let lines = COINS.iter().map(|coin| {
        let sum: BigDecimal = project.see(|invoices, _| {
            let own = invoices.iter().filter(|it| it.coin == coin.fullcode);
            own.map(|invoice| invoice.figures().received).sum()
        });
        json!({
            "currency": coin.object(),
            "balance_crypto": decimal::number(&sum),
            "balance_usd": decimal::number(&decimal::rounded(&(&sum * coin.usd()), 2)),
        })
    });
    lines.collect()
}
