//! The API over HTTP, under `/v3`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::basic;
use super::dialect::YooKassaDialect;
use super::idempotence::{Recollection, fingerprint, is_key};
use super::list::{KassaListRequest, ListPage};
use super::payment::{PaymentRefusal, StoredPayment};
use super::request;
use super::store::{ShopIdentity, YooKassaSimulator};
use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::call::{Call, Caller};
use crate::sandbox::core::write;
use crate::sandbox::dialect::Dialect as _;
use crate::sandbox::operation::Operation;
use crate::sandbox::reply;
use crate::sandbox::serve::serve;
use crate::sandbox::variant::Variant;

type Shop = State<Arc<YooKassaSimulator>>;
type Filters = Query<HashMap<String, String>>;

pub(in crate::sandbox) fn routes(shop: Arc<YooKassaSimulator>) -> Router {
    Router::new()
        .route("/v3/me", get(me))
        .route("/v3/payments", post(create_payment).get(list_payments))
        .route("/v3/payments/{id}", get(get_payment))
        .route("/v3/payments/{id}/capture", post(capture_payment))
        .route("/v3/payments/{id}/cancel", post(cancel_payment))
        .route("/v3/refunds", post(create_refund).get(list_refunds))
        .route("/v3/refunds/{id}", get(get_refund))
        .route("/v3/{*rest}", any(unknown))
        .with_state(shop)
}

fn call(
    shop: &YooKassaSimulator,
    operation: Operation,
    caller: Caller,
    headers: &HeaderMap,
) -> Call {
    Call {
        core: Arc::clone(&shop.core),
        dialect: &YooKassaDialect,
        operation,
        caller,
        key: basic::credentials(headers).map(|pair| shop.core.shown_key(pair)),
    }
}

fn identity(headers: &HeaderMap) -> ShopIdentity {
    ShopIdentity::of(&basic::credentials(headers).unwrap_or_default())
}

async fn me(State(shop): Shop, caller: Caller, headers: HeaderMap) -> Response {
    let call = call(&shop, Operation::YooKassaMe, caller, &headers);
    let by = identity(&headers);
    let job = move || {
        let fiscal = shop.core.has(Variant::YooKassaReceiptRequired);
        SimulatedAnswer::without_orders(&json!({
            "account_id": by.shop,
            "status": "enabled",
            "test": by.test,
            "fiscalization": {"enabled": fiscal},
            "payment_methods": ["bank_card", "yoo_money", "sbp"],
        }))
    };
    serve(call, job).await
}

async fn get_payment(
    State(shop): Shop,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let call = call(&shop, Operation::YooKassaGetPayment, caller, &headers);
    let job = move || match shop.payment(&id) {
        Some(payment) => SimulatedAnswer::data(&payment),
        None => no_payment(&shop),
    };
    serve(call, job).await
}

fn no_payment(shop: &YooKassaSimulator) -> SimulatedAnswer {
    if shop.core.has(Variant::YooKassaNotFound400) {
        return wire::invalid("payment_id", "Payment not found or forbidden");
    }
    YooKassaDialect.not_found()
}

async fn list_payments(
    State(shop): Shop,
    Query(query): Filters,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let call = call(&shop, Operation::YooKassaListPayments, caller, &headers);
    let job =
        move || match KassaListRequest::read(&query) {
            Ok(list) => listed(shop.payments(|all, now| {
                list.payments(all, now, |payment| wire::payment(payment, now))
            })),
            Err(bad) => wire::bad_parameter(&bad),
        };
    serve(call, job).await
}

async fn list_refunds(
    State(shop): Shop,
    Query(query): Filters,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let call = call(&shop, Operation::YooKassaListRefunds, caller, &headers);
    let job = move || match KassaListRequest::read(&query) {
        Ok(list) => listed(shop.refunds(|all| list.refunds(all, wire::refund))),
        Err(bad) => wire::bad_parameter(&bad),
    };
    serve(call, job).await
}

fn listed(page: ListPage<Value>) -> SimulatedAnswer {
    let mut body = json!({"type": "list", "items": page.items});
    if let Some(cursor) = page.next_cursor {
        body["next_cursor"] = cursor.into();
    }
    SimulatedAnswer::data(&body)
}

async fn get_refund(
    State(shop): Shop,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let call = call(&shop, Operation::YooKassaGetRefund, caller, &headers);
    let job = move || {
        let found = shop.refunds(|all| all.iter().find(|it| it.id == id).map(wire::refund));
        found.map_or_else(
            || YooKassaDialect.not_found(),
            |refund| SimulatedAnswer::data(&refund),
        )
    };
    serve(call, job).await
}

