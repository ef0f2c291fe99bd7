//! Answers from templates.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The prefix of links on top-level pages. Links are relative: a proxy may serve the page under a path
/// of its own, such as `/pay/`.
pub(super) const HERE: &str = "";

/// An answer from a template.
pub(super) fn rendered(code: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (code, Html(text)).into_response(),
        Err(error) => {
            let words = format!("page could not be rendered: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
        }
    }
}
