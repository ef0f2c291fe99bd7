//! Crypto Pay, the API of `@CryptoBot`: invoices paid from the payer's balance there, with one
//! token per app.
//!
//! Every call is a POST with a JSON body. `envelope` parses the envelope of answers, `order` an
//! invoice, `creation` builds the request for a new one, and `list` reads the list of all invoices,
//! newest first.
//!
//! Invoices are polled in batches: an id missing from a complete answer does not exist. Creation is
//! not idempotent, and the API cannot search by `payload`, which holds our external id: before a
//! creation is repeated, the newest invoices are read. The test network is a separate service,
//! identified by its host; payments there are test payments.
//!
//! The API has no request for a single invoice, no partial payments, no refunds, and no filter by
//! time.

mod creation;
mod envelope;
mod list;
mod order;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::envelope::Refusal;
use self::list::ListPlace;
use super::http::{KeyPlace, Request, Transport};
use super::kind::{ProviderKind, any_key};
use super::service::{ServiceClient, WholeAnswer};
use super::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder,
    ListByTime, Provider, ProviderError, SpanCursor, SpanKind, SpanPage, TimeSpan,
};
use crate::clock::Clock;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::ObservedOrder;

/// The registration of Crypto Pay.
pub const KIND: ProviderKind = ProviderKind {
    name: "crypto-pay",
    base_url: "https://pay.crypt.bot",
    api_path: "/api",
    requests_per_second: 1.0,
    settings: &[],
    check_key: any_key,
    key_place: KeyPlace::Header {
        name: "crypto-pay-api-token",
        prefix: "",
    },
    build: |parts| {
        let host = parts.base_url.host_str().unwrap_or_default();
        let is_test = host.starts_with(TEST_HOSTS_BEGIN);
        Arc::new(CryptoPay::new(parts.transport, parts.clock, is_test))
    },
};

/// Maximum number of invoices in one request.
pub const BATCH_LIMIT: u32 = 1000;

/// Prefix of the test network's hosts.
const TEST_HOSTS_BEGIN: &str = "testnet";
const CREATE: &str = "/api/createInvoice";
const INVOICES: &str = "/api/getInvoices";
const ME: &str = "/api/getMe";
/// Maximum number of digits of an id; current ids have nine.
const LONGEST_ID: usize = 18;

/// One app at Crypto Pay.
pub struct CryptoPay {
    service: ServiceClient,
    is_test: bool,
}

impl CryptoPay {
    /// The app whose token `transport` receives by `set_key`; `is_test`: on the test network.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, is_test: bool) -> Self {
        Self {
            service: ServiceClient::new(transport, clock),
            is_test,
        }
    }

    /// Calls a method with a possibly long answer; the transport limits its size.
    async fn call(&self, method: &str, body: String) -> Result<WholeAnswer, ProviderError> {
        let request = Request::post(method, body).compressed();
        self.service.ask_up_to(request, usize::MAX).await
    }

    /// The invoices in a list or batch.
    fn invoices(&self, answer: &WholeAnswer) -> Result<Vec<ObservedOrder>, ProviderError> {
        let result = envelope::result(&self.service, answer)?;
        order::list(result, answer.observed_at, self.is_test).map_err(ProviderError::Malformed)
    }
}

#[async_trait]
impl Provider for CryptoPay {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn set_key(&self, key: ApiKey) {
        self.service.set_key(key);
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        self.service.clock_difference()
    }

    async fn probe(&self) -> Result<(), ProviderError> {
        let answer = self.service.ask(Request::post(ME, "{}")).await?;
        envelope::result(&self.service, &answer)?;
        Ok(())
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        Some(self)
    }

    fn lists_by_time(&self) -> Option<&dyn ListByTime> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

#[async_trait]
impl FetchOrders for CryptoPay {
    fn batch_limit(&self) -> u32 {
        BATCH_LIMIT
    }

    /// `count` is always sent: without it the answer has at most 100 invoices, however many were
    /// requested. An answer with an invoice that was not requested proves nothing about missing
    /// ones. Texts that cannot be ids are not sent, because they would invalidate the request for
    /// all others.
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        let asked: HashSet<&str> = orders.iter().map(|o| o.0.as_str()).filter(is_id).collect();
        let mut told = HashMap::new();
        if !asked.is_empty() {
            let answer = self.call(INVOICES, batch(orders, &asked)).await?;
            for observed in self.invoices(&answer)? {
                let id = observed.order_id.0.clone();
                if !asked.contains(id.as_str()) {
                    let what = format!("answer has the unrequested invoice {id}");
                    return Err(ProviderError::Malformed(what));
                }
                if told.insert(id, observed).is_some() {
                    let what = "answer has an invoice twice";
                    return Err(ProviderError::Malformed(what.into()));
                }
            }
        }
        let each = orders.iter().map(|order| {
            let observed = told.get(&order.0).cloned();
            observed.map_or(FetchedOrder::NotFound, FetchedOrder::Seen)
        });
        Ok(each.collect())
    }
}

#[async_trait]
impl CreateOrders for CryptoPay {
    /// A repeated request creates a second invoice.
    fn idempotent_for(&self) -> Duration {
        Duration::ZERO
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        creation::creation(invoice)
    }

    /// The API's own 400 names a parameter that it will never accept.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        let request = Request::post(CREATE, creation.body.clone());
        let answer = self.service.ask(request).await?;
        match envelope::result(&self.service, &answer) {
            Ok(result) => order::observed(result.get(), answer.observed_at, self.is_test)
                .map(CreationAnswer::Exists)
                .map_err(ProviderError::Malformed),
            Err(Refusal::Parameter(name)) => Ok(CreationAnswer::Refused(name)),
            Err(refusal @ Refusal::Error(_)) => Err(refusal.into()),
        }
    }
}

#[async_trait]
impl ListByTime for CryptoPay {
    fn lists_by(&self, kind: SpanKind) -> bool {
        match kind {
            SpanKind::Created => true,
            SpanKind::Paid => false,
        }
    }

    /// Pages of the list of all invoices, as far back as the span reaches.
    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        let place = ListPlace::read(cursor).map_err(ProviderError::Malformed)?;
        let body = json!({"offset": place.offset, "count": BATCH_LIMIT}).to_string();
        let answer = self.call(INVOICES, body).await?;
        let orders = self.invoices(&answer)?;
        Ok(SpanPage {
            next: place.next(&orders, span),
            orders,
            bytes: answer.body.len() as u64,
        })
    }
}

/// The request for `asked`, in the order of `orders`.
fn batch(orders: &[OrderId], asked: &HashSet<&str>) -> String {
    let ids = orders.iter().map(|order| order.0.as_str());
    let ids: Vec<&str> = ids.filter(|id| asked.contains(id)).collect();
    json!({"invoice_ids": ids.join(","), "count": ids.len()}).to_string()
}

/// Ids are JSON numbers.
fn is_id(text: &&str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    (1..=LONGEST_ID).contains(&text.len()) && is_number && !text.starts_with('0')
}
