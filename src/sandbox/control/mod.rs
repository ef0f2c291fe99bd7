//! The control API: payers, faults and counters, for tests and people. It needs no key.

mod dump;
mod transactions;

use std::sync::Arc;

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

use super::answer;
use super::faults::faults_of_json;
use super::operation::SimulatedProvider;
use super::reply;
use super::simulator::{
    ControlError, CreateError, OrderAction, OrderBatch, OrderEnding, OrderView, SimulatedPayment,
    SimulatedRefund,
};
use super::world::World;

type Hands = State<Arc<World>>;

/// Listed in every answer to an unknown path.
const PATHS: &[&str] = &[
    "POST /sandbox/orders/{id}/pay",
    "POST /sandbox/orders/{id}/cancel",
    "POST /sandbox/orders/{id}/expire",
    "POST /sandbox/orders/{id}/refund",
    "GET /sandbox/orders/{id}",
    "GET /sandbox/orders?offset=0&limit=100&status=WORD&provider=NAME",
    "POST /sandbox/orders",
    "GET /sandbox/transactions",
    "POST /sandbox/transactions",
    "GET /sandbox/faults",
    "PUT /sandbox/faults",
    "GET /sandbox/stats",
];

/// More would not fit the memory of a small machine.
const BATCH_MOST: usize = 2_000_000;

pub(super) fn routes(world: Arc<World>) -> Router {
    Router::new()
        .route("/sandbox/orders", get(dump::orders).post(seed))
        .route("/sandbox/orders/{id}", get(order))
        .route("/sandbox/orders/{id}/pay", post(pay))
        .route("/sandbox/orders/{id}/cancel", post(cancel))
        .route("/sandbox/orders/{id}/expire", post(expire))
        .route("/sandbox/orders/{id}/refund", post(refund))
        .route(
            "/sandbox/transactions",
            get(transactions::transactions).post(transactions::add),
        )
        .route("/sandbox/faults", get(faults).put(set_faults))
        .route("/sandbox/stats", get(stats))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(world)
}

async fn unknown(uri: Uri) -> Response {
    let error = format!("no path {}", uri.path());
    respond(
        StatusCode::NOT_FOUND,
        &json!({"error": error, "paths": paths()}),
    )
}

async fn wrong_method(uri: Uri) -> Response {
    let error = format!("{} does not take this method", uri.path());
    respond(
        StatusCode::METHOD_NOT_ALLOWED,
        &json!({"error": error, "paths": paths()}),
    )
}

fn paths() -> Vec<String> {
    let providers = SimulatedProvider::ALL.iter();
    let apis = providers.map(|provider| format!("{} ({provider})", provider.paths()));
    PATHS
        .iter()
        .map(|path| (*path).to_owned())
        .chain(apis)
        .collect()
}