async fn create_payment(
    State(shop): Shop,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = call(&shop, Operation::YooKassaCreatePayment, caller, &headers);
    let job = move || {
        once(&shop, &headers, &uri, &body, |by| {
            let needs_receipt = shop.core.has(Variant::YooKassaReceiptRequired);
            let terms = request::payment_terms(&body, needs_receipt);
            let terms = terms.map_err(|bad| wire::bad_parameter(&bad))?;
            Ok(shop.create(terms, by))
        })
    };
    serve(call, job).await
}

async fn capture_payment(
    State(shop): Shop,
    Path(id): Path<String>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = call(&shop, Operation::YooKassaCapturePayment, caller, &headers);
    let job = move || {
        once(&shop, &headers, &uri, &body, |_| {
            let body = request::object(&body).map_err(|bad| wire::bad_parameter(&bad))?;
            let amount = request::amount_in(&body).map_err(|bad| wire::bad_parameter(&bad))?;
            let amount = amount.map(|(sum, _)| sum.to_plain_string());
            let changed = shop.alter(&id, |payment, now| payment.capture(amount.as_deref(), now));
            altered(&shop, &id, changed)
        })
    };
    serve(call, job).await
}

async fn cancel_payment(
    State(shop): Shop,
    Path(id): Path<String>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = call(&shop, Operation::YooKassaCancelPayment, caller, &headers);
    let job = move || {
        once(&shop, &headers, &uri, &body, |_| {
            let changed = shop.alter(&id, StoredPayment::cancel_held);
            altered(&shop, &id, changed)
        })
    };
    serve(call, job).await
}

async fn create_refund(
    State(shop): Shop,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = call(&shop, Operation::YooKassaCreateRefund, caller, &headers);
    let job = move || {
        once(&shop, &headers, &uri, &body, |_| {
            let wrong = |bad| wire::bad_parameter(&bad);
            let body = request::object(&body).map_err(wrong)?;
            let id = body.get("payment_id").and_then(Value::as_str);
            let id = id.ok_or_else(|| wire::invalid("payment_id", "Payment id is required"))?;
            let amount = request::amount_in(&body).map_err(wrong)?;
            let (amount, _) =
                amount.ok_or_else(|| wire::invalid("amount", "Amount is required"))?;
            let description = request::description_in(&body).map_err(wrong)?;
            match shop.refund(id, Some(&amount), description) {
                Some(made) => made.map_err(|why| refused(&why)),
                None => Err(no_payment(&shop)),
            }
        })
    };
    serve(call, job).await
}

fn altered(
    shop: &YooKassaSimulator,
    id: &str,
    changed: Option<Result<Value, PaymentRefusal>>,
) -> Result<(Value, String), SimulatedAnswer> {
    match changed {
        Some(Ok(payment)) => Ok((payment, id.to_owned())),
        Some(Err(why)) => Err(refused(&why)),
        None => Err(no_payment(shop)),
    }
}

fn refused(why: &PaymentRefusal) -> SimulatedAnswer {
    match why {
        PaymentRefusal::Invalid(problem) => wire::invalid("amount", problem),
        PaymentRefusal::Course(word) => {
            let words = format!("Incorrect payment status: {word}");
            wire::error(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                &words,
                &Value::Null,
            )
        }
    }
}

/// Carries out `job` unless a request with the same key did within a day.
fn once(
    shop: &YooKassaSimulator,
    headers: &HeaderMap,
    uri: &Uri,
    body: &Bytes,
    job: impl FnOnce(&ShopIdentity) -> Result<(Value, String), SimulatedAnswer>,
) -> SimulatedAnswer {
    let by = identity(headers);
    let key = headers
        .get("Idempotence-Key")
        .and_then(|key| key.to_str().ok());
    let Some(key) = key.filter(|key| is_key(key)) else {
        return wire::invalid("Idempotence-Key", "Idempotence key is missing or too long");
    };
    let print = fingerprint(uri.path(), body);
    // Held until the answer is stored: two requests with one key are handled one after the other.
    let mut memory = write(&shop.memory);
    let now = shop.core.now();
    match memory.recall(&by.shop, key, print, now) {
        Recollection::Duplicate => wire::invalid("Idempotence-Key", "Idempotence key duplicated"),
        Recollection::Repeat(answer, id) => {
            let present = shop.core.has(Variant::YooKassaRepeatPresent);
            let payment = shop.payment(&id).filter(|_| present);
            payment.map_or(answer, |payment| SimulatedAnswer::data(&payment))
        }
        Recollection::New => match job(&by) {
            Ok((object, id)) => {
                let answer = SimulatedAnswer::data(&object);
                memory.remember((&by.shop, key), print, (answer.clone(), id), now);
                answer
            }
            Err(refusal) => refusal,
        },
    }
}

async fn unknown() -> Response {
    reply::uncounted(wire::error(
        StatusCode::NOT_FOUND,
        "not_found",
        "No such method",
        &Value::Null,
    ))
}
