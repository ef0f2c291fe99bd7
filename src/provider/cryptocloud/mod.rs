//! CryptoCloud, named Trybit since May 2026: invoices paid in coins, with one key per project.
//!
//! Every call is a POST with a JSON body. `envelope` parses the envelope of answers, `invoice`
//! judges an invoice, `creation` builds the request for a new one, and `list` reads whole days. An
//! id may be written with or without `INV-` and in any case; answers are matched by the rest of it.
//!
//! Creation is not idempotent, and `order_id`, which holds our external id, is not unique: before a
//! creation is repeated, the invoices of its days are searched. An extra invoice whose link no
//! payer saw does no harm.
//!
//! The API has no refunds, no defined order of the list, and no status for an expired invoice.

mod creation;
mod envelope;
mod invoice;
mod list;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::envelope::Failure;
use self::invoice::AnsweredAt;
use self::list::{LimitReading, PagePlace};
use super::http::{KeyPlace, Request, Transport};
use super::kind::{ProviderKind, any_key};
use super::service::{ServiceClient, WholeAnswer};
use super::setting::{Setting, SettingKind};
use super::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder,
    ListByTime, Provider, ProviderError, SpanCursor, SpanKind, SpanPage, TimeSpan,
};
use crate::clock::Clock;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::ObservedOrder;

/// The registration of CryptoCloud.
pub const KIND: ProviderKind = ProviderKind {
    name: "cryptocloud",
    base_url: "https://api.trybit.com",
    api_path: "/v2",
    requests_per_second: 2.0,
    settings: &[Setting {
        key: "shop_id",
        kind: SettingKind::Text {
            is_valid: is_shop_id,
            expected: "letters, digits, - and _, at most 64",
        },
        default: Some(""),
        unset: "invoices that payrecond shall create wait until it is",
        help: "the project's id, needed to create invoices",
    }],
    check_key: any_key,
    key_place: KeyPlace::Header {
        name: "authorization",
        prefix: "Token ",
    },
    build: |parts| {
        let shop_id = parts.settings.get("shop_id").to_owned();
        Arc::new(CryptoCloud::new(parts.transport, parts.clock, shop_id))
    },
};

/// Maximum number of invoices in a batch.
pub const BATCH_LIMIT: u32 = 100;

const CREATE: &str = "/v2/invoice/create";
const INFO: &str = "/v2/invoice/merchant/info";
const LIST: &str = "/v2/invoice/merchant/list";
const BALANCE: &str = "/v2/merchant/wallet/balance/all";

/// Maximum size of an answer with many invoices. An invoice takes 1 to 2 KiB.
const LARGE_ANSWER: usize = 4 * 1024 * 1024;

/// One project at CryptoCloud.
pub struct CryptoCloud {
    service: ServiceClient,
    /// Empty if it is not set.
    shop_id: String,
    limit_reading: LimitReading,
}

impl CryptoCloud {
    /// The project whose key `transport` receives by `set_key`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, shop_id: String) -> Self {
        Self {
            service: ServiceClient::new(transport, clock),
            shop_id,
            limit_reading: LimitReading::default(),
        }
    }

    /// Sends a request whose answer may be long.
    async fn send(&self, path: &str, body: String) -> Result<WholeAnswer, ProviderError> {
        let request = Request::post(path, body).compressed();
        self.service.ask_up_to(request, LARGE_ANSWER).await
    }

    fn moment_of(&self, answer: &WholeAnswer) -> AnsweredAt {
        AnsweredAt {
            ours: answer.observed_at,
            theirs: self.service.their_time(answer.observed_at),
        }
    }

    /// The invoices in `answer`.
    fn invoices(&self, answer: &WholeAnswer) -> Result<Vec<ObservedOrder>, Failure> {
        let result = envelope::result(&self.service, answer)?;
        list::invoices(result, self.moment_of(answer))
            .map_err(|what| Failure::Error(ProviderError::Malformed(what)))
    }
}

#[async_trait]
impl Provider for CryptoCloud {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn set_key(&self, key: ApiKey) {
        self.service.set_key(key);
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        self.service.clock_difference()
    }

