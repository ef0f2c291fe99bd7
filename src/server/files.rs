//! The page's static files, built into the program: nothing is loaded from another host.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// How long a browser may cache them: they change only with the program.
const KEPT: &str = "max-age=300";

pub(super) async fn style() -> Response {
    file(
        "text/css; charset=utf-8",
        include_str!("../../pages/status.css"),
    )
}

pub(super) async fn script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("../../pages/status.js"),
    )
}

pub(super) async fn icon() -> Response {
    file("image/svg+xml", include_str!("../../pages/icon.svg"))
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, KEPT),
    ];
    (headers, text).into_response()
}
