//! The control side: payers, faults and counters, for tests and people. It needs no key.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::App;
use super::book::{ControlError, CreateError, Payment};
use super::dump;
use super::fault_json::faults_of_json;
use super::money::Currency;
use super::order::OrderView;
use super::reply;
use super::wire;
use super::world::Batch;

/// Said by every answer to an unknown path.
const PATHS: [&str; 10] = [
    "POST /sandbox/orders/{id}/pay",
    "POST /sandbox/orders/{id}/cancel",
    "POST /sandbox/orders/{id}/expire",
    "GET /sandbox/orders/{id}",
    "GET /sandbox/orders?offset=0&limit=100&status=PAID",
    "POST /sandbox/orders",
    "GET /sandbox/faults",
    "PUT /sandbox/faults",
    "GET /sandbox/stats",
    "/wpay/store-api/v1/… (the provider's own operations)",
];

/// More would not fit the memory of a small machine.
const BATCH_MOST: usize = 2_000_000;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/sandbox/orders", get(dump::orders).post(seed))
        .route("/sandbox/orders/{id}", get(order))
        .route("/sandbox/orders/{id}/pay", post(pay))
        .route("/sandbox/orders/{id}/cancel", post(cancel))
        .route("/sandbox/orders/{id}/expire", post(expire))
        .route("/sandbox/faults", get(faults).put(set_faults))
        .route("/sandbox/stats", get(stats))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
}

async fn unknown(uri: Uri) -> Response {
    if uri.path().starts_with("/wpay/") {
        return answer(
            StatusCode::NOT_FOUND,
            &json!({"status": "ERROR", "message": "Not found"}),
        );
    }
    answer(
        StatusCode::NOT_FOUND,
        &json!({"error": format!("no path {}", uri.path()), "paths": PATHS}),
    )
}

async fn wrong_method(uri: Uri) -> Response {
    let error = format!("{} does not take this method", uri.path());
    answer(
        StatusCode::METHOD_NOT_ALLOWED,
        &json!({"error": error, "paths": PATHS}),
    )
}

async fn order(State(app): State<App>, Path(id): Path<String>) -> Response {
    match app.world.order(&id) {
        Some(order) => ok(&order),
        None => refused(&ControlError::Unknown(id)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeedBody {
    count: usize,
    external_id_prefix: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    timeout_seconds: Option<i64>,
}

async fn seed(State(app): State<App>, body: Bytes) -> Response {
    let body: SeedBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return bad_request(&error),
    };
    if !(1..=BATCH_MOST).contains(&body.count) {
        return bad_request(&format!(
            "count: {}; accepted: 1 to {BATCH_MOST}",
            body.count
        ));
    }
    let usual = Batch::default();
    let batch = Batch {
        count: body.count,
        external_id_prefix: body.external_id_prefix.unwrap_or(usual.external_id_prefix),
        amount: body.amount.unwrap_or(usual.amount),
        currency: body.currency.unwrap_or(usual.currency),
        timeout_seconds: body.timeout_seconds.unwrap_or(usual.timeout_seconds),
    };
    let job = move || match app.world.seed(&batch) {
        Ok(places) => ok(&json!({
            "created": places.len(),
            "firstExternalId": format!("{}{}", batch.external_id_prefix, places.start + 1),
            "lastExternalId": format!("{}{}", batch.external_id_prefix, places.end),
        })),
        Err(error @ CreateError::Invalid(_)) => bad_request(&error),
        Err(error @ CreateError::Conflict(_)) => failure(StatusCode::CONFLICT, &error),
    };
    blocking(job).await
}

#[derive(Deserialize)]
struct Late {
    #[serde(default)]
    late: bool,
}

type LateQuery = Result<Query<Late>, QueryRejection>;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    currency: Option<String>,
    amount: Option<String>,
    #[serde(default)]
    late: bool,
}

impl ChangeBody {
    /// No body at all is as good as `{}`; `late` may stand in the query as well.
    fn read(body: &[u8], query: LateQuery) -> Result<ChangeBody, String> {
        let mut read = match body.trim_ascii() {
            [] => ChangeBody::default(),
            json => {
                serde_json::from_slice::<ChangeBody>(json).map_err(|error| error.to_string())?
            }
        };
        read.late |= query.map_err(|error| error.body_text())?.late;
        Ok(read)
    }
}

async fn pay(
    State(app): State<App>,
    Path(id): Path<String>,
    query: LateQuery,
    body: Bytes,
) -> Response {
    let body = match ChangeBody::read(&body, query) {
        Ok(body) => body,
        Err(error) => return bad_request(&error),
    };
    let currency = match body.currency.as_deref().map(Currency::parse).transpose() {
        Ok(currency) => currency,
        Err(error) => return bad_request(&format!("currency: {error}")),
    };
    let payment = Payment {
        currency,
        amount: body.amount,
        late: body.late,
    };
    changed(app.world.pay(&id, &payment))
}

async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    query: LateQuery,
    body: Bytes,
) -> Response {
    match ChangeBody::read(&body, query) {
        Ok(body) => changed(app.world.cancel(&id, body.late)),
        Err(error) => bad_request(&error),
    }
}

async fn expire(
    State(app): State<App>,
    Path(id): Path<String>,
    query: LateQuery,
    body: Bytes,
) -> Response {
    match ChangeBody::read(&body, query) {
        Ok(body) => changed(app.world.expire(&id, body.late)),
        Err(error) => bad_request(&error),
    }
}

async fn faults(State(app): State<App>) -> Response {
    ok(&app.world.faults())
}

async fn set_faults(State(app): State<App>, body: Bytes) -> Response {
    match faults_of_json(&body) {
        Ok(faults) => {
            app.world.set_faults(faults);
            ok(&app.world.faults())
        }
        Err(error) => bad_request(&error),
    }
}

async fn stats(State(app): State<App>) -> Response {
    blocking(move || ok(&app.world.stats())).await
}

/// What walks over all orders stays off the threads that answer requests.
async fn blocking(job: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(job)
        .await
        .unwrap_or_else(|_| reply::going_away())
}

fn changed(result: Result<OrderView, ControlError>) -> Response {
    match result {
        Ok(order) => ok(&order),
        Err(error) => refused(&error),
    }
}

fn refused(error: &ControlError) -> Response {
    let http = match error {
        ControlError::Unknown(_) => StatusCode::NOT_FOUND,
        ControlError::Ended { .. } => StatusCode::CONFLICT,
        ControlError::Invalid(_) => StatusCode::BAD_REQUEST,
    };
    failure(http, error)
}

pub(super) fn bad_request(error: &impl ToString) -> Response {
    failure(StatusCode::BAD_REQUEST, error)
}

fn failure(http: StatusCode, error: &impl ToString) -> Response {
    answer(http, &json!({ "error": error.to_string() }))
}

fn ok(value: &impl Serialize) -> Response {
    answer(StatusCode::OK, value)
}

fn answer(http: StatusCode, value: &impl Serialize) -> Response {
    reply::plain(http, reply::JSON, Body::from(wire::json(value)))
}