    /// Requests the balances; their values do not matter.
    async fn probe(&self) -> Result<(), ProviderError> {
        let answer = self.send(BALANCE, "{}".into()).await?;
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
impl FetchOrders for CryptoCloud {
    fn batch_limit(&self) -> u32 {
        BATCH_LIMIT
    }

    /// Unknown ids are missing from the answer, and its order is undefined. Each invoice is
    /// returned under the requested spelling of its id.
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        let ids: Vec<&str> = orders.iter().map(|order| order.0.as_str()).collect();
        let answer = self.send(INFO, json!({ "uuids": ids }).to_string()).await?;
        let mut told = HashMap::new();
        for observed in self.invoices(&answer)? {
            let id = invoice::bare_id(&observed.order_id.0);
            if let Some(other) = told.insert(id, observed) {
                let what = format!("answer has {} twice", other.order_id);
                return Err(ProviderError::Malformed(what));
            }
        }
        let each = orders.iter().map(|order| {
            let observed = told.get(&invoice::bare_id(&order.0));
            observed.map_or(FetchedOrder::NotFound, |observed| {
                FetchedOrder::Seen(ObservedOrder {
                    order_id: order.clone(),
                    ..observed.clone()
                })
            })
        });
        Ok(each.collect())
    }
}

#[async_trait]
impl CreateOrders for CryptoCloud {
    /// A repeated request creates another invoice.
    fn idempotent_for(&self) -> Duration {
        Duration::ZERO
    }

    fn missing_setting(&self) -> Option<String> {
        let is_missing = self.shop_id.is_empty();
        let what = "account.settings.shop_id is not set: set it to the project's id and restart the daemon";
        is_missing.then(|| what.to_owned())
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        creation::creation(&self.shop_id, invoice)
    }

    /// An error about a field of the invoice ends the creation. One about the project's id does
    /// not: that is a mistake in the configuration.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        let answer = self.send(CREATE, creation.body.clone()).await?;
        match envelope::result(&self.service, &answer) {
            Ok(result) => invoice::observed(result.get(), self.moment_of(&answer))
                .map(CreationAnswer::Exists)
                .map_err(ProviderError::Malformed),
            Err(Failure::Complaint {
                words,
                is_about_invoice: true,
            }) => Ok(CreationAnswer::Refused(words)),
            Err(failure) => Err(failure.into()),
        }
    }
}

#[async_trait]
impl ListByTime for CryptoCloud {
    fn lists_by(&self, kind: SpanKind) -> bool {
        match kind {
            SpanKind::Created => true,
            SpanKind::Paid => false,
        }
    }

    /// Programs may have inserted an id without its prefix, or in lower case.
    fn spellings(&self, order_id: &OrderId) -> Vec<OrderId> {
        let bare = invoice::bare_id(&order_id.0);
        let usual = invoice::usual_id(&bare).0;
        [
            bare.clone(),
            bare.to_lowercase(),
            usual.to_lowercase(),
            usual,
        ]
        .into_iter()
        .filter(|id| *id != order_id.0)
        .map(OrderId)
        .collect()
    }

    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        let place = PagePlace::of(cursor)?;
        let ours = self.service.now();
        let now = self.service.their_time(ours).unwrap_or(ours);
        let body = self
            .limit_reading
            .body(span, &place, now)
            .map_err(ProviderError::Refused)?;
        let answer = self.send(LIST, body).await?;
        let orders = match self.invoices(&answer) {
            Ok(orders) => orders,
            Err(Failure::Complaint { .. }) if self.limit_reading.learn_refusal(&place) => {
                return Ok(SpanPage {
                    orders: Vec::new(),
                    next: cursor.cloned(),
                    bytes: answer.body.len() as u64,
                });
            }
            Err(failure) => return Err(failure.into()),
        };
        Ok(SpanPage {
            next: place.after(&orders).map_err(ProviderError::Malformed)?,
            orders,
            bytes: answer.body.len() as u64,
        })
    }
}

fn is_shop_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() <= 64 && text.bytes().all(fits)
}
