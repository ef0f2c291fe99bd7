//! Wallet Pay, the store API of Wallet in Telegram: four operations, with one key per store.
//!
//! Strict in what is sent (`creation`), lenient in what is received (`wire`, `order`): the
//! documentation's own examples contradict its schema, and a value that is left out is no
//! contradiction. `list` reads the order list while it arrives, using `scan`.
//!
//! Precedence: HTTP 401, 403, 429 and 5xx, whatever the body; 404 means "no such order" only for a
//! poll; then the envelope's status, since a 200 can carry a failure and the HTTP status of
//! failures is undocumented. Any other status is an unusable answer. Facts are those of the
//! provider's documentation (store API 1.2.0) unless stated otherwise.

mod creation;
mod list;
mod order;
mod scan;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use url::form_urlencoded::byte_serialize;

use self::list::{NotRead, PageReader, UnreadableAmount};
use self::wire::{Envelope, StatusWord};
use super::http::{KeyPlace, Request, Transport, judge_status};
use super::kind::{ProviderKind, any_key};
use super::service::{ServiceClient, WholeAnswer};
use super::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder,
    ListOrders, PageEnd, PageVisitor, Provider, ProviderError,
};
use crate::clock::Clock;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::ObservedOrder;

/// The registration of Wallet Pay.
pub const KIND: ProviderKind = ProviderKind {
    name: "walletpay",
    base_url: "https://pay.wallet.tg",
    api_path: "/wpay",
    requests_per_second: 5.0,
    settings: &[],
    check_key: any_key,
    key_place: KeyPlace::Header {
        name: "wpay-store-api-key",
        prefix: "",
    },
    build: |parts| Arc::new(WalletPay::new(parts.transport, parts.clock)),
};
/// Maximum number of orders on a page of the list.
pub const PAGE_LIMIT: u32 = 10_000;

const ORDER: &str = "/wpay/store-api/v1/order";
const PREVIEW: &str = "/wpay/store-api/v1/order/preview";
const LIST: &str = "/wpay/store-api/v1/reconciliation/order-list";
const AMOUNT: &str = "/wpay/store-api/v1/reconciliation/order-amount";

/// Maximum number of orders remembered as logged; beyond that all are forgotten.
const MOST_LOGGED: usize = 1000;
/// How much of a failure's body is read for its message.
const FAILURE_BODY: usize = 16 * 1024;

/// One store at Wallet Pay.
pub struct WalletPay {
    service: ServiceClient,
    /// Orders whose unparsable amounts were logged, since pages show them repeatedly.
    logged: Mutex<HashSet<String>>,
}

impl WalletPay {
    /// The store whose key `transport` receives by `set_key`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            service: ServiceClient::new(transport, clock),
            logged: Mutex::default(),
        }
    }

    /// The envelope of a successful answer, else the error.
    fn accept<'a>(&self, answer: &'a WholeAnswer) -> Result<Envelope<'a>, ProviderError> {
        let envelope = wire::envelope(&answer.body);
        let (word, words) = match &envelope {
            Ok(envelope) => (
                envelope.word.as_ref(),
                self.service.words(&envelope.message),
            ),
            Err(_) => (None, String::new()),
        };
        if let Some(failure) = judge_status(answer.status, answer.retry_after, &words) {
            let is_vague = matches!(failure, ProviderError::Refused(_));
            return Err(match word {
                Some(word @ (StatusWord::AccessDenied | StatusWord::InternalError)) if is_vague => {
                    failure_of(word, &words)
                }
                _ => failure,
            });
        }
        let envelope = envelope.map_err(ProviderError::Malformed)?;
        match &envelope.word {
            Some(StatusWord::Success) => Ok(envelope),
            Some(word) => Err(failure_of(word, &words)),
            None => Err(ProviderError::Malformed("answer without a status".into())),
        }
    }

    /// Logs each order once; its payment stays without amounts, and they are searched for further.
    fn log_unreadable(&self, amounts: Vec<UnreadableAmount>) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() >= MOST_LOGGED {
            logged.clear();
        }
        for UnreadableAmount { order_id, told } in amounts {
            if logged.insert(order_id.clone()) {
                tracing::warn!(order_id, told, "paid amount could not be read");
            }
        }
    }
}

#[async_trait]
impl Provider for WalletPay {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn set_key(&self, key: ApiKey) {
        self.service.set_key(key);
    }

    /// Toncoin was renamed from TON to GRAM on 15 June 2026.
    fn one_currency(&self) -> &'static [&'static str] {
        &["TON", "GRAM"]
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        self.service.clock_difference()
    }

    async fn probe(&self) -> Result<(), ProviderError> {
        self.count().await.map(|_| ())
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        Some(self)
    }

    fn lists(&self) -> Option<&dyn ListOrders> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

#[async_trait]
impl CreateOrders for WalletPay {
    /// The external id is the key: a repeat is answered `ALREADY`.
    fn idempotent_for(&self) -> Duration {
        Duration::MAX
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        creation::creation(invoice)
    }

