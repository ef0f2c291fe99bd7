//! The API over HTTP, under `/v3`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
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

type Filters = Query<HashMap<String, String>>;
/// An object that was made or changed, with its id; or the refusal.
type Effect = Result<(Value, String), SimulatedAnswer>;

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

/// A request as its handler gets it.
struct KassaCall {
    shop: Arc<YooKassaSimulator>,
    path: String,
    headers: HeaderMap,
    caller: Caller,
}

impl FromRequestParts<Arc<YooKassaSimulator>> for KassaCall {
    type Rejection = <Caller as FromRequestParts<Arc<YooKassaSimulator>>>::Rejection;

    async fn from_request_parts(
        parts: &mut Parts,
        shop: &Arc<YooKassaSimulator>,
    ) -> Result<KassaCall, Self::Rejection> {
        Ok(KassaCall {
            shop: Arc::clone(shop),
            path: parts.uri.path().to_owned(),
            headers: parts.headers.clone(),
            caller: Caller::from_request_parts(parts, shop).await?,
        })
    }
}

impl KassaCall {
    /// Whose key it shows.
    fn by(&self) -> ShopIdentity {
        ShopIdentity::of(&basic::credentials(&self.headers).unwrap_or_default())
    }

    async fn answer<J>(self, operation: Operation, job: J) -> Response
    where
        J: FnOnce(&YooKassaSimulator) -> SimulatedAnswer + Send + 'static,
    {
        let KassaCall {
            shop,
            headers,
            caller,
            ..
        } = self;
        let call = Call {
            core: Arc::clone(&shop.core),
            dialect: &YooKassaDialect,
            operation,
            caller,
            key: basic::credentials(&headers).map(|pair| shop.core.shown_key(pair)),
        };
        serve(call, move || job(&shop)).await
    }

    /// Lets `job` take effect unless a request with the same key of idempotence did within a day.
    async fn answer_once<J>(self, operation: Operation, body: Bytes, job: J) -> Response
    where
        J: FnOnce(&YooKassaSimulator, &Bytes, &ShopIdentity) -> Effect + Send + 'static,
    {
        let key = self.headers.get("Idempotence-Key");
        let key = key.and_then(|key| key.to_str().ok()).map(str::to_owned);
        let print = fingerprint(&self.path, &body);
        let by = self.by();
        let once = move |shop: &YooKassaSimulator| match key.filter(|key| is_key(key)) {
            Some(key) => once(shop, &by, (&key, print), |shop| job(shop, &body, &by)),
            None => wire::invalid("Idempotence-Key", "Idempotence key is missing or too long"),
        };
        self.answer(operation, once).await
    }
}

async fn me(call: KassaCall) -> Response {
    let by = call.by();
    let job = move |shop: &YooKassaSimulator| {
        let fiscal = shop.core.has(Variant::YooKassaReceiptRequired);
        SimulatedAnswer::without_orders(&json!({
            "account_id": by.shop,
            "status": "enabled",
            "test": by.test,
            "fiscalization": {"enabled": fiscal},
            "payment_methods": ["bank_card", "yoo_money", "sbp"],
        }))
    };
    call.answer(Operation::YooKassaMe, job).await
}

async fn get_payment(Path(id): Path<String>, call: KassaCall) -> Response {
    let job = move |shop: &YooKassaSimulator| match shop.payment(&id) {
        Some(payment) => SimulatedAnswer::data(&payment),
        None => no_payment(shop),
    };
    call.answer(Operation::YooKassaGetPayment, job).await
}

fn no_payment(shop: &YooKassaSimulator) -> SimulatedAnswer {
    if shop.core.has(Variant::YooKassaNotFound400) {
        return wire::invalid("payment_id", "Payment not found or forbidden");
    }
    YooKassaDialect.not_found()
}

async fn list_payments(Query(query): Filters, call: KassaCall) -> Response {
    let job =
        move |shop: &YooKassaSimulator| match KassaListRequest::read(&query) {
            Ok(list) => listed(shop.payments(|all, now| {
                list.payments(all, now, |payment| wire::payment(payment, now))
            })),
            Err(bad) => wire::bad_parameter(&bad),
        };
    call.answer(Operation::YooKassaListPayments, job).await
}

