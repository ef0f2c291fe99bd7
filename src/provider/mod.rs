//! What every payment provider must be able to do, and in which words it answers.
//!
//! Two kinds of answer, two types that never meet: what the provider *said* (`FetchedOrder`,
//! `CreationAnswer`, `PageEnd`) and that it *could not be asked* (`ProviderError`). Only the first
//! kind can become an observation about an invoice.

pub mod crypto_pay;
pub mod cryptocloud;
pub mod http;
pub mod kind;
mod ledger;
mod refund_list;
pub mod registry;
pub mod service;
pub mod setting;
pub mod telegram_stars;
mod time_list;
pub mod walletpay;
pub mod wire;
pub mod yookassa;
pub mod yoomoney;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::ledger::{LedgerJudgement, LedgerPage, ReadLedger};
pub use self::refund_list::{ListRefunds, Refund, RefundPage};
pub use self::time_list::{ListByTime, SpanCursor, SpanKind, SpanPage, TimeSpan};
use crate::domain::invoice::{ExternalId, Invoice, OrderId};
use crate::domain::observation::{ObservedOrder, OrderState};

/// One account at a payment provider: every request of its is made through here. What else it can do
/// than answer the harmless request, it offers as a shape; nobody needs to know its name.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The provider's name in events and configuration: `walletpay`.
    fn name(&self) -> &'static str;

    /// Takes another key from now on.
    fn set_key(&self, key: ApiKey);

    /// Codes by which it writes one currency; most providers have none such.
    fn one_currency(&self) -> &'static [&'static str] {
        &[]
    }

    /// By how much the provider's clock differed from ours at its last answer; None where it tells no
    /// time.
    fn clock_difference(&self) -> Option<ClockDifference> {
        None
    }

    /// One cheap request that changes nothing and depends on no order: it succeeds when the service
    /// works and the key is accepted.
    async fn probe(&self) -> Result<(), ProviderError>;

    /// Orders by their ids.
    fn fetches(&self) -> Option<&dyn FetchOrders> {
        None
    }

    /// The list of all orders, by position.
    fn lists(&self) -> Option<&dyn ListOrders> {
        None
    }

    /// The list of orders by time.
    fn lists_by_time(&self) -> Option<&dyn ListByTime> {
        None
    }

    /// The list of refunds by time.
    fn lists_refunds(&self) -> Option<&dyn ListRefunds> {
        None
    }

    /// The ledger, where there are no orders to ask for.
    fn ledger(&self) -> Option<&dyn ReadLedger> {
        None
    }

    /// Creation of orders.
    fn creates(&self) -> Option<&dyn CreateOrders> {
        None
    }

    /// Search by the shop's id.
    fn finds(&self) -> Option<&dyn FindOrders> {
        None
    }
}

/// A clock beside ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDifference {
    /// Theirs shows a later time than ours, by so much or nothing.
    Ahead(Duration),
    /// Theirs shows an earlier time than ours.
    Behind(Duration),
}

/// Asks for orders by their ids.
#[async_trait]
pub trait FetchOrders: Send + Sync {
    /// Most orders in one request; 1 = one at a time.
    fn batch_limit(&self) -> u32 {
        1
    }

    /// Asks for up to `batch_limit` orders. The answer has one for each, in their order; the ids in
    /// it have been checked.
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError>;
}

/// Reads the account's list of all orders, oldest first.
#[async_trait]
pub trait ListOrders: Send + Sync {
    /// Most orders that one page can hold.
    fn page_limit(&self) -> u32;

    /// Reads part of the list, handing items to `visitor` as they arrive. `offset` is the number of
    /// first orders left out, `count` at most `Self::page_limit`. What was visited before a failure
    /// was truly told.
    async fn page(
        &self,
        offset: u64,
        count: u32,
        visitor: &mut dyn PageVisitor,
    ) -> Result<PageEnd, ProviderError>;

    /// Number of orders ever made in the account.
    async fn count(&self) -> Result<u64, ProviderError>;
}

/// Creates orders.
#[async_trait]
pub trait CreateOrders: Send + Sync {
    /// For how long after the first time the same creation, sent again, makes no second order. Later,
    /// what the first one made is searched for before it is sent again.
    fn idempotent_for(&self) -> Duration;

    /// The creation request that `invoice` asks for, the same bytes each time, or why it can never
    /// be made (one line, names the option and the rule). Pure.
    fn creation(&self, invoice: &Invoice) -> Result<Creation, String>;

