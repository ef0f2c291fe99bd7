//! Answers from templates.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What links begin with on the pages that lie beside all others. Links are relative: a proxy may put
/// the server under a path of its own, such as `/pay/`.
pub(super) const HERE: &str = "";

/// An answer from a template.
pub(super) fn rendered(code: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (code, Html(text)).into_response(),
        Err(error) => {
            let words = format!("the page cannot be written: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
        }
    }
}
