//! The connection of a provider to its service: sends requests, reads short answers completely, and
//! removes the key from the service's messages.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::http::{Request, Response, Transport};
use super::wire::mended_text;
use super::{ApiKey, ClockDifference, ProviderError};
use crate::clock::Clock;
use crate::domain::ledger::READ_BACK;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;

/// Maximum size of an answer about one order. Real ones stay under 4 KiB.
const SMALL_ANSWER: usize = 256 * 1024;
/// How much of a failure's body is read for its message.
const FAILURE_BODY: usize = 16 * 1024;
/// Shorter parts of a key are not searched for in messages.
const SHORTEST_HIDDEN_PART: usize = 8;

/// The service of one account, with its key.
pub struct ServiceClient {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    /// Used only to remove it from messages that repeat it.
    key: RwLock<Option<ApiKey>>,
}

/// An answer that was read completely; for a failure, its start.
#[derive(Debug)]
pub struct WholeAnswer {
    /// HTTP status.
    pub status: u16,
    /// The wait that the server requests, already capped.
    pub retry_after: Option<Duration>,
    /// When the answer began.
    pub observed_at: UnixMillis,
    /// The time that the answer itself tells, by the service's clock.
    pub told_at: Option<UnixMillis>,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl ServiceClient {
    /// The service behind `transport`, which receives the key by `set_key`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            transport,
            clock,
            key: RwLock::default(),
        }
    }

    /// Replaces the key.
    pub fn set_key(&self, key: ApiKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        self.transport.set_key(key);
    }

    /// Difference between the service's clock and ours at its last answer.
    pub fn clock_difference(&self) -> Option<ClockDifference> {
        self.transport.clock_difference()
    }

    /// Our time converted to the service's clock, as of its last answer, to the second; never ahead
    /// of it.
    pub fn their_time(&self, ours: UnixMillis) -> Option<UnixMillis> {
        Some(self.clock_difference()?.their_time(ours))
    }

    /// From when on a ledger is read whose first page is `answer`.
    pub fn reads_from(&self, answer: &WholeAnswer) -> Option<UnixMillis> {
        let theirs = answer
            .told_at
            .or_else(|| self.their_time(answer.observed_at))?;
        Some(theirs.minus(READ_BACK))
    }

    /// Our time.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The wait that `answer` requests: in its header, else `in_body`, which is cut as the header's was.
    pub fn requested_wait(
        &self,
        answer: &WholeAnswer,
        in_body: Option<Duration>,
    ) -> Option<Duration> {
        let cut = || in_body.map(|wait| self.transport.cap_wait(wait));
        answer.retry_after.or_else(cut)
    }

    /// Sends `request` and returns as soon as the head of the answer has arrived.
    pub async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        self.transport.send(request).await
    }

    /// Sends a request and reads its short answer completely, whatever its status.
    pub async fn ask(&self, request: Request) -> Result<WholeAnswer, ProviderError> {
        self.ask_up_to(request, SMALL_ANSWER).await
    }

    /// The same for an answer of up to `limit` bytes; the transport has its own limit.
    pub async fn ask_up_to(
        &self,
        request: Request,
        limit: usize,
    ) -> Result<WholeAnswer, ProviderError> {
        let response = self.send(request).await?;
        WholeAnswer::read(response, self.now(), limit).await
    }

    /// The service's message on one line, without the key if it repeats it.
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
    /// Reads the rest of an answer whose head arrived at `observed_at`: the whole body of a success
    /// if it has at most `limit` bytes.
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
            told_at: response.told_at,
            body,
        })
    }

    /// Replaces what is not UTF-8 in the body by a sign that occurs nowhere else in it, and returns the
    /// sign; None where all of it is text.
    pub fn mend_text(&mut self) -> Option<char> {
        let (text, sign) = mended_text(&self.body);
        if sign.is_some() {
            self.body = text.into_owned().into_bytes();
        }
        sign
    }

    /// Whether it is an HTML page, which comes from a gateway and not from the service.
    pub fn is_html(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }
}
