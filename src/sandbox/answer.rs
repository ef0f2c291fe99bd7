//! A whole answer before faults and compression.

use axum::http::StatusCode;
use bytes::Bytes;
use serde::Serialize;

#[derive(Debug, Clone)]
pub(super) struct SimulatedAnswer {
    pub http: StatusCode,
    pub body: Bytes,
    /// Contains the data of an operation, which body faults can alter.
    pub has_data: bool,
    /// The number of the first entry on the page, where a list is paged by position.
    pub page_start: usize,
    /// The header `WWW-Authenticate`.
    pub challenge: Option<&'static str>,
}

impl SimulatedAnswer {
    /// 200 with the data of an operation.
    pub fn data(body: &impl Serialize) -> SimulatedAnswer {
        SimulatedAnswer {
            http: StatusCode::OK,
            body: json(body),
            has_data: true,
            page_start: 0,
            challenge: None,
        }
    }

    /// Its page begins with this entry.
    pub fn starting_at(self, page_start: usize) -> SimulatedAnswer {
        SimulatedAnswer { page_start, ..self }
    }

    /// 200 with data that contains no orders.
    pub fn without_orders(body: &impl Serialize) -> SimulatedAnswer {
        SimulatedAnswer::failure(StatusCode::OK, body)
    }

    /// An answer without orders: a refusal or an error.
    pub fn failure(http: StatusCode, body: &impl Serialize) -> SimulatedAnswer {
        SimulatedAnswer {
            http,
            body: json(body),
            has_data: false,
            page_start: 0,
            challenge: None,
        }
    }
}

/// Serialization cannot fail here; an empty body would show that it did.
pub(super) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