    /// A 400 ends the creation permanently, so it must come from the provider itself: an HTML page
    /// comes from a gateway. `SUCCESS` without a usable order, or under a 4xx, is an unusable
    /// answer: the repeat will get `ALREADY`.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        let request = Request::post(ORDER, creation.body.clone());
        let answer = self.service.ask(request).await?;
        let status_decides = matches!(answer.status, 401 | 403 | 429 | 500..);
        let envelope = wire::envelope(&answer.body).ok();
        let word = envelope.as_ref().and_then(|e| e.word.as_ref());
        let words = |fallback: &str| {
            let message = envelope.as_ref().map_or("", |e| e.message.as_str());
            let message = if message.is_empty() {
                fallback
            } else {
                message
            };
            self.service.words(message)
        };
        match (answer.status, word, &envelope) {
            _ if status_decides => {}
            (_, Some(StatusWord::Already), Some(envelope))
            | (200..=299, Some(StatusWord::Success), Some(envelope)) => {
                return order_in(&answer, envelope).map(CreationAnswer::Exists);
            }
            (_, Some(StatusWord::Conflict), _) => {
                return Ok(CreationAnswer::Conflict(words("CONFLICT")));
            }
            (_, Some(StatusWord::InvalidRequest), _) => {
                return Ok(CreationAnswer::Refused(words("INVALID_REQUEST")));
            }
            (400, Some(StatusWord::Success), _) => {
                let what = "HTTP 400 with the status SUCCESS";
                return Err(ProviderError::Malformed(what.into()));
            }
            (400, Some(StatusWord::Other(_)) | None, _) if !answer.is_html() => {
                return Ok(CreationAnswer::Refused(words("HTTP 400")));
            }
            _ => {}
        }
        match self.accept(&answer) {
            Err(failure) => Err(failure),
            Ok(envelope) => order_in(&answer, &envelope).map(CreationAnswer::Exists),
        }
    }
}

#[async_trait]
impl FetchOrders for WalletPay {
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        let [order] = orders else {
            let what = format!("one order at a time, not {}", orders.len());
            return Err(ProviderError::Refused(what));
        };
        let id: String = byte_serialize(order.0.as_bytes()).collect();
        let answer = self
            .service
            .ask(Request::get(format!("{PREVIEW}?id={id}")))
            .await?;
        if answer.status == 404 {
            return Ok(vec![FetchedOrder::NotFound]);
        }
        let observed = order_in(&answer, &self.accept(&answer)?)?;
        if observed.order_id != *order {
            let what = "the answer is about another order";
            return Err(ProviderError::Malformed(what.into()));
        }
        Ok(vec![FetchedOrder::Seen(observed)])
    }
}

#[async_trait]
impl ListOrders for WalletPay {
    fn page_limit(&self) -> u32 {
        PAGE_LIMIT
    }

    /// Items are passed on only under a `SUCCESS`: if the envelope's status comes after them, they
    /// are held back until then. An invalid item makes the page fail at its end, after the other
    /// items were visited. More items than `count` make it fail at once.
    async fn page(
        &self,
        offset: u64,
        count: u32,
        visitor: &mut dyn PageVisitor,
    ) -> Result<PageEnd, ProviderError> {
        if count > PAGE_LIMIT {
            return Err(ProviderError::Refused(format!(
                "a page holds at most {PAGE_LIMIT} orders"
            )));
        }
        let request = Request::get_long(format!("{LIST}?offset={offset}&count={count}"));
        let mut response = self.service.send(request).await?;
        let observed_at = self.service.now();
        if !matches!(response.status, 200..=299) {
            let answer = WholeAnswer::read(response, observed_at, FAILURE_BODY).await?;
            self.accept(&answer)?;
            return Err(ProviderError::Malformed(format!("HTTP {}", answer.status)));
        }
        let mut reader = PageReader::new(visitor, observed_at, count);
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len() as u64;
            reader.feed(&chunk).map_err(ProviderError::Malformed)?;
        }
        self.log_unreadable(reader.take_unreadable());
        match reader.finish() {
            Ok(items) => Ok(PageEnd { items, bytes }),
            Err(NotRead::Malformed(what)) => Err(ProviderError::Malformed(what)),
            Err(NotRead::Refused(word, message)) => {
                Err(failure_of(&word, &self.service.words(&message)))
            }
        }
    }

    /// `totalAmount` is the number of orders, despite its name.
    async fn count(&self) -> Result<u64, ProviderError> {
        let answer = self.service.ask(Request::get(AMOUNT)).await?;
        let envelope = self.accept(&answer)?;
        wire::total_amount(envelope.data).map_err(ProviderError::Malformed)
    }
}

/// Parses the order in `data` of the answer's envelope.
fn order_in(answer: &WholeAnswer, envelope: &Envelope<'_>) -> Result<ObservedOrder, ProviderError> {
    wire::required(envelope.data)
        .and_then(|data| order::observed(data.get(), answer.observed_at))
        .map_err(ProviderError::Malformed)
}

/// The error for an envelope status other than success. `words` may be empty.
fn failure_of(word: &StatusWord, words: &str) -> ProviderError {
    let name = word.as_str();
    let what = if words.is_empty() {
        name.to_owned()
    } else {
        format!("{name}: {words}")
    };
    match word {
        StatusWord::AccessDenied => ProviderError::KeyRefused(what),
        StatusWord::InvalidRequest => ProviderError::Refused(what),
        StatusWord::InternalError => ProviderError::Unavailable { what, wait: None },
        StatusWord::Success | StatusWord::Already | StatusWord::Conflict | StatusWord::Other(_) => {
            ProviderError::Malformed(format!("unexpected status {what}"))
        }
    }
}
