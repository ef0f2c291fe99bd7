//! The four store operations over HTTP.
//!
//! Each request passes the same gates: counted, delayed by the latency, key, rate limit, fault. Only then
//! is it carried out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::PreviewId;
use super::book::CreateError;
use super::fault::Operation;
use super::link::Link;
use super::play;
use super::reply::{self, accepts_gzip};
use super::wire::{self, Answer, Preview, Total};
use super::world::World;

/// What every handler gets.
#[derive(Clone)]
pub(super) struct App {
    pub world: Arc<World>,
    /// `None` = any key that is not empty.
    pub api_key: Option<Arc<str>>,
    pub latency: Duration,
    pub preview_id: PreviewId,
    pub gzip: bool,
    pub limit_tells_wait: bool,
    /// Ends all that waits on purpose.
    pub stopping: CancellationToken,
}

/// Who asks: the connection, the key that was shown, and whether gzip is understood.
pub(super) struct Caller {
    pub link: Link,
    pub gzip: bool,
    key: Option<String>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = <ConnectInfo<Link> as FromRequestParts<App>>::Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, Self::Rejection> {
        let ConnectInfo(link) = ConnectInfo::<Link>::from_request_parts(parts, app).await?;
        let gzip = app.gzip && accepts_gzip(&parts.headers);
        Ok(Caller {
            link,
            gzip,
            key: key_of(&parts.headers),
        })
    }
}

fn key_of(headers: &HeaderMap) -> Option<String> {
    let key = headers.get("Wpay-Store-Api-Key")?.to_str().ok()?;
    Some(key.to_owned())
}

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/wpay/store-api/v1/order", post(create))
        .route("/wpay/store-api/v1/order/preview", get(preview))
        .route("/wpay/store-api/v1/reconciliation/order-list", get(list))
        .route(
            "/wpay/store-api/v1/reconciliation/order-amount",
            get(amount),
        )
}

async fn create(State(app): State<App>, caller: Caller, body: Bytes) -> Response {
    let form = app.preview_id;
    let job = move |world: &World| {
        let new = match wire::read_create(&body) {
            Ok(new) => new,
            Err(answer) => return answer,
        };
        match world.create(&new) {
            Ok(created) => {
                let status = if created.already {
                    "ALREADY"
                } else {
                    "SUCCESS"
                };
                wire::success(status, &Preview::of(&created.order, form))
            }
            Err(error @ CreateError::Invalid(_)) => {
                wire::refusal("INVALID_REQUEST", &error.to_string())
            }
            Err(error @ CreateError::Conflict(_)) => wire::refusal("CONFLICT", &error.to_string()),
        }
    };
    serve(app, Operation::Create, caller, job).await
}

#[derive(Deserialize)]
struct PreviewQuery {
    id: Option<String>,
}

async fn preview(
    State(app): State<App>,
    caller: Caller,
    query: Result<Query<PreviewQuery>, QueryRejection>,
) -> Response {
    let form = app.preview_id;
    let id = query
        .ok()
        .and_then(|Query(query)| query.id)
        .filter(|id| !id.is_empty());
    let job = move |world: &World| {
        let Some(id) = id else {
            return wire::error(
                StatusCode::BAD_REQUEST,
                "Invalid request: query parameter id is required",
            );
        };
        match world.by_id(&id) {
            Some(order) => wire::success("SUCCESS", &Preview::of(&order, form)),
            None => wire::error(StatusCode::NOT_FOUND, "Order not found"),
        }
    };
    serve(app, Operation::Preview, caller, job).await
}

#[derive(Deserialize)]
struct ListQuery {
    offset: i64,
    count: i32,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let job = move |world: &World| {
        let Ok(Query(ListQuery { offset, count })) = query else {
            let problem =
                "Invalid request: query parameters offset and count are required, whole numbers";
            return wire::error(StatusCode::BAD_REQUEST, problem);
        };
        let Ok(offset) = usize::try_from(offset) else {
            return wire::refusal(
                "INVALID_REQUEST",
                &format!("offset: {offset}; accepted: 0 or more"),
            );
        };
        match usize::try_from(count) {
            Ok(count @ 0..=10_000) => world.page(offset, count, |orders, now| {
                wire::success("SUCCESS", &wire::page(orders, now))
            }),
            _ => wire::refusal(
                "INVALID_REQUEST",
                &format!("count: {count}; accepted: 0 to 10000"),
            ),
        }
    };
    serve(app, Operation::List, caller, job).await
}

async fn amount(State(app): State<App>, caller: Caller) -> Response {
    let job = |world: &World| {
        wire::success(
            "SUCCESS",
            &Total {
                total_amount: world.len(),
            },
        )
    };
    serve(app, Operation::Amount, caller, job).await
}

async fn serve<J>(app: App, operation: Operation, caller: Caller, job: J) -> Response
where
    J: FnOnce(&World) -> Answer + Send + 'static,
{
    let _in_flight = InFlight::enter(&app.world, operation);
    if !app.latency.is_zero() {
        let _ = app
            .stopping
            .run_until_cancelled(tokio::time::sleep(app.latency))
            .await;
    }
    let known = match (&app.api_key, caller.key.as_deref()) {
        (_, None | Some("")) => false,
        (Some(expected), Some(given)) => **expected == *given,
        (None, Some(_)) => true,
    };
    if !known {
        app.world.tally().unauthorized += 1;
        let refused = wire::error(StatusCode::UNAUTHORIZED, "Invalid API key");
        return reply::whole(&app.world, operation, refused, caller.gzip);
    }
    if let Some(wait_s) = app.world.over_limit() {
        app.world.tally().rate_limited += 1;
        let refused = wire::error(StatusCode::TOO_MANY_REQUESTS, "Request limit reached");
        let mut response = reply::whole(&app.world, operation, refused, caller.gzip);
        if app.limit_tells_wait {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, wait_s.into());
        }
        return response;
    }
    if let Some(dealt) = app.world.deal(operation) {
        return play::play(app, operation, caller, dealt, job).await;
    }
    let world = Arc::clone(&app.world);
    on_its_own_thread(operation, move || {
        reply::whole(&world, operation, job(&world), caller.gzip)
    })
    .await
}

/// A page of the list takes milliseconds to write and more to compress: other requests must not wait for it.
pub(super) async fn on_its_own_thread<J>(operation: Operation, job: J) -> Response
where
    J: FnOnce() -> Response + Send + 'static,
{
    match operation {
        Operation::List => tokio::task::spawn_blocking(job)
            .await
            .unwrap_or_else(|_| reply::going_away()),
        Operation::Create | Operation::Preview | Operation::Amount => job(),
    }
}

/// Counts a request in, and out again however it ends: answered, reset or abandoned by the client.
struct InFlight(Arc<World>);

impl InFlight {
    fn enter(world: &Arc<World>, operation: Operation) -> InFlight {
        let now = world.now();
        world.tally().request(operation, now);
        InFlight(Arc::clone(world))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.tally().in_flight -= 1;
    }
}
