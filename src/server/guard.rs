//! Rules for every request: only GET and HEAD, only our own host names, and headers that keep a browser
//! from running foreign code.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Host names allowed in requests. A foreign web page can have its own name point to this machine
/// to read our answers in the visitor's browser; such requests have another host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Those of this machine, and the address listened on.
    OfMachine(IpAddr),
    /// All.
    Any,
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Adds headers that keep a browser from doing anything with an answer except showing it.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Refuses methods that could change something.
pub(super) async fn read_only(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => next.run(request).await,
        _ => {
            let allow = [(header::ALLOW, "GET, HEAD")];
            let words = "method not allowed: use GET or HEAD\n";
            (StatusCode::METHOD_NOT_ALLOWED, allow, words).into_response()
        }
    }
}

/// Refuses requests for a host name that is not ours.
pub(super) async fn known_host(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Response {
    let Hosts::OfMachine(listened) = hosts else {
        return next.run(request).await;
    };
    let headers = request.headers().get_all(header::HOST).iter();
    let mut named: Vec<&str> = headers
        .map(|host| host.to_str().unwrap_or_default())
        .collect();
    named.extend(request.uri().authority().map(Authority::as_str));
    // HTTP before 1.1 has no such header, and no browser uses it any more.
    let is_old = request.version() < Version::HTTP_11;
    if named.is_empty() && !is_old {
        return (StatusCode::BAD_REQUEST, "Host header missing\n").into_response();
    }
    if named.iter().all(|host| is_ours(host, listened)) {
        return next.run(request).await;
    }
    let words =
        "host name not allowed: use 127.0.0.1 or localhost, or set server.allow_remote = true\n";
    (StatusCode::MISDIRECTED_REQUEST, words).into_response()
}

/// The port is ignored: a tunnel changes it.
fn is_ours(host: &str, listened: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse()
            .is_ok_and(|ip: IpAddr| ip.is_loopback() || ip == listened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_names_of_this_machine_are_accepted() {
        let listened = IpAddr::from([192, 168, 1, 5]);
        for ours in [
            "localhost",
            "LOCALHOST:9464",
            "localhost.",
            "127.0.0.1:9464",
            "127.8.9.1",
            "[::1]:9464",
            "192.168.1.5:9464",
        ] {
            assert!(is_ours(ours, listened), "{ours}");
        }
        for theirs in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.6",
            "[::2]",
            "[::1",
            "0x7f.1",
        ] {
            assert!(!is_ours(theirs, listened), "{theirs}");
        }
    }
}
