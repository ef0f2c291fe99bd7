//! The failures of the Bot API.

use axum::http::StatusCode;
use serde_json::json;

use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::core::SandboxCore;
use crate::sandbox::dialect::Dialect;
use crate::sandbox::faults::DataShape;

pub(super) struct BotApiDialect;

static SHAPE: DataShape = DataShape {
    paths: &[&["result", "transactions"]],
    id: "id",
    status: "date",
    open: "",
    unknown: "later",
    final_fields: &[],
    beside: &[],
    absent: &[],
    short_page: Some(10),
    next_page: None,
};

pub(super) fn error(http: StatusCode, description: &str) -> SimulatedAnswer {
    let code = http.as_u16();
    let body = json!({"ok": false, "error_code": code, "description": description});
    SimulatedAnswer::failure(http, &body)
}

impl Dialect for BotApiDialect {
    fn shape(&self) -> &'static DataShape {
        &SHAPE
    }

    fn unauthorized(&self, _: &SandboxCore) -> SimulatedAnswer {
        error(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    /// The wait is always in the body, with or without a header.
    fn too_many_requests(&self, wait: Option<&str>) -> SimulatedAnswer {
        let seconds: u64 = wait.and_then(|wait| wait.parse().ok()).unwrap_or(1);
        let body = json!({
            "ok": false,
            "error_code": 429,
            "description": format!("Too Many Requests: retry after {seconds}"),
            "parameters": {"retry_after": seconds},
        });
        SimulatedAnswer::failure(StatusCode::TOO_MANY_REQUESTS, &body)
    }

    fn server_error(&self) -> SimulatedAnswer {
        error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    fn not_found(&self) -> SimulatedAnswer {
        error(StatusCode::NOT_FOUND, "Not Found")
    }

    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer {
        let words = format!("Bad Request: {}", word.unwrap_or("SOMETHING_INVALID"));
        let body = json!({"ok": false, "error_code": 400, "description": words});
        SimulatedAnswer::failure(StatusCode::OK, &body)
    }
}
