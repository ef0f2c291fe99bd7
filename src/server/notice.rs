//! A page with one message, and a list of matching invoices if there are several.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::render::{HERE, VERSION, rendered};
use crate::domain::state::Status;

#[derive(Template)]
#[template(path = "words.html")]
struct NoticePage<'a> {
    version: &'static str,
    root: &'a str,
    asked: &'a str,
    headline: &'a str,
    sentence: &'a str,
    found: Vec<SearchHit>,
}

/// One of several matching invoices.
pub(super) struct SearchHit {
    pub(super) id: i64,
    pub(super) external_id: String,
    pub(super) account: String,
    pub(super) status: Status,
    pub(super) tone: &'static str,
    pub(super) amount: String,
}

/// A page with one message, and a list of matching invoices if there are several.
pub(super) fn notice(
    code: StatusCode,
    headline: &str,
    sentence: &str,
    asked: &str,
    found: Vec<SearchHit>,
) -> Response {
    let page = NoticePage {
        version: VERSION,
        root: HERE,
        asked,
        headline,
        sentence,
        found,
    };
    rendered(code, &page)
}

/// The page for an unknown path.
pub(super) fn not_found_page(path: &str, sentence: &str) -> Response {
    let root = "../".repeat(path.matches('/').count().saturating_sub(1));
    let page = NoticePage {
        version: VERSION,
        root: &root,
        asked: "",
        headline: "Page not found",
        sentence,
        found: Vec::new(),
    };
    rendered(StatusCode::NOT_FOUND, &page)
}
