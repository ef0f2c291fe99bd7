//! Telegram Stars, the ledger of a bot (`getStarTransactions` of the Bot API, 10.1). Invoices have
//! no id and no state there; a payment is found by the payload of its invoice.
//!
//! `ledger` parses a page, `cursor` is the position in the ledger, `end` is where it ends, and
//! `creation` builds the request for a link. The ledger is counted from its oldest transaction, and only
//! answers without transactions end a reading: a page may be shorter than requested, or empty though more
//! follows. In a long ledger, the first relevant transaction is found by bisection.
//!
//! The bot's token is part of the path of every request; the transport adds it. Besides the
//! harmless `getMe`, three methods are called: `getStarTransactions`, `getMyStarBalance` and, to create
//! links, `createInvoiceLink`. Never `getUpdates`, which would take the bot's updates away.

mod creation;
mod cursor;
mod end;
mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use self::cursor::{StarsCursor, StarsQuestion};
use super::http::{KeyPlace, Request, Transport, judge_status};
use super::kind::ProviderKind;
use super::service::{ServiceClient, WholeAnswer};
use super::wire::{Raw, body_text, boolean, link, object, text};
use super::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, LedgerJudgement, LedgerPage,
    Provider, ProviderError, ReadLedger,
};
use crate::clock::Clock;
use crate::domain::invoice::{ExternalId, Invoice};
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// The registration of Telegram Stars.
pub const KIND: ProviderKind = ProviderKind {
    name: "telegram-stars",
    base_url: "https://api.telegram.org",
    api_path: "/bot",
    requests_per_second: 1.0,
    settings: &[],
    check_key: check_token,
    key_place: KeyPlace::Path { prefix: "/bot" },
    build: |parts| Arc::new(TelegramStars::new(parts.transport, parts.clock)),
};

/// Longest payload of an invoice, in bytes.
pub const LONGEST_PAYLOAD: usize = 128;
/// Maximum number of transactions on a page; the server silently reduces a higher limit to it.
const PAGE_LIMIT: u64 = 100;

const ME: &str = "/getMe";
const TRANSACTIONS: &str = "/getStarTransactions";
const BALANCE: &str = "/getMyStarBalance";
const LINK: &str = "/createInvoiceLink";

/// The Stars of one bot.
pub struct TelegramStars {
    service: ServiceClient,
    /// Whether the key's bot is known to have the ledger that was read.
    is_known_bot: AtomicBool,
}

impl TelegramStars {
    /// The bot whose token `transport` receives by `set_key`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            service: ServiceClient::new(transport, clock),
            is_known_bot: AtomicBool::new(false),
        }
    }

    async fn call(&self, method: &str, body: String) -> Result<WholeAnswer, ProviderError> {
        self.service
            .ask_up_to(Request::post(method, body), usize::MAX)
            .await
    }

    /// A page without transactions: the balance proves the end of the ledger, or does not. An old
    /// server does not know the method.
    async fn compare_balance(&self, place: StarsCursor) -> Result<LedgerPage, ProviderError> {
        let answer = self.call(BALANCE, "{}".into()).await?;
        let balance = match result(&self.service, &answer) {
            Ok(told) => ledger::balance(told.get()),
            // A method that fails alone must not keep payments back.
            Err(
                ProviderError::Refused(_)
                | ProviderError::Malformed(_)
                | ProviderError::Unavailable { wait: None, .. },
            ) => None,
            Err(error) => return Err(error),
        };
        Ok(LedgerPage {
            transactions: Vec::new(),
            step: place.after_balance(balance),
            unreadable: Vec::new(),
            answered_at: answer.told_at,
        })
    }
}

#[async_trait]
impl Provider for TelegramStars {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn set_key(&self, key: ApiKey) {
        self.service.set_key(key);
        self.is_known_bot.store(false, Ordering::Relaxed);
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        self.service.clock_difference()
    }

    async fn probe(&self) -> Result<(), ProviderError> {
        let answer = self.call(ME, "{}".into()).await?;
        result(&self.service, &answer)?;
        Ok(())
    }

