//! Writes answers: headers, and gzip for clients that request it.

use std::io::Write;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer::SimulatedAnswer;
use super::core::SandboxCore;
use super::operation::Operation;

/// Compressing less than this makes it longer.
const GZIP_FROM_BYTES: usize = 150;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A complete answer, counted.
pub(super) fn whole(
    core: &SandboxCore,
    operation: Operation,
    answer: SimulatedAnswer,
    gzip: bool,
) -> Response {
    let compressed = gzip && answer.body.len() >= GZIP_FROM_BYTES;
    let body = if compressed {
        compress(&answer.body)
    } else {
        answer.body
    };
    core.tally()
        .answer(operation, answer.http.as_u16(), body.len());
    let mut response = plain(answer.http, JSON, Body::from(body));
    if let Some(challenge) = answer.challenge {
        let challenge = HeaderValue::from_static(challenge);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    if compressed {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// An answer to a request that is not an operation.
pub(super) fn uncounted(answer: SimulatedAnswer) -> Response {
    plain(answer.http, JSON, Body::from(answer.body))
}

pub(super) fn plain(http: StatusCode, content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = http;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// For requests interrupted by the end of the sandbox.
pub(super) fn going_away() -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, JSON, Body::empty());
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let (weight, name) = (weight.trim(), name.trim());
        let quality = weight.strip_prefix(['q', 'Q']);
        let quality = quality.and_then(|rest| rest.trim_start().strip_prefix('='));
        let refused = quality.is_some_and(|q| q.trim().parse() == Ok(0.0_f32));
        let is_meant = ["gzip", "x-gzip", "*"];
        is_meant
            .iter()
            .any(|meant| name.eq_ignore_ascii_case(meant))
            && !refused
    })
}

fn compress(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_if_the_client_accepts_it() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(accepts("gzip") && accepts("br, gzip;q=0.5") && accepts("*"));
        assert!(accepts("GZIP") && accepts("x-gzip") && !accepts("Gzip;Q=0"));
        assert!(!accepts("br") && !accepts("gzip;q=0") && !accepts("identity"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
