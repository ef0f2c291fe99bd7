//! What every payment provider must be able to do, and the types of its answers.
//!
//! Two kinds of result have two separate types: what the provider *reported* (`FetchedOrder`,
//! `CreationAnswer`, `PageEnd`), and a *failed request* (`ProviderError`). Only the first kind can
//! become an observation of an invoice.

pub mod crypto_pay;
pub mod cryptocloud;
pub mod http;
pub mod kind;
mod ledger;
mod options;
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

pub use self::ledger::{LedgerJudgement, LedgerPage, ReadLedger, UnreadableEntry};
pub use self::refund_list::{ListRefunds, Refund, RefundPage};
pub use self::time_list::{ListByTime, SpanCursor, SpanKind, SpanPage, TimeSpan};
use crate::domain::invoice::{ExternalId, Invoice, OrderId};
use crate::domain::observation::{ObservedOrder, OrderState};
use crate::domain::time::UnixMillis;

/// One account at a payment provider; all of its requests are made through this trait. Each ability
/// beyond the probe is offered as a shape, so that no other code needs to know the provider's name.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The provider's name in events and configuration: `walletpay`.
    fn name(&self) -> &'static str;

    /// Replaces the key.
    fn set_key(&self, key: ApiKey);

    /// Codes that the provider uses for one and the same currency; most providers have none.
    fn one_currency(&self) -> &'static [&'static str] {
        &[]
    }

    /// Difference between the provider's clock and ours at its last answer; None if it reports no
    /// time.
    fn clock_difference(&self) -> Option<ClockDifference> {
        None
    }

    /// A cheap request that changes nothing and depends on no order. It succeeds if the service
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

    /// The ledger, where there are no orders.
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

/// The difference of another clock from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDifference {
    /// Theirs is ahead of ours by this much, or equal.
    Ahead(Duration),
    /// Theirs is behind ours.
    Behind(Duration),
}

impl ClockDifference {
    /// A time of our clock converted to the other one.
    pub fn their_time(self, ours: UnixMillis) -> UnixMillis {
        match self {
            Self::Ahead(by) => ours.plus(by),
            Self::Behind(by) => ours.minus(by),
        }
    }
}

/// Fetches orders by their ids.
#[async_trait]
pub trait FetchOrders: Send + Sync {
    /// Maximum number of orders in one request; 1 = one at a time.
    fn batch_limit(&self) -> u32 {
        1
    }

    /// Fetches up to `batch_limit` orders. The result has one entry for each, in the same order;
    /// the ids in it have been checked.
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError>;
}

/// Reads the account's list of all orders, oldest first.
#[async_trait]
pub trait ListOrders: Send + Sync {
    /// Maximum number of orders on a page.
    fn page_limit(&self) -> u32;

    /// Reads a part of the list, passing items to `visitor` as they arrive. `offset` is the number
    /// of orders to skip, `count` at most `Self::page_limit`. Items visited before a failure are
    /// valid.
    async fn page(
        &self,
        offset: u64,
        count: u32,
        visitor: &mut dyn PageVisitor,
    ) -> Result<PageEnd, ProviderError>;

    /// Number of orders ever created in the account.
    async fn count(&self) -> Result<u64, ProviderError>;
}

/// Creates orders.
#[async_trait]
pub trait CreateOrders: Send + Sync {
    /// How long after the first attempt a repeated creation makes no second order. Later, the order
    /// of the first attempt is searched for before the creation is repeated.
    fn idempotent_for(&self) -> Duration;

    /// What the configuration lacks before any order can be created: invoices wait for it. Pure.
    fn missing_setting(&self) -> Option<String> {
        None
    }

    /// The creation request for `invoice`, always the same bytes, or why it can never be made (one
    /// line, names the option and the rule). Pure.
    fn creation(&self, invoice: &Invoice) -> Result<Creation, String>;

    /// The result of `create`, if it is known without a request. Pure.
    fn known_answer(&self, _creation: &Creation) -> Option<CreationAnswer> {
        None
    }

