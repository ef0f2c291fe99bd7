//! The failures of YooMoney: with an empty body and a header, or with HTTP 200.

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::json;

use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::core::SandboxCore;
use crate::sandbox::dialect::Dialect;
use crate::sandbox::faults::DataShape;

pub(super) struct YooMoneyDialect;

static SHAPE: DataShape = DataShape {
    paths: &[&["operations"]],
    id: "operation_id",
    status: "status",
    open: "in_progress",
    unknown: "frozen",
    final_fields: &[],
    beside: &[],
    absent: &[("operation_id", &["label"])],
    short_page: Some(10),
    next_page: Some("next_record"),
};

/// A failure with HTTP 200.
pub(super) fn error(word: &str) -> SimulatedAnswer {
    SimulatedAnswer::failure(StatusCode::OK, &json!({"error": word}))
}

/// The token's scope does not cover the method.
pub(super) fn insufficient_scope() -> SimulatedAnswer {
    challenge(
        StatusCode::FORBIDDEN,
        r#"Bearer error="insufficient_scope""#,
    )
}

fn challenge(http: StatusCode, challenge: &'static str) -> SimulatedAnswer {
    SimulatedAnswer {
        http,
        page_start: 0,
        body: Bytes::new(),
        has_data: false,
        challenge: Some(challenge),
    }
}

impl Dialect for YooMoneyDialect {
    fn shape(&self) -> &'static DataShape {
        &SHAPE
    }

    fn unauthorized(&self, _: &SandboxCore) -> SimulatedAnswer {
        challenge(StatusCode::UNAUTHORIZED, r#"Bearer error="invalid_token""#)
    }

    fn too_many_requests(&self, _: Option<&str>) -> SimulatedAnswer {
        let body = json!({"error": "too_many_requests"});
        SimulatedAnswer::failure(StatusCode::TOO_MANY_REQUESTS, &body)
    }

    fn server_error(&self) -> SimulatedAnswer {
        let body = json!({"error": "technical_error"});
        SimulatedAnswer::failure(StatusCode::INTERNAL_SERVER_ERROR, &body)
    }

    fn not_found(&self) -> SimulatedAnswer {
        SimulatedAnswer::failure(StatusCode::NOT_FOUND, &json!({"error": "not_found"}))
    }

    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer {
        error(word.unwrap_or("technical_error"))
    }
}
