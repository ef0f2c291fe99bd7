//! The steps of every request to a provider: counter, latency, key, rate limit, fault. Only then is
//! it carried out.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::answer::SimulatedAnswer;
use super::call::Call;
use super::core::SandboxCore;
use super::operation::Operation;
use super::play::play;
use super::reply;

/// Answers `call` with the result of `job`, unless one of the steps prevents it.
pub(super) async fn serve<J>(call: Call, job: J) -> Response
where
    J: FnOnce() -> SimulatedAnswer + Send + 'static,
{
    let _in_flight = InFlight::enter(&call.core, call.operation);
    let latency = call.core.latency();
    if !latency.is_zero() {
        let _ = call
            .core
            .stopping
            .run_until_cancelled(tokio::time::sleep(latency))
            .await;
    }
    let (operation, gzip) = (call.operation, call.gzip());
    if !call.core.knows(call.key.as_deref()) {
        call.core.tally().unauthorized += 1;
        let refused = call.dialect.unauthorized(&call.core);
        return reply::whole(&call.core, operation, refused, gzip);
    }
    if let Some(wait) = call.core.over_limit(operation.provider()) {
        return limited(&call, wait);
    }
    if let Some(dealt) = call.core.deal(operation) {
        return play(call, dealt, job).await;
    }
    let core = Arc::clone(&call.core);
    Call::run(operation, move || {
        reply::whole(&core, operation, job(), gzip)
    })
    .await
}

fn limited(call: &Call, wait: Duration) -> Response {
    call.core.tally().rate_limited += 1;
    let wait = call.core.sends_wait().then(|| wait.as_secs() + 1);
    let words = wait.map(|seconds| seconds.to_string());
    let refused = call.dialect.too_many_requests(words.as_deref());
    let mut response = reply::whole(&call.core, call.operation, refused, call.gzip());
    if let Some(seconds) = wait {
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Counts a request in flight, however it ends: answered, reset or abandoned by the client.
struct InFlight(Arc<SandboxCore>);

impl InFlight {
    fn enter(core: &Arc<SandboxCore>, operation: Operation) -> InFlight {
        let now = core.now();
        core.tally().request(operation, now);
        InFlight(Arc::clone(core))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.tally().in_flight -= 1;
    }
}
