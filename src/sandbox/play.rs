//! Applies faults: wrong answers, broken ones, and none.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, Stream, StreamExt};

use super::answer::SimulatedAnswer;
use super::call::Call;
use super::core::SandboxCore;
use super::dialect::Dialect;
use super::faults::{Dealt, Fault, FaultKind, spoil};
use super::reply;

/// Long enough for the data sent so far to leave before the connection ends.
const FLUSH_PAUSE: Duration = Duration::from_millis(30);
const SLOW_PAUSE: Duration = Duration::from_millis(200);
const HUGE_CHUNK_BYTES: usize = 1 << 18;
/// Together 1 GiB.
const HUGE_CHUNKS: usize = 1 << 12;

const PROXY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// Applies the selected fault to a request that `job` would have answered.
pub(super) async fn play<J>(call: Call, dealt: Dealt, job: J) -> Response
where
    J: FnOnce() -> SimulatedAnswer + Send + 'static,
{
    let core = Arc::clone(&call.core);
    if dealt.fault.kind.is_in_the_data() {
        let (operation, gzip, dialect) = (call.operation, call.gzip(), call.dialect);
        let spoiled = move || {
            let answer = spoiled(&core, dialect, dealt, job());
            reply::whole(&core, operation, answer, gzip)
        };
        return Call::run(operation, spoiled).await;
    }
    core.tally().fault(dealt.fault.kind);
    if dealt.performs {
        // The request takes effect; only its answer is lost.
        job();
        return instead(&call, &dealt.fault).await;
    }
    let stop = core.stopping.clone().cancelled_owned();
    match dealt.fault.kind {
        FaultKind::TruncatedBody => truncated(&job()),
        FaultKind::SlowBody => streamed(job(), |body| slow(body).take_until(stop)),
        FaultKind::HugeBody if dealt.fault.gzip => {
            let mut response = streamed(job(), |body| huge_compressed(body).take_until(stop));
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
            response
        }
        FaultKind::HugeBody => streamed(job(), |body| huge(body).take_until(stop)),
        _ => instead(&call, &dealt.fault).await,
    }
}

/// An answer independent of the operation, or none at all.
async fn instead(call: &Call, fault: &Fault) -> Response {
    let wait = fault.retry_after.as_deref();
    let answer = match fault.kind {
        FaultKind::Status429 => call.dialect.too_many_requests(wait),
        FaultKind::NotFound => call.dialect.not_found(),
        FaultKind::EnvelopeError => call.dialect.envelope_error(fault.status.as_deref()),
        FaultKind::Status502Html => return proxy_page(call),
        FaultKind::Timeout => {
            call.core.stopping.cancelled().await;
            return reply::going_away();
        }
        FaultKind::Reset | FaultKind::LostAnswer => {
            call.caller.link.cut();
            return reply::going_away();
        }
        // All kinds except the first need an answer to work on, and were handled in `play`.
        FaultKind::Status500
        | FaultKind::TruncatedBody
        | FaultKind::HugeBody
        | FaultKind::SlowBody
        | FaultKind::WrongTypeId
        | FaultKind::UnknownStatus
        | FaultKind::NullFields
        | FaultKind::FlipBack
        | FaultKind::ShortPage => call.dialect.server_error(),
    };
    let mut response = reply::whole(&call.core, call.operation, answer, call.gzip());
    if let Some(wait) = wait.and_then(|wait| HeaderValue::from_str(wait).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

fn proxy_page(call: &Call) -> Response {
    let http = StatusCode::BAD_GATEWAY;
    let mut tally = call.core.tally();
    tally.answer(call.operation, http.as_u16(), PROXY_PAGE.len());
    let html = HeaderValue::from_static("text/html");
    reply::plain(http, html, Body::from(PROXY_PAGE))
}

/// The answer with the fault in its data. If nothing can be altered, the answer is unchanged and
/// the fault is put back.
fn spoiled(
    core: &SandboxCore,
    dialect: &dyn Dialect,
    mut dealt: Dealt,
    answer: SimulatedAnswer,
) -> SimulatedAnswer {
    let (kind, status) = (dealt.fault.kind, dealt.fault.status.as_deref());
    let body = if answer.has_data {
        spoil(dialect.shape(), kind, status, &answer, &mut dealt.rng)
    } else {
        None
    };
    if let Some(body) = body {
        core.tally().fault(kind);
        return SimulatedAnswer { body, ..answer };
    }
    core.put_back(&dealt);
    answer
}

/// Half of the body with the Content-Length of all of it, then the end of the connection.
fn truncated(answer: &SimulatedAnswer) -> Response {
    let length = answer.body.len();
    let half = answer.body.slice(..length / 2);
    let end = async {
        tokio::time::sleep(FLUSH_PAUSE).await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let parts = stream::iter([Ok(half)]).chain(stream::once(end));
    let mut response = reply::plain(answer.http, reply::JSON, Body::from_stream(parts));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

fn streamed<S>(answer: SimulatedAnswer, parts: impl FnOnce(Bytes) -> S) -> Response
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let parts = parts(answer.body).map(Ok::<_, Infallible>);
    reply::plain(answer.http, reply::JSON, Body::from_stream(parts))
}

fn slow(body: Bytes) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(body, |mut rest| async {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(SLOW_PAUSE).await;
        Some((rest.split_to(1), rest))
    })
}

/// The JSON, then white space, which JSON allows: only a byte limit protects the client.
fn huge(body: Bytes) -> impl Stream<Item = Bytes> + Send {
    stream::iter(std::iter::once(body).chain(spaces()))
}

/// The same in a thousandth of the bytes: the limit must count decompressed bytes.
fn huge_compressed(body: Bytes) -> impl Stream<Item = Bytes> + Send {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    let parts = std::iter::once(body)
        .chain(spaces())
        .map(Some)
        .chain([None]);
    stream::iter(parts).filter_map(move |part| {
        // Writing to memory cannot fail.
        let written = match (part, encoder.as_mut()) {
            (Some(part), Some(encoder)) => {
                let _ = encoder.write_all(&part).and_then(|()| encoder.flush());
                Some(std::mem::take(encoder.get_mut()))
            }
            _ => encoder.take().and_then(|encoder| encoder.finish().ok()),
        };
        async {
            // Otherwise thousands of these small parts would be collected before the first is sent.
            tokio::task::yield_now().await;
            written.map(Bytes::from)
        }
    })
}

fn spaces() -> impl Iterator<Item = Bytes> + Send {
    std::iter::repeat_n(Bytes::from(vec![b' '; HUGE_CHUNK_BYTES]), HUGE_CHUNKS)
}
