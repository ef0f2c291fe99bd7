//! All orders at once: `GET /sandbox/orders`.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures::future;
use futures::stream::{self, StreamExt};
use serde::Deserialize;

use super::api::App;
use super::control::bad_request;
use super::order::{Order, Status};
use super::reply;
use super::wire;
use super::world::World;

/// Orders a chunk: a few milliseconds under the lock.
const ORDERS_CHUNK: usize = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersQuery {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
    status: Option<String>,
}

/// `limit` counts orders read, before `status` picks among them. Sent in chunks: a million orders are
/// 280 MB. Each chunk is true at its own moment.
pub(super) async fn orders(
    State(app): State<App>,
    query: Result<Query<OrdersQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return bad_request(&error.body_text()),
    };
    let status = match query.status.as_deref().map(status_of).transpose() {
        Ok(status) => status,
        Err(error) => return bad_request(&error),
    };
    let end = query
        .offset
        .saturating_add(query.limit.unwrap_or(usize::MAX));
    let items = stream::unfold((query.offset, false), move |(offset, begun)| {
        let count = ORDERS_CHUNK.min(end.saturating_sub(offset));
        let (read, json) = chunk(&app.world, offset, count, status, begun);
        let begun = begun || !json.is_empty();
        future::ready((read > 0).then(|| (json, (offset + read, begun))))
    });
    let items = items.filter(|json| future::ready(!json.is_empty()));
    let opening = stream::iter([Bytes::from_static(b"{\"orders\":[")]);
    let whole = opening
        .chain(items)
        .chain(stream::iter([Bytes::from_static(b"]}")]));
    reply::plain(
        StatusCode::OK,
        reply::JSON,
        Body::from_stream(whole.map(Ok::<_, Infallible>)),
    )
}

fn status_of(word: &str) -> Result<Status, String> {
    let accepted = Status::ALL.map(Status::word).join(", ");
    let known = Status::ALL.into_iter().find(|status| status.word() == word);
    known.ok_or_else(|| format!("status: {word:?}; accepted: {accepted}"))
}

/// How many orders were read, and those wanted as JSON, each after a comma but the very first.
fn chunk(
    world: &World,
    offset: usize,
    count: usize,
    status: Option<Status>,
    begun: bool,
) -> (usize, Bytes) {
    let mut json = Vec::new();
    let read = world.page(offset, count, |orders, now| {
        let wanted = |order: &&Order| status.is_none_or(|status| order.status(now).0 == status);
        for order in orders.iter().filter(wanted) {
            if begun || !json.is_empty() {
                json.push(b',');
            }
            json.extend_from_slice(&wire::json(&order.view(now)));
        }
        orders.len()
    });
    (read, json.into())
}
