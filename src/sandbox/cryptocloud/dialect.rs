//! The failures of CryptoCloud.

use axum::http::StatusCode;
use serde_json::json;

use super::wire;
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::core::SandboxCore;
use crate::sandbox::dialect::Dialect;
use crate::sandbox::faults::DataShape;
use crate::sandbox::variant::Variant;

pub(super) struct CryptoCloudDialect;

static SHAPE: DataShape = DataShape {
    paths: &[&["result"]],
    id: "uuid",
    status: "status",
    open: "created",
    unknown: "processing",
    final_fields: &[
        "date_finished",
        "received",
        "received_usd",
        "amount_paid",
        "amount_paid_usd",
        "invoice_status",
    ],
    beside: &[],
    absent: &[("uuid", &["order_id", "received", "invoice_status"])],
    short_page: Some(10),
    next_page: None,
};

impl Dialect for CryptoCloudDialect {
    fn shape(&self) -> &'static DataShape {
        &SHAPE
    }

    fn unauthorized(&self, core: &SandboxCore) -> SimulatedAnswer {
        let http = StatusCode::UNAUTHORIZED;
        if core.has(Variant::CryptoCloud401Detail) {
            return SimulatedAnswer::failure(http, &json!({"detail": "Invalid token."}));
        }
        wire::refusal(http, &json!({"authorization": "Unauthorized request."}))
    }

    fn too_many_requests(&self, wait: Option<&str>) -> SimulatedAnswer {
        let when = wait.map(|wait| format!(" Expected available in {wait} seconds."));
        let words = format!("Request was throttled.{}", when.unwrap_or_default());
        SimulatedAnswer::failure(StatusCode::TOO_MANY_REQUESTS, &json!({"detail": words}))
    }

    fn server_error(&self) -> SimulatedAnswer {
        let http = StatusCode::INTERNAL_SERVER_ERROR;
        SimulatedAnswer::failure(http, &json!({"detail": "Internal server error."}))
    }

    fn not_found(&self) -> SimulatedAnswer {
        SimulatedAnswer::failure(StatusCode::NOT_FOUND, &json!({"detail": "Not found."}))
    }

    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer {
        let word = word.unwrap_or("Something went wrong.");
        wire::refusal(StatusCode::OK, &json!({"error": word}))
    }
}
