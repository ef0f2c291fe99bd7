//! YooKassa (ЮKassa), the payments API v3: payments and refunds, with one shop per account.
//!
//! Strict in what is sent (`creation`), lenient in what is received (`payment`, `refund`). The HTTP
//! status decides: 2xx is an object or a list in its current state; 404, and 400 about
//! `payment_id`, mean "no such payment" only for a poll; 403 there means a payment of another shop,
//! or a permission that the key lacks, so it applies to that payment only and does not stop the
//! account.
//!
//! A payment is created under an idempotence key derived from account and external id, always with
//! the same bytes: for 24 hours a repeat is answered with the existing payment, whatever happened
//! to the first answer. After that, and if the key is reported as used with another body, the list
//! is searched before anything is created.
//!
//! Facts are those of the provider's documentation of November 2026.

mod creation;
mod failure;
mod list;
mod payment;
mod refund;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use self::failure::ServiceRefusal;
use super::http::{KeyPlace, Request};
use super::kind::{ProviderKind, ProviderParts};
use super::service::{ServiceClient, WholeAnswer};
use super::setting::{Setting, SettingKind};
use super::wire::{self, Raw, body_text, object};
use super::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder,
    ListByTime, ListRefunds, Provider, ProviderError,
};
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::ObservedOrder;

/// The registration of YooKassa.
pub const KIND: ProviderKind = ProviderKind {
    name: "yookassa",
    base_url: "https://api.yookassa.ru",
    api_path: "/v3",
    requests_per_second: 3.0,
    settings: &[Setting {
        key: "return_url",
        kind: SettingKind::Text {
            is_valid: creation::is_return_url,
            expected: "a link such as https://t.me/your_bot",
        },
        default: Some(""),
        unset: "an invoice that payrecond shall create is rejected unless it has options.return_url",
        help: "where payers come back to, unless the invoice's options say so",
    }],
    check_key,
    key_place: KeyPlace::Basic,
    build: |parts| Arc::new(YooKassa::new(parts)),
};

const PAYMENTS: &str = "/v3/payments";
const SHOP: &str = "/v3/me";
/// A key is remembered for 24 hours; one hour is subtracted for clock differences and delays.
const IDEMPOTENT_FOR: Duration = Duration::from_hours(23);
const IDEMPOTENCE_KEY: &str = "idempotence-key";

/// One shop at YooKassa.
pub struct YooKassa {
    service: ServiceClient,
    /// Return address of payers; empty = each invoice has its own.
    return_url: String,
}

impl YooKassa {
    /// The shop whose key the transport receives by `set_key`.
    pub fn new(parts: ProviderParts) -> Self {
        Self {
            return_url: parts.settings.get("return_url").to_owned(),
            service: ServiceClient::new(parts.transport, parts.clock),
        }
    }

    /// The body of a successful answer, else the error.
    fn accept<'a>(&self, answer: &'a WholeAnswer) -> Result<&'a str, ProviderError> {
        let failure = self.failure(answer);
        if matches!(answer.status, 200..=299) && !failure.is_error() {
            return body_text(&answer.body).map_err(ProviderError::Malformed);
        }
        Err(failure.error(answer))
    }

    fn failure(&self, answer: &WholeAnswer) -> ServiceRefusal {
        ServiceRefusal::read(&self.service, answer)
    }

    fn payment_in(&self, answer: &WholeAnswer) -> Result<ObservedOrder, ProviderError> {
        let body = self.accept(answer)?;
        payment::observed(body, answer.observed_at).map_err(ProviderError::Malformed)
    }
}

#[async_trait]
impl Provider for YooKassa {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn set_key(&self, key: ApiKey) {
        self.service.set_key(key);
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        self.service.clock_difference()
    }

    /// Requests the shop's own data. A disabled shop still answers, but accepts no payments.
    async fn probe(&self) -> Result<(), ProviderError> {
        let answer = self.service.ask(Request::get(SHOP)).await?;
        let body = self.accept(&answer)?;
        let shop: ShopStatusWire<'_> =
            object(body).map_err(|error| ProviderError::Malformed(error.to_string()))?;
        if wire::word(shop.status).as_deref() == Some("disabled") {
            let what = "the shop is disabled at YooKassa: ask its support";
            return Err(ProviderError::KeyRefused(what.into()));
        }
        Ok(())
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        Some(self)
    }

    fn lists_by_time(&self) -> Option<&dyn ListByTime> {
        Some(self)
    }

    fn lists_refunds(&self) -> Option<&dyn ListRefunds> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

/// The shop as returned by `/v3/me`.
#[derive(Deserialize)]
struct ShopStatusWire<'a> {
    #[serde(borrow)]
    status: Raw<'a>,
}

#[async_trait]
impl FetchOrders for YooKassa {
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        let [order] = orders else {
            let what = format!("one order at a time, not {}", orders.len());
            return Err(ProviderError::Refused(what));
        };
        let id: String = byte_serialize(order.0.as_bytes()).collect();
        let answer = self
            .service
            .ask(Request::get(format!("{PAYMENTS}/{id}")))
            .await?;
        match answer.status {
            404 => return Ok(vec![FetchedOrder::NotFound]),
            400 if self.failure(&answer).is_about("payment_id") => {
                return Ok(vec![FetchedOrder::NotFound]);
            }
            403 => return Err(self.failure(&answer).about_one_order(&answer)),
            _ => {}
        }
        let observed = self.payment_in(&answer)?;
        if observed.order_id != *order {
            let what = "the answer is about another payment";
            return Err(ProviderError::Malformed(what.into()));
        }
        Ok(vec![FetchedOrder::Seen(observed)])
    }
}

#[async_trait]
impl CreateOrders for YooKassa {
    fn idempotent_for(&self) -> Duration {
        IDEMPOTENT_FOR
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        Ok(Creation {
            external_id: invoice.external_id.clone(),
            body: creation::body(invoice, &self.return_url)?,
            idempotence_key: creation::idempotence_key(&invoice.account, &invoice.external_id),
        })
    }

    /// Only the service's own 400 ends a creation. After a 500 the payment may exist: it counts as
    /// no answer, and the repeat under the same key shows the result.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        let request = Request::post(PAYMENTS, creation.body.clone())
            .with_header(IDEMPOTENCE_KEY, creation.idempotence_key.clone());
        let answer = self.service.ask(request).await?;
        let failure = self.failure(&answer);
        match answer.status {
            400 if failure.is_about("Idempotence-Key") => {
                Ok(CreationAnswer::Conflict(failure.words()))
            }
            400 if failure.is_from_service() => Ok(CreationAnswer::Refused(failure.words())),
            403 => Err(failure.about_one_order(&answer)),
            _ => self.payment_in(&answer).map(CreationAnswer::Exists),
        }
    }
}

/// Checks a key: the shop's id and its secret key, separated by a colon.
fn check_key(key: &str) -> Result<(), &'static str> {
    let is_pair = key.split_once(':').is_some_and(|(shop, secret)| {
        let is_id = !shop.is_empty() && shop.bytes().all(|b| b.is_ascii_digit());
        is_id && !secret.is_empty() && !secret.contains(':')
    });
    if is_pair {
        Ok(())
    } else {
        Err("must be the shop's id and its secret key with a colon between, such as 100500:live_…")
    }
}
