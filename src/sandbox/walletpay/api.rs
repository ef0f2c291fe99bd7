//! The four store operations over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use serde::Deserialize;

use super::store::WalletPaySimulator;
use super::wire::{self, OrderCount, WrittenPreview};
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::call::{Call, Caller};
use crate::sandbox::core::SandboxCore;
use crate::sandbox::dialect::Dialect;
use crate::sandbox::faults::DataShape;
use crate::sandbox::operation::Operation;
use crate::sandbox::reply;
use crate::sandbox::serve::serve;
use crate::sandbox::simulator::{CreateError, Simulator as _};
use crate::sandbox::variant::Variant;

type SimulatorState = State<Arc<WalletPaySimulator>>;

pub(in crate::sandbox) fn routes(store: Arc<WalletPaySimulator>) -> Router {
    Router::new()
        .route("/wpay/store-api/v1/order", post(create))
        .route("/wpay/store-api/v1/order/preview", get(preview))
        .route("/wpay/store-api/v1/reconciliation/order-list", get(list))
        .route(
            "/wpay/store-api/v1/reconciliation/order-amount",
            get(amount),
        )
        .route("/wpay/{*rest}", any(unknown))
        .with_state(store)
}

fn call(
    store: &WalletPaySimulator,
    operation: Operation,
    caller: Caller,
    headers: &HeaderMap,
) -> Call {
    let key = headers.get("Wpay-Store-Api-Key");
    Call {
        core: Arc::clone(&store.core),
        dialect: &WalletPayDialect,
        operation,
        caller,
        key: key.and_then(|key| key.to_str().ok()).map(str::to_owned),
    }
}

async fn create(
    State(store): SimulatorState,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = call(&store, Operation::Create, caller, &headers);
    serve(call, move || created(&store, &body)).await
}

fn created(store: &WalletPaySimulator, body: &[u8]) -> SimulatedAnswer {
    let new = match wire::read_create(body) {
        Ok(new) => new,
        Err(answer) => return answer,
    };
    let number_id = store.core.has(Variant::WalletPayNumberId);
    let shown = store.make(&new, |order, already, now| {
        let status = if already { "ALREADY" } else { "SUCCESS" };
        wire::success(status, &WrittenPreview::of(order, now, number_id))
    });
    shown.unwrap_or_else(|error| {
        let word = match error {
            CreateError::Invalid(_) => "INVALID_REQUEST",
            CreateError::Conflict(_) => "CONFLICT",
        };
        wire::refusal(word, &error.to_string())
    })
}

#[derive(Deserialize)]
struct PreviewQuery {
    id: Option<String>,
}

async fn preview(
    State(store): SimulatorState,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<PreviewQuery>, QueryRejection>,
) -> Response {
    let id = query
        .ok()
        .and_then(|Query(query)| query.id)
        .filter(|id| !id.is_empty());
    let call = call(&store, Operation::Preview, caller, &headers);
    let job = move || {
        let Some(id) = id else {
            return wire::error(
                StatusCode::BAD_REQUEST,
                "Invalid request: query parameter id is required",
            );
        };
        let number_id = store.core.has(Variant::WalletPayNumberId);
        let shown = store.by_id(&id, |order, now| {
            wire::success("SUCCESS", &WrittenPreview::of(order, now, number_id))
        });
        shown.unwrap_or_else(|| wire::error(StatusCode::NOT_FOUND, "Order not found"))
    };
    serve(call, job).await
}

#[derive(Deserialize)]
struct ListQuery {
    offset: i64,
    count: i32,
}

async fn list(
    State(store): SimulatorState,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let call = call(&store, Operation::List, caller, &headers);
    let job = move || {
        let Ok(Query(ListQuery { offset, count })) = query else {
            let problem =
                "Invalid request: query parameters offset and count are required, whole numbers";
            return wire::error(StatusCode::BAD_REQUEST, problem);
        };
        let Ok(offset) = usize::try_from(offset) else {
            return wire::refusal(
                "INVALID_REQUEST",
                &format!("offset: {offset}; expected: 0 or more"),
            );
        };
        match usize::try_from(count) {
            Ok(count @ 0..=10_000) => store.page(offset, count, |orders, now| {
                wire::success("SUCCESS", &wire::page(orders, now))
            }),
            _ => wire::refusal(
                "INVALID_REQUEST",
                &format!("count: {count}; expected: 0 to 10000"),
            ),
        }
    };
    serve(call, job).await
}

async fn amount(State(store): SimulatorState, caller: Caller, headers: HeaderMap) -> Response {
    let call = call(&store, Operation::Amount, caller, &headers);
    let job = move || {
        wire::success(
            "SUCCESS",
            &OrderCount {
                total_amount: store.len(),
            },
        )
    };
    serve(call, job).await
}

async fn unknown() -> Response {
    reply::uncounted(wire::error(StatusCode::NOT_FOUND, "Not found"))
}

/// The failures of Wallet Pay.
struct WalletPayDialect;

static SHAPE: DataShape = DataShape {
    paths: &[&["data", "items"], &["data"]],
    id: "id",
    status: "status",
    open: "ACTIVE",
    unknown: "ON_HOLD",
    final_fields: &[
        "completedDateTime",
        "paymentDateTime",
        "selectedPaymentOption",
    ],
    beside: &["message"],
    absent: &[
        (
            "externalId",
            &[
                "paymentDateTime",
                "selectedPaymentOption",
                "autoConversionCurrency",
            ],
        ),
        ("payLink", &["completedDateTime", "autoConversionCurrency"]),
    ],
    short_page: Some(100),
    next_page: None,
};

impl Dialect for WalletPayDialect {
    fn shape(&self) -> &'static DataShape {
        &SHAPE
    }

    fn unauthorized(&self, _: &SandboxCore) -> SimulatedAnswer {
        wire::error(StatusCode::UNAUTHORIZED, "Invalid API key")
    }

    fn too_many_requests(&self, _: Option<&str>) -> SimulatedAnswer {
        wire::error(StatusCode::TOO_MANY_REQUESTS, "Request limit reached")
    }

    fn server_error(&self) -> SimulatedAnswer {
        wire::error(StatusCode::INTERNAL_SERVER_ERROR, "Unexpected error")
    }

    fn not_found(&self) -> SimulatedAnswer {
        wire::error(StatusCode::NOT_FOUND, "Order not found")
    }

    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer {
        wire::refusal(word.unwrap_or("INTERNAL_ERROR"), "Something went wrong")
    }
}
