//! The part of HTTP that providers need: a request, an answer that is read piece by piece, and a
//! transport between them that a test or a simulation can script.
//!
//! `client` has the only real transport. The transport keeps the key and sends it where the
//! provider expects it (`KeyPlace`), so no request, answer or error contains it.

mod client;
mod coding;
mod failure;
mod key_place;
mod network_body;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;

pub use client::{HttpOptions, HttpTransport, UnusableOptions};
pub use key_place::KeyPlace;
pub use request::{MediaType, Method, Request};

use super::{ApiKey, ClockDifference, ProviderError};
use crate::domain::time::UnixMillis;

/// Carries requests to one service, with one account's key.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` and returns as soon as the head of the answer has arrived, whatever its
    /// status.
    async fn send(&self, request: Request) -> Result<Response, ProviderError>;

    /// Replaces the key. Nothing is sent before the first one is set.
    fn set_key(&self, key: ApiKey);

    /// Cuts a wait that the server requests, in a header or in a body, to the longest that is obeyed.
    fn cap_wait(&self, wait: Duration) -> Duration {
        wait
    }

    /// Difference between the server's clock and ours when it last reported a time; None if it
    /// never did.
    fn clock_difference(&self) -> Option<ClockDifference> {
        None
    }
}

/// A body that is being received.
#[async_trait]
pub trait Body: Send {
    /// The next decoded piece; None at the regular end. A body that is cut short, too slow or too
    /// large is an error.
    async fn chunk(&mut self) -> Result<Option<Bytes>, ProviderError>;
}

/// A body that was received completely.
#[async_trait]
impl Body for VecDeque<Bytes> {
    async fn chunk(&mut self) -> Result<Option<Bytes>, ProviderError> {
        Ok(self.pop_front())
    }
}

/// The head of an answer, with its body still being received.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The wait that the server requests, already capped.
    pub retry_after: Option<Duration>,
    /// The time that the answer itself tells (`Date`), in whole seconds.
    pub told_at: Option<UnixMillis>,
    body: Box<dyn Body>,
}

impl Response {
    /// An answer whose body is being received.
    pub fn new(status: u16, retry_after: Option<Duration>, body: impl Body + 'static) -> Self {
        Self {
            status,
            retry_after,
            told_at: None,
            body: Box::new(body),
        }
    }

    /// With the time that the answer tells.
    #[must_use]
    pub fn with_time(self, told_at: Option<UnixMillis>) -> Self {
        Self { told_at, ..self }
    }

    /// An answer whose body was received completely.
    pub fn whole(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, None, VecDeque::from([body.into()]))
    }

    /// The next piece of the body; None at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ProviderError> {
        self.body.chunk().await
    }

    /// The whole body, if it has at most `limit` bytes.
    pub async fn collect(&mut self, limit: usize) -> Result<Vec<u8>, ProviderError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// As much of the body as can be read, at most `limit` bytes: for failures, which the status
    /// already identifies and whose message is optional.
    pub async fn beginning(&mut self, limit: usize) -> Vec<u8> {
        let mut begin = Vec::new();
        while begin.len() < limit
            && let Ok(Some(chunk)) = self.chunk().await
        {
            let room = limit - begin.len();
            begin.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        begin
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

/// The error for a body over `limit` bytes.
fn too_large(limit: usize) -> ProviderError {
    ProviderError::Malformed(format!("body larger than {limit} bytes"))
}

/// The meaning of a status, whatever the body is; None for success (2xx). `words` is the service's
/// own message, on one line, or empty. Redirects are never followed, so they count as unusable
/// answers.
pub fn judge_status(
    status: u16,
    retry_after: Option<Duration>,
    words: &str,
) -> Option<ProviderError> {
    let what = if words.is_empty() {
        format!("HTTP {status}")
    } else {
        format!("HTTP {status}: {words}")
    };
    match status {
        200..=299 => None,
        401 | 403 => Some(ProviderError::KeyRefused(what)),
        429 => Some(ProviderError::RateLimited { wait: retry_after }),
        500..=599 => Some(ProviderError::Unavailable {
            what,
            wait: retry_after.filter(|_| status == 503),
        }),
        400..=499 => Some(ProviderError::Refused(what)),
        300..=399 => Some(ProviderError::Malformed(format!(
            "HTTP {status}: redirects are not followed"
        ))),
        _ => Some(ProviderError::Malformed(what)),
    }
}

/// Reads `Retry-After`: seconds, with a fraction too though the standard (RFC 9110, 10.2.3) has
/// none, or an HTTP date as seen from `now`, by the same clock. A date gone by is no wait.
fn retry_after(value: &str, now: UnixMillis) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = value.parse().ok()?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    } else {
        Some(http_date(value)?.since(now))
    }
}

/// Parses a date in HTTP's format.
fn http_date(value: &str) -> Option<UnixMillis> {
    let at = httpdate::parse_http_date(value).ok()?;
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(UnixMillis(0).plus(since_epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_mins(10);

    fn read(value: &str) -> Option<Duration> {
        // Fri, 31 Dec 1999 23:59:50 GMT
        retry_after(value, UnixMillis(946_684_790_000))
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        assert_eq!(read("3"), Some(Duration::from_secs(3)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("1.5"), Some(Duration::from_millis(1500)));
        let date = "Fri, 31 Dec 1999 23:59:59 GMT";
        assert_eq!(read(date), Some(Duration::from_secs(9)));
        let past = "Fri, 31 Dec 1999 23:59:00 GMT";
        assert_eq!(read(past), Some(Duration::ZERO));
    }

    #[test]
    fn excessive_waits_are_read_and_invalid_ones_ignored() {
        for long in [
            "601",
            "999999999999999999999999999999",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert!(read(long) > Some(MOST), "{long}");
        }
        for nonsense in ["", ".", "1.2.3", "-5", "1e9", "inf", "NaN", "soon", "5 s"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_status_has_its_kind() {
        for (status, kind) in [
            (301, "malformed"),
            (304, "malformed"),
            (101, "malformed"),
            (400, "refused"),
            (401, "key_refused"),
            (403, "key_refused"),
            (404, "refused"),
            (429, "rate_limited"),
            (500, "unavailable"),
            (503, "unavailable"),
            (599, "unavailable"),
            (999, "malformed"),
        ] {
            let judged = judge_status(status, None, "").map(|error| error.kind());
            assert_eq!(judged, Some(kind), "{status}");
        }
        assert_eq!(judge_status(200, Some(MOST), "fine"), None);
    }

    #[test]
    fn only_429_and_503_hold_the_account() {
        let wait_of = |status| match judge_status(status, Some(MOST), "") {
            Some(ProviderError::RateLimited { wait } | ProviderError::Unavailable { wait, .. }) => {
                wait
            }
            _ => None,
        };
        assert_eq!(wait_of(429), Some(MOST));
        assert_eq!(wait_of(503), Some(MOST));
        assert_eq!(wait_of(500), None);
    }
}
