//! One request to a simulated provider: the operation, the connection, and the key.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::response::Response;

use super::core::SandboxCore;
use super::dialect::Dialect;
use super::link::Link;
use super::operation::Operation;
use super::reply::{accepts_gzip, going_away};

/// The connection, and whether the client accepts gzip.
pub(super) struct Caller {
    pub link: Link,
    accepts_gzip: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = <ConnectInfo<Link> as FromRequestParts<S>>::Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Caller, Self::Rejection> {
        let ConnectInfo(link) = ConnectInfo::<Link>::from_request_parts(parts, state).await?;
        let accepts_gzip = accepts_gzip(&parts.headers);
        Ok(Caller { link, accepts_gzip })
    }
}

/// A request before its key is checked.
pub(super) struct Call {
    pub core: Arc<SandboxCore>,
    pub dialect: &'static dyn Dialect,
    pub operation: Operation,
    pub caller: Caller,
    pub key: Option<String>,
}

impl Call {
    /// Whether the answer should be compressed.
    pub fn gzip(&self) -> bool {
        self.caller.accepts_gzip && self.core.gzip()
    }

    /// Runs `job` where it blocks no other request: a page of a list takes milliseconds to write,
    /// and more to compress.
    pub async fn run<J>(operation: Operation, job: J) -> Response
    where
        J: FnOnce() -> Response + Send + 'static,
    {
        if !operation.is_long() {
            return job();
        }
        tokio::task::spawn_blocking(job)
            .await
            .unwrap_or_else(|_| going_away())
    }
}
