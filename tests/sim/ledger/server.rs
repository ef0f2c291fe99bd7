//! The server of a ledger: how it answers, fails and tells its time. The client before it is the
//! daemon's own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use payrecond::clock::Clock;
use payrecond::domain::time::UnixMillis;
use payrecond::provider::http::{Request, Response, Transport};
use payrecond::provider::kind::{ProviderKind, ProviderParts};
use payrecond::provider::setting::Settings;
use payrecond::provider::{ApiKey, ClockDifference, Provider, ProviderError};
use payrecond::provider::{telegram_stars, yoomoney};

use crate::fault::Fault;
use crate::ledger::book::LedgerKind;
use crate::ledger::{stars, wallet};
use crate::provider::SimProvider;

/// The server that keeps the ledger of one account.
pub struct LedgerServer {
    sim: SimProvider,
    kind: LedgerKind,
    difference: Mutex<Option<ClockDifference>>,
}

/// A status and a body.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: String,
}

impl Answer {
    pub fn ok(body: impl Into<String>) -> Self {
        Self::failure(200, body)
    }

    pub fn failure(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.into(),
        }
    }
}

/// The daemon's client of a ledger, before its server in this world.
pub fn client(sim: SimProvider, kind: LedgerKind) -> Arc<dyn Provider> {
    let registered: &ProviderKind = match kind {
        LedgerKind::Stars => &telegram_stars::KIND,
        LedgerKind::Wallet => &yoomoney::KIND,
    };
    let defaults = registered.settings.iter().map(|setting| {
        let receiver = (setting.key == "receiver").then_some("4100111222333444");
        (
            setting.key,
            receiver.or(setting.default).unwrap_or_default().to_owned(),
        )
    });
    let settings: Settings = defaults.collect();
    let clock = Arc::clone(&sim.clock) as Arc<dyn Clock>;
    let server = LedgerServer {
        sim,
        kind,
        difference: Mutex::default(),
    };
    (registered.build)(ProviderParts {
        transport: Arc::new(server),
        clock,
        base_url: registered.base_url.parse().unwrap(),
        settings,
    })
}

#[async_trait]
impl Transport for LedgerServer {
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        let sent_at = self.sim.clock.now();
        let path = request.path_and_query.as_str();
        // It may go along with another request, which has its place in the budget for both.
        let is_probe = path == "/getMe" || wallet::is_probe(&request);
        let _under_way = (!is_probe).then(|| self.sim.arrive());
        if let Some(payload) = stars::payload_of_creation(&request) {
            self.sim.check_creation_is_in_time(&payload);
        }
        self.sim.answer_takes_time().await;
        let answer = match self.sim.fault() {
            Some(Fault::Lost(error)) => {
                self.answer(&request, false);
                self.fail(error)?
            }
            Some(Fault::Unheard(error)) => {
                self.sim.tell(&format!("{path} -> {error}"));
                self.fail(error)?
            }
            Some(Fault::Lie(_)) | None => {
                if is_probe {
                    self.sim.world.lock().stores[self.sim.account].refused_under = None;
                }
                self.answer(&request, true)
            }
        };
        let told_at = self.tell_time(sent_at);
        let body = VecDeque::from([Bytes::from(answer.body)]);
        Ok(Response::new(answer.status, answer.retry_after, body).with_time(told_at))
    }

    fn set_key(&self, _key: ApiKey) {}

    fn clock_difference(&self) -> Option<ClockDifference> {
        *self
            .difference
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerServer {
    /// What the server does and says; `arrives`: the daemon hears of it.
    fn answer(&self, request: &Request, arrives: bool) -> Answer {
        let path = request.path_and_query.as_str();
        let body = request.body.as_deref().unwrap_or_default();
        let now = self.sim.clock.monotonic();
        let (said, answer) = match self.kind {
            LedgerKind::Stars => stars::answer(&self.sim, path, body, now, arrives),
            LedgerKind::Wallet => wallet::answer(&self.sim, path, body, now, arrives),
        };
        let lost = if arrives { "" } else { " (lost)" };
        self.sim.tell(&format!("{path} {said}{lost}"));
        answer
    }

    /// A failure in the provider's own form.
    fn fail(&self, error: ProviderError) -> Result<Answer, ProviderError> {
        if let Some(book) = &mut self.sim.world.lock().stores[self.sim.account].book {
            book.interrupt_reading();
        }
        let seconds = |wait: Option<Duration>| wait.map_or(0, |wait| wait.as_secs());
        let words = |status: u16, wait: Option<Duration>| match self.kind {
            LedgerKind::Stars => stars::error(status, seconds(wait)),
            LedgerKind::Wallet => String::new(),
        };
        let mut answer = match &error {
            ProviderError::Unreachable(_) => return Err(error),
            ProviderError::RateLimited { wait } => Answer::failure(429, words(429, *wait)),
            ProviderError::Unavailable {
                wait: Some(wait), ..
            } => Answer::failure(503, words(503, Some(*wait))),
            ProviderError::Unavailable { wait: None, .. } => {
                Answer::failure(502, "<html>Bad Gateway</html>")
            }
            ProviderError::KeyRefused(_) => Answer::failure(401, words(401, None)),
            ProviderError::Malformed(_) => {
                Answer::ok(r#"{"ok":true,"result":{"transactions":[{"id":"#)
            }
            // A wallet's errors come in a success.
            ProviderError::Refused(_) if self.kind == LedgerKind::Wallet => {
                Answer::ok(r#"{"error":"technical_error"}"#)
            }
            ProviderError::Refused(_) => Answer::failure(409, words(409, None)),
        };
        let is_stars = self.kind == LedgerKind::Stars;
        answer.retry_after = match error {
            ProviderError::Unavailable { wait, .. } => wait,
            ProviderError::RateLimited { wait } => wait.filter(|_| !is_stars),
            _ => None,
        };
        Ok(answer)
    }

    /// The first answer and most others tell the time, in whole seconds. The client compares it with its own as the
    /// transport over HTTP does.
    fn tell_time(&self, sent_at: UnixMillis) -> Option<UnixMillis> {
        let now = self.sim.clock.monotonic();
        let mut world = self.sim.world.lock();
        let is_known = self.clock_difference().is_some();
        if is_known && world.rng.u8(..8) == 0 {
            return None;
        }
        let theirs = world.stores[self.sim.account].book.as_ref()?.time(now);
        let theirs = UnixMillis(theirs.0 - theirs.0.rem_euclid(1000));
        let ends = theirs.plus(Duration::from_secs(1));
        let difference = if ends < sent_at {
            ClockDifference::Behind(sent_at.since(ends))
        } else {
            ClockDifference::Ahead(theirs.since(self.sim.clock.now()))
        };
        *self
            .difference
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(difference);
        Some(theirs)
    }
}