    /// Creates the order, or finds that an earlier attempt did.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError>;
}

/// Searches for an order by the shop's id.
#[async_trait]
pub trait FindOrders: Send + Sync {
    /// The order with `external_id`; None = a complete search found none.
    async fn find(&self, external_id: &ExternalId) -> Result<Option<ObservedOrder>, ProviderError>;
}

/// The provider's report on one order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and the large variant is the usual one"
)]
pub enum FetchedOrder {
    /// It reported the order.
    Seen(ObservedOrder),
    /// It reported that it has no such order. By itself this proves little: see
    /// `Observation::NotFound`.
    NotFound,
}

/// A creation request that can be sent any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The shop's id, which makes the creation idempotent.
    pub external_id: ExternalId,
    /// The exact body.
    pub body: String,
    /// The key under which the provider creates at most one order; empty if the provider has no
    /// such key.
    pub idempotence_key: String,
}

/// The provider's answer to a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and the large variant is the usual one"
)]
pub enum CreationAnswer {
    /// The order exists, created now or by an earlier attempt with the same parameters.
    Exists(ObservedOrder),
    /// There is no order to create, but a link by which the invoice can be paid.
    Link(String),
    /// It refuses to create the order; its message, on one line.
    Refused(String),
    /// An order with this external id and other parameters exists; its message, on one line.
    Conflict(String),
}

/// Selects items of a page while it arrives, so that other orders cost almost nothing.
pub trait PageVisitor: Send {
    /// Checks an item; true = build the whole order.
    fn wants(&mut self, item: &ListItem<'_>) -> bool;

    /// Receives a selected order.
    fn take(&mut self, item_index: u64, observed: ObservedOrder);
}

/// What is known of a list item before the order is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListItem<'a> {
    /// Position within the page, from 0.
    pub index: u64,
    /// The provider's id.
    pub order_id: &'a str,
    /// The shop's id, where the list has it.
    pub external_id: Option<&'a str>,
    /// State of the order.
    pub state: OrderState,
    /// Time of creation in the provider's format.
    pub created_at: Option<&'a str>,
    /// The amount of the order, value and currency. None if it is absent or unusable; then only the
    /// whole order shows it.
    pub amount: Option<(&'a str, &'a str)>,
}

/// The end of a page that was read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEnd {
    /// Number of items on it. Fewer than requested do not prove that the list ends there: a
    /// provider may put fewer on a page.
    pub items: u64,
    /// Decoded bytes of the body.
    pub bytes: u64,
}

/// Why the provider reported nothing about an order. None of these may change a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No answer: name not found, refused, reset, cut short, too slow.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Rate limited (429). `wait`: what the server requests, already capped.
    #[error("rate limited by the provider (HTTP 429)")]
    RateLimited {
        /// How long the whole account must hold.
        wait: Option<Duration>,
    },
    /// The service failed (5xx, `INTERNAL_ERROR`).
    #[error("provider unavailable: {what}")]
    Unavailable {
        /// Status and message, on one line.
        what: String,
        /// How long the whole account must hold.
        wait: Option<Duration>,
    },
    /// The key is not accepted (401, 403, `ACCESS_DENIED`).
    #[error("API key refused: {0}")]
    KeyRefused(String),
    /// An answer that does not match the documentation: invalid, too large, or about another order.
    #[error("unusable answer: {0}")]
    Malformed(String),
    /// The request itself is refused (other 4xx, `INVALID_REQUEST`), which proves nothing about an
    /// order.
    #[error("request refused: {0}")]
    Refused(String),
}

impl ProviderError {
    /// A short name for metrics and log fields.
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

/// An account's API key. Never shown by `Debug`, in an error, or in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Reads an account's key again.
pub type KeyReader = Arc<dyn Fn() -> Result<ApiKey, String> + Send + Sync>;

impl ApiKey {
    /// Parses a key and trims white space. Refused, with the reason, if it is empty or contains
    /// characters not allowed in a header.
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

    /// The key itself, for the request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}
