//! The failures of YooKassa.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::core::SandboxCore;
use crate::sandbox::dialect::Dialect;
use crate::sandbox::faults::DataShape;

pub(super) struct YooKassaDialect;

static SHAPE: DataShape = DataShape {
    paths: &[&["items"], &[]],
    id: "id",
    status: "status",
    open: "pending",
    unknown: "in_review",
    final_fields: &[
        "captured_at",
        "income_amount",
        "refunded_amount",
        "cancellation_details",
        "paid",
    ],
    beside: &[],
    absent: &[(
        "id",
        &["captured_at", "income_amount", "expires_at", "description"],
    )],
    // The cursor points to the end of the whole page.
    short_page: None,
    next_page: None,
};

impl Dialect for YooKassaDialect {
    fn shape(&self) -> &'static DataShape {
        &SHAPE
    }

    fn unauthorized(&self, _: &SandboxCore) -> SimulatedAnswer {
        let words = "Basic authentication failed";
        wire::error(
            StatusCode::UNAUTHORIZED,
            "invalid_credentials",
            words,
            &Value::Null,
        )
    }

    fn too_many_requests(&self, wait: Option<&str>) -> SimulatedAnswer {
        let seconds: Option<u64> = wait.and_then(|wait| wait.parse().ok());
        let more = seconds.map_or(
            Value::Null,
            |seconds| json!({"retry_after": seconds.saturating_mul(1000)}),
        );
        let http = StatusCode::TOO_MANY_REQUESTS;
        wire::error(http, "too_many_requests", "Too many requests", &more)
    }

    fn server_error(&self) -> SimulatedAnswer {
        let http = StatusCode::INTERNAL_SERVER_ERROR;
        wire::error(
            http,
            "internal_server_error",
            "Internal server error",
            &Value::Null,
        )
    }

    fn not_found(&self) -> SimulatedAnswer {
        let words = "Payment doesn't exist or access denied";
        wire::error(StatusCode::NOT_FOUND, "not_found", words, &Value::Null)
    }

    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer {
        let code = word.unwrap_or("internal_server_error");
        wire::error(StatusCode::OK, code, "Something went wrong", &Value::Null)
    }
}