    /// What `create` would answer, where no request is needed to know it. Pure.
    fn known_answer(&self, _creation: &Creation) -> Option<CreationAnswer> {
        None
    }

    /// Makes the order, or finds that an earlier try made it.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError>;
}

/// Searches for an order by the shop's id.
#[async_trait]
pub trait FindOrders: Send + Sync {
    /// The order that bears `external_id`; None = a complete search found none.
    async fn find(&self, external_id: &ExternalId) -> Result<Option<ObservedOrder>, ProviderError>;
}

/// What the provider said of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and the large variant is the usual one"
)]
pub enum FetchedOrder {
    /// It told of it.
    Seen(ObservedOrder),
    /// It says it has no such order. By itself that proves little: see `Observation::NotFound`.
    NotFound,
}

/// A creation request, ready to be sent any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The shop's id, the key of idempotency.
    pub external_id: ExternalId,
    /// The exact body.
    pub body: String,
    /// The key under which the provider makes one order and no second; empty where it knows none.
    pub idempotence_key: String,
}

/// What the provider said to a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and the large variant is the usual one"
)]
pub enum CreationAnswer {
    /// The order exists, made now or by an earlier try with the same parameters.
    Exists(ObservedOrder),
    /// There is no order to be made: a link at which the invoice can be paid.
    Link(String),
    /// It will not make the order, in its words on one line.
    Refused(String),
    /// An order with this external id and other parameters exists, in its words on one line.
    Conflict(String),
}

/// Chooses among the items of a page while it arrives, so that orders of others cost next to
/// nothing.
pub trait PageVisitor: Send {
    /// Looks at an item in passing; true = build the whole order.
    fn wants(&mut self, item: &ListItem<'_>) -> bool;

    /// Receives an order that was wanted.
    fn take(&mut self, item_index: u64, observed: ObservedOrder);
}

/// What can be told of a list item without building it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListItem<'a> {
    /// Position within the page, from 0.
    pub index: u64,
    /// The provider's id.
    pub order_id: &'a str,
    /// The shop's id, where the list tells it.
    pub external_id: Option<&'a str>,
    /// State of the order.
    pub state: OrderState,
    /// Time of creation as the provider writes it.
    pub created_at: Option<&'a str>,
    /// What the order asks for, value and currency. None where it is not told or not usable: then
    /// only the whole order can tell.
    pub amount: Option<(&'a str, &'a str)>,
}

/// A page that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEnd {
    /// Items on it. Fewer than asked for are no proof that the list ends there: a provider may put
    /// fewer on a page.
    pub items: u64,
    /// Decoded bytes of the body.
    pub bytes: u64,
}

/// Why the provider said nothing about an order. None of these may move a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No answer: name not found, refused, reset, cut short, too slow.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Asked too often (429). `wait`: what the server asks for, already capped.
    #[error("asked too often (HTTP 429)")]
    RateLimited {
        /// How long the whole account must hold.
        wait: Option<Duration>,
    },
    /// The service is in trouble (5xx, `INTERNAL_ERROR`).
    #[error("service in trouble: {what}")]
    Unavailable {
        /// Status and words, on one line.
        what: String,
        /// How long the whole account must hold.
        wait: Option<Duration>,
    },
    /// The key is not accepted (401, 403, `ACCESS_DENIED`).
    #[error("key refused: {0}")]
    KeyRefused(String),
    /// An answer that is not what the documentation says: broken, too large, about another order.
    #[error("unusable answer: {0}")]
    Malformed(String),
    /// The request itself is refused (other 4xx, `INVALID_REQUEST`), which says nothing of an order.
    #[error("request refused: {0}")]
    Refused(String),
}

impl ProviderError {
    /// A short name for counting and for log fields.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::KeyRefused(_) => "key_refused",
            Self::Malformed(_) => "malformed",
            Self::Refused(_) => "refused",
        }
    }
}

/// An account's key. Never shown: not by `Debug`, not in an error, not in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Reads an account's key again.
pub type KeyReader = Arc<dyn Fn() -> Result<ApiKey, String> + Send + Sync>;

impl ApiKey {
    /// A key as read, white space around it cut. Refused, with the reason, when empty or when it
    /// holds what no header takes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return Err("empty");
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(
                "contains a line break, a control character or a letter outside ASCII; expected the key alone, \
                 on one line",
            ),
        }
    }

    /// The key itself, for the one header.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}