async fn order(State(world): Hands, Path(id): Path<String>, query: TargetQuery) -> Response {
    let provider = match provider_of(query) {
        Ok((provider, _)) => provider,
        Err(error) => return bad_request(&error),
    };
    match world.order_at(provider, &id) {
        Some(order) => ok(&order),
        None => refused(&ControlError::Unknown(id)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeedBody {
    provider: Option<String>,
    count: usize,
    external_id_prefix: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    timeout_seconds: Option<i64>,
}

async fn seed(State(world): Hands, body: Bytes) -> Response {
    let body: SeedBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return bad_request(&error),
    };
    if !(1..=BATCH_MOST).contains(&body.count) {
        return bad_request(&format!(
            "count: {}; expected: 1 to {BATCH_MOST}",
            body.count
        ));
    }
    let usual = OrderBatch::default();
    let provider = body.provider.as_deref().map(SimulatedProvider::parse);
    let provider = match provider.transpose() {
        Ok(provider) => provider.unwrap_or(usual.provider),
        Err(error) => return bad_request(&format!("provider: {error}")),
    };
    let batch = OrderBatch {
        provider,
        count: body.count,
        external_id_prefix: body.external_id_prefix.unwrap_or(usual.external_id_prefix),
        amount: body.amount.unwrap_or(usual.amount),
        currency: body.currency,
        timeout_seconds: body.timeout_seconds.unwrap_or(usual.timeout_seconds),
    };
    let job = move || match world.seed(&batch) {
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

/// The order to change, and whether it may have ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    provider: Option<String>,
    #[serde(default)]
    late: bool,
}

type TargetQuery = Result<Query<Target>, QueryRejection>;

fn provider_of(query: TargetQuery) -> Result<(Option<SimulatedProvider>, bool), String> {
    let Query(target) = query.map_err(|error| error.body_text())?;
    let provider = target.provider.as_deref().map(SimulatedProvider::parse);
    let provider = provider.transpose();
    let provider = provider.map_err(|error| format!("provider: {error}"))?;
    Ok((provider, target.late))
}

/// The parameters of all changes; each change uses its own.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    currency: Option<String>,
    amount: Option<String>,
    capture: Option<bool>,
    #[serde(default)]
    confirm: bool,
    reason: Option<String>,
    party: Option<String>,
    #[serde(default)]
    late: bool,
}

impl ChangeBody {
    fn payment(self) -> OrderAction {
        OrderAction::Pay(SimulatedPayment {
            currency: self.currency,
            amount: self.amount,
            late: self.late,
            capture: self.capture,
            confirm: self.confirm,
        })
    }

    fn ending(self) -> OrderEnding {
        OrderEnding {
            late: self.late,
            reason: self.reason,
            party: self.party,
        }
    }
}

async fn pay(
    State(world): Hands,
    Path(id): Path<String>,
    query: TargetQuery,
    body: Bytes,
) -> Response {
    change(&world, &id, query, &body, ChangeBody::payment)
}

async fn cancel(
    State(world): Hands,
    Path(id): Path<String>,
    query: TargetQuery,
    body: Bytes,
) -> Response {
    let action = |body: ChangeBody| OrderAction::Cancel(body.ending());
    change(&world, &id, query, &body, action)
}

async fn expire(
    State(world): Hands,
    Path(id): Path<String>,
    query: TargetQuery,
    body: Bytes,
) -> Response {
    let action = |body: ChangeBody| OrderAction::Expire(body.ending());
    change(&world, &id, query, &body, action)
}

async fn refund(
    State(world): Hands,
    Path(id): Path<String>,
    query: TargetQuery,
    body: Bytes,
) -> Response {
    let action = |body: ChangeBody| {
        OrderAction::Refund(SimulatedRefund {
            amount: body.amount,
        })
    };
    change(&world, &id, query, &body, action)
}

/// A missing body counts as `{}`; `late` may also be in the query.
fn change(
    world: &World,
    id: &str,
    query: TargetQuery,
    body: &[u8],
    action: impl FnOnce(ChangeBody) -> OrderAction,
) -> Response {
    let (provider, late) = match provider_of(query) {
        Ok(target) => target,
        Err(error) => return bad_request(&error),
    };
    let body = match body.trim_ascii() {
        [] => Ok(ChangeBody::default()),
        json => serde_json::from_slice::<ChangeBody>(json),
    };
    match body {
        Ok(mut body) => {
            body.late |= late;
            changed(world.act(provider, id, &action(body)))
        }
        Err(error) => bad_request(&error),
    }
}

async fn faults(State(world): Hands) -> Response {
    ok(&world.faults())
}

async fn set_faults(State(world): Hands, body: Bytes) -> Response {
    match faults_of_json(&body) {
        Ok(faults) => {
            world.set_faults(faults);
            ok(&world.faults())
        }
        Err(error) => bad_request(&error),
    }
}

async fn stats(State(world): Hands) -> Response {
    blocking(move || ok(&world.stats())).await
}

/// Operations over all orders run outside the threads that answer requests.
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
    respond(http, &json!({ "error": error.to_string() }))
}

fn ok(value: &impl Serialize) -> Response {
    respond(StatusCode::OK, value)
}

fn respond(http: StatusCode, value: &impl Serialize) -> Response {
    reply::plain(http, reply::JSON, Body::from(answer::json(value)))
}