async fn list_refunds(Query(query): Filters, call: KassaCall) -> Response {
    let job = move |shop: &YooKassaSimulator| match KassaListRequest::read(&query) {
        Ok(list) => listed(shop.refunds(|all| list.refunds(all, wire::refund))),
        Err(bad) => wire::bad_parameter(&bad),
    };
    call.answer(Operation::YooKassaListRefunds, job).await
}

fn listed(page: ListPage<Value>) -> SimulatedAnswer {
    let mut body = json!({"type": "list", "items": page.items});
    if let Some(cursor) = page.next_cursor {
        body["next_cursor"] = cursor.into();
    }
    SimulatedAnswer::data(&body)
}

async fn get_refund(Path(id): Path<String>, call: KassaCall) -> Response {
    let job = move |shop: &YooKassaSimulator| {
        let found = shop.refunds(|all| all.iter().find(|it| it.id == id).map(wire::refund));
        found.map_or_else(
            || YooKassaDialect.not_found(),
            |refund| SimulatedAnswer::data(&refund),
        )
    };
    call.answer(Operation::YooKassaGetRefund, job).await
}

async fn create_payment(call: KassaCall, body: Bytes) -> Response {
    let job = |shop: &YooKassaSimulator, body: &Bytes, by: &ShopIdentity| {
        let needs_receipt = shop.core.has(Variant::YooKassaReceiptRequired);
        let terms = request::payment_terms(body, needs_receipt);
        let terms = terms.map_err(|bad| wire::bad_parameter(&bad))?;
        Ok(shop.create(terms, by))
    };
    call.answer_once(Operation::YooKassaCreatePayment, body, job)
        .await
}

async fn capture_payment(Path(id): Path<String>, call: KassaCall, body: Bytes) -> Response {
    let job = move |shop: &YooKassaSimulator, body: &Bytes, _: &ShopIdentity| {
        let body = request::object(body).map_err(|bad| wire::bad_parameter(&bad))?;
        let amount = request::amount_in(&body).map_err(|bad| wire::bad_parameter(&bad))?;
        let amount = amount.map(|(sum, _)| sum.to_plain_string());
        let changed = shop.alter(&id, |payment, now| payment.capture(amount.as_deref(), now));
        altered(shop, &id, changed)
    };
    call.answer_once(Operation::YooKassaCapturePayment, body, job)
        .await
}

async fn cancel_payment(Path(id): Path<String>, call: KassaCall, body: Bytes) -> Response {
    let job = move |shop: &YooKassaSimulator, _: &Bytes, _: &ShopIdentity| {
        let changed = shop.alter(&id, StoredPayment::cancel_held);
        altered(shop, &id, changed)
    };
    call.answer_once(Operation::YooKassaCancelPayment, body, job)
        .await
}

async fn create_refund(call: KassaCall, body: Bytes) -> Response {
    let job = |shop: &YooKassaSimulator, body: &Bytes, _: &ShopIdentity| {
        let wrong = |bad| wire::bad_parameter(&bad);
        let body = request::object(body).map_err(wrong)?;
        let id = body.get("payment_id").and_then(Value::as_str);
        let id = id.ok_or_else(|| wire::invalid("payment_id", "Payment id is required"))?;
        let amount = request::amount_in(&body).map_err(wrong)?;
        let (amount, _) = amount.ok_or_else(|| wire::invalid("amount", "Amount is required"))?;
        let description = request::description_in(&body).map_err(wrong)?;
        match shop.refund(id, Some(&amount), description) {
            Some(made) => made.map_err(|why| refused(&why)),
            None => Err(no_payment(shop)),
        }
    };
    call.answer_once(Operation::YooKassaCreateRefund, body, job)
        .await
}

fn altered(
    shop: &YooKassaSimulator,
    id: &str,
    changed: Option<Result<Value, PaymentRefusal>>,
) -> Effect {
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

/// Carries out `job` unless a request with the same key did within a day; `print` is the request's
/// fingerprint.
fn once(
    shop: &YooKassaSimulator,
    by: &ShopIdentity,
    (key, print): (&str, u64),
    job: impl FnOnce(&YooKassaSimulator) -> Effect,
) -> SimulatedAnswer {
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
        Recollection::New => match job(shop) {
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
