//! A provider's way to its service: asks, reads small answers whole, and strikes the key out of the
//! service's words.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::http::{Request, Response, Transport};
use super::{ApiKey, ClockDifference, ProviderError};
use crate::clock::Clock;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;

/// Largest answer about one order. Real ones stay under 4 KiB.
const SMALL_ANSWER: usize = 256 * 1024;
/// How much of a failure's body is read for its words.
const FAILURE_BODY: usize = 16 * 1024;
/// Parts of a key that are shorter are not looked for in the provider's words.
const SHORTEST_HIDDEN_PART: usize = 8;

/// The service of one account, asked with its key.
pub struct ServiceClient {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    /// Only to strike it out where the service's words repeat it.
    key: RwLock<Option<ApiKey>>,
}

/// An answer that was read to its end; of a failure, its beginning.
#[derive(Debug)]
pub struct WholeAnswer {
    /// HTTP status.
    pub status: u16,
    /// What the server asks for, already capped.
    pub retry_after: Option<Duration>,
    /// When the answer began.
    pub observed_at: UnixMillis,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl ServiceClient {
    /// The service behind `transport`, which gets the key by `set_key`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            transport,
            clock,
            key: RwLock::default(),
        }
    }

    /// Takes another key from now on.
    pub fn set_key(&self, key: ApiKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        self.transport.set_key(key);
    }

    /// By how much the service's clock differed from ours at its last answer.
    pub fn clock_difference(&self) -> Option<ClockDifference> {
        self.transport.clock_difference()
    }

    /// The service's time at a moment of ours, as its last answer told it, to the second; never ahead of it.
    pub fn their_time(&self, ours: UnixMillis) -> Option<UnixMillis> {
        Some(match self.clock_difference()? {
            ClockDifference::Ahead(by) => ours.plus(by),
            ClockDifference::Behind(by) => ours.minus(by),
        })
    }

    /// Our time.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Sends `request` and returns once the head of the answer is there.
    pub async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        self.transport.send(request).await
    }

    /// One small question and its whole answer, whatever its status.
    pub async fn ask(&self, request: Request) -> Result<WholeAnswer, ProviderError> {
        self.ask_up_to(request, SMALL_ANSWER).await
    }

    /// The same with an answer of up to `limit` bytes; the transport has a limit of its own.
    pub async fn ask_up_to(
        &self,
        request: Request,
        limit: usize,
    ) -> Result<WholeAnswer, ProviderError> {
        let response = self.send(request).await?;
        WholeAnswer::read(response, self.now(), limit).await
    }

    /// The service's words, without the key should they repeat it, on one line.
    pub fn words(&self, words: &str) -> String {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = key.as_ref().map(ApiKey::expose) else {
            return one_line(words);
        };
        let mut hidden = words.to_owned();
        let parts = std::iter::once(key).chain(key.split(':'));
        for part in parts.filter(|part| part.len() >= SHORTEST_HIDDEN_PART) {
            hidden = hidden.replace(part, "(key)");
        }
        one_line(&hidden)
    }
}

impl WholeAnswer {
    /// The rest of an answer whose head came at `observed_at`: all of a success, if it has at most
    /// `limit` bytes.
    pub async fn read(
        mut response: Response,
        observed_at: UnixMillis,
        limit: usize,
    ) -> Result<Self, ProviderError> {
        let body = match response.status {
            200..=299 => response.collect(limit).await?,
            _ => response.beginning(FAILURE_BODY).await,
        };
        Ok(Self {
            status: response.status,
            retry_after: response.retry_after,
            observed_at,
            body,
        })
    }

    /// Whether it is a page for people: some gateway's, not the service's own.
    pub fn is_html(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }
}
