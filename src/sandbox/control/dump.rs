//! All orders at once: `GET /sandbox/orders`.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures::future;
use futures::stream::{self, StreamExt};
use serde::Deserialize;

use super::bad_request;
use crate::sandbox::answer;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::reply;
use crate::sandbox::simulator::OrderView;
use crate::sandbox::world::World;

/// Orders per chunk: a few milliseconds under the lock.
const ORDERS_CHUNK: usize = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersQuery {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
    status: Option<String>,
    provider: Option<String>,
}

/// `limit` counts orders read, before `status` filters them. Sent in chunks: a million orders are
/// 280 MB. Each chunk shows its own moment.
pub(super) async fn orders(
    State(world): State<Arc<World>>,
    query: Result<Query<OrdersQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return bad_request(&error.body_text()),
    };
    let provider = query.provider.as_deref().map(SimulatedProvider::parse);
    let provider = match provider.transpose() {
        Ok(provider) => provider,
        Err(error) => return bad_request(&format!("provider: {error}")),
    };
    if let Some(problem) = query
        .status
        .as_deref()
        .and_then(|word| unknown(&world, word))
    {
        return bad_request(&problem);
    }
    let end = query
        .offset
        .saturating_add(query.limit.unwrap_or(usize::MAX));
    let items = stream::unfold((query.offset, false), move |(offset, begun)| {
        let count = ORDERS_CHUNK.min(end.saturating_sub(offset));
        let views = world.page(provider, offset, count);
        let read = views.len();
        let wanted =
            |view: &&OrderView| query.status.as_ref().is_none_or(|word| view.status == word);
        let json = chunk(views.iter().filter(wanted), begun);
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

/// The error for a status that no provider has.
fn unknown(world: &World, status: &str) -> Option<String> {
    let counts = world.stats().orders;
    let mut accepted: Vec<_> = counts.values().flat_map(BTreeMap::keys).collect();
    if accepted.iter().any(|known| **known == status) {
        return None;
    }
    let mut seen = HashSet::new();
    accepted.retain(|known| seen.insert(**known));
    let accepted: Vec<_> = accepted.into_iter().copied().collect();
    Some(format!(
        "status: {status:?}; expected: {}",
        accepted.join(", ")
    ))
}

/// The orders as JSON, each after a comma except the very first.
fn chunk<'a>(views: impl Iterator<Item = &'a OrderView>, begun: bool) -> Bytes {
    let mut json = Vec::new();
    for view in views {
        if begun || !json.is_empty() {
            json.push(b',');
        }
        json.extend_from_slice(&answer::json(view));
    }
    json.into()
}
