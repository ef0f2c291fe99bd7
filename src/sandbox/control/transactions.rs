//! Movements of money in the ledgers: `GET` and `POST /sandbox/transactions`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_request, ok, refused};
use crate::sandbox::ledger::NewTransaction;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransactionBody {
    provider: String,
    external_id: Option<String>,
    /// A text or a number.
    amount: Option<Value>,
    direction: Option<String>,
    via: Option<String>,
    transaction_id: Option<String>,
    status: Option<String>,
    kind: Option<String>,
}

pub(super) async fn transactions(State(world): State<Arc<World>>) -> Response {
    ok(&json!({"transactions": world.transactions()}))
}

pub(super) async fn add(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let body: TransactionBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return bad_request(&error),
    };
    let provider = match SimulatedProvider::parse(&body.provider) {
        Ok(provider) => provider,
        Err(error) => return bad_request(&format!("provider: {error}")),
    };
    let is_out = match body.direction.as_deref() {
        None | Some("in") => false,
        Some("out") => true,
        Some(other) => return bad_request(&format!("direction: {other:?}; accepted: in, out")),
    };
    let new = NewTransaction {
        external_id: body.external_id,
        amount: body.amount.map(|amount| match amount {
            Value::String(text) => text,
            other => other.to_string(),
        }),
        is_out,
        via: body.via,
        transaction_id: body.transaction_id,
        status: body.status,
        kind: body.kind,
    };
    match world.add_transaction(provider, &new) {
        Ok(view) => ok(&view),
        Err(error) => refused(&error),
    }
}