    fn ledger(&self) -> Option<&dyn ReadLedger> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

#[async_trait]
impl ReadLedger for TelegramStars {
    async fn ledger_page(
        &self,
        cursor: Option<&LedgerCursor>,
        from: Option<UnixMillis>,
    ) -> Result<LedgerPage, ProviderError> {
        let mut place = StarsCursor::parse(cursor);
        if self.is_known_bot.load(Ordering::Relaxed) {
            place = place.of_known_bot();
        }
        let checks_bot = place.checks_bot();
        let offset = match place.question() {
            StarsQuestion::Page { offset } => offset,
            StarsQuestion::Balance => return self.compare_balance(place).await,
        };
        let body = json!({"offset": offset, "limit": PAGE_LIMIT}).to_string();
        let mut answer = self.call(TRANSACTIONS, body).await?;
        let broken = answer.mend_text();
        let told = result(&self.service, &answer)?.get();
        let entries = ledger::entries(told, offset, broken).map_err(ProviderError::Malformed)?;
        let from = from.or_else(|| self.service.reads_from(&answer));
        let step = place.after_page(offset, &entries, from, answer.told_at);
        // The beginning of another ledger is read next: what this page shows is shown again.
        let is_read = step != LedgerStep::Other;
        if checks_bot && is_read {
            self.is_known_bot.store(true, Ordering::Relaxed);
        }
        let is_recent = |one: &Transaction| from.is_none_or(|from| one.happened_at >= from);
        let is_recent = |one: &Transaction| is_read && is_recent(one);
        Ok(LedgerPage {
            transactions: entries.transactions.into_iter().filter(is_recent).collect(),
            step,
            unreadable: entries.unreadable,
            answered_at: answer.told_at,
        })
    }

    fn check_label(&self, external_id: &ExternalId) -> Result<(), String> {
        match external_id.0.len() {
            0..=LONGEST_PAYLOAD => Ok(()),
            bytes => Err(format!(
                "external_id: {bytes} bytes, expected at most {LONGEST_PAYLOAD}"
            )),
        }
    }

    fn judge(&self, invoice: &Invoice, transactions: &[Transaction]) -> LedgerJudgement {
        ledger::judge(invoice, transactions)
    }
}

#[async_trait]
impl CreateOrders for TelegramStars {
    /// A repeat is harmless: it only creates another link.
    fn idempotent_for(&self) -> Duration {
        Duration::MAX
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        creation::creation(invoice)
    }

    /// The API's own 400 names a parameter that it will never accept.
    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        let answer = self.call(LINK, creation.body.clone()).await?;
        match result(&self.service, &answer) {
            Ok(told) => link(Some(told))
                .map(CreationAnswer::Link)
                .ok_or_else(|| ProviderError::Malformed("no link in a success".into())),
            Err(ProviderError::Refused(words)) if answer.status == 400 => {
                Ok(CreationAnswer::Refused(words))
            }
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct BotAnswerWire<'a> {
    #[serde(borrow)]
    ok: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    error_code: Raw<'a>,
    #[serde(borrow)]
    description: Raw<'a>,
    #[serde(borrow)]
    parameters: Raw<'a>,
}

#[derive(Deserialize)]
struct ParametersWire<'a> {
    #[serde(borrow)]
    retry_after: Raw<'a>,
}

/// The result of a success. The wait of a 429 is in the body, `parameters.retry_after`, in seconds.
/// For a token that never existed, the service answers 404 `Not Found`.
fn result<'a>(
    service: &ServiceClient,
    answer: &'a WholeAnswer,
) -> Result<&'a RawValue, ProviderError> {
    let is_success = matches!(answer.status, 200..=299);
    let by_status = |status, wait, words: &str| {
        judge_status(status, wait, words)
            .unwrap_or_else(|| ProviderError::Malformed(format!("an error with the code {status}")))
    };
    let wire = body_text(&answer.body)
        .and_then(|body| object::<BotAnswerWire<'_>>(body).map_err(|error| error.to_string()));
    let wire = match wire {
        Ok(wire) => wire,
        Err(what) if is_success => return Err(ProviderError::Malformed(what)),
        Err(_) => return Err(by_status(answer.status, answer.retry_after, "")),
    };
    if is_success && boolean(wire.ok) == Some(true) {
        let none = || ProviderError::Malformed("success without a result".into());
        return wire.result.ok_or_else(none);
    }
    let words = service.words(&text(wire.description).unwrap_or_default());
    let code = text(wire.error_code).and_then(|code| code.parse().ok());
    let status = if is_success {
        code
    } else {
        Some(answer.status)
    };
    let wait = service.requested_wait(answer, retry_after(wire.parameters));
    match status {
        None => Err(ProviderError::Malformed(
            "neither a success nor an error".into(),
        )),
        Some(404) if words == "Not Found" => {
            Err(ProviderError::KeyRefused(format!("HTTP 404: {words}")))
        }
        Some(status) => Err(by_status(status, wait, &words)),
    }
}

fn retry_after(parameters: Raw<'_>) -> Option<Duration> {
    let wire: ParametersWire<'_> = object(parameters?.get()).ok()?;
    let seconds: u64 = text(wire.retry_after)?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn check_token(key: &str) -> Result<(), &'static str> {
    let is_word = |part: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !part.is_empty() && part.bytes().all(fits)
    };
    match key.split_once(':') {
        Some((id, secret))
            if id.bytes().all(|b| b.is_ascii_digit()) && is_word(id) && is_word(secret) =>
        {
            Ok(())
        }
        Some(_) | None => Err(
            "must be the bot's token as BotFather gives it: digits, a colon, letters and digits",
        ),
    }
}
