//! YooMoney, the history of a personal wallet. It has no invoices; a payment is found by the label
//! of its pay link.
//!
//! `ledger` parses a page of `operation-history`, `cursor` is the position in it, `judgement`
//! judges net sums, and `creation` builds the pay link, which needs no request. Incoming operations
//! are read from the newest back; new operations shift the pages meanwhile, so pages overlap and
//! none is missed.
//!
//! Facts are those of the wallet API's documentation and of published answers; see the provider's
//! page in the documentation.

mod creation;
mod cursor;
mod judgement;
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::cursor::HistoryCursor;
use self::judgement::Fees;
use self::ledger::{HistoryPage, NotAPage};
use super::http::{KeyPlace, Request, judge_status};
use super::kind::{ProviderKind, ProviderParts, any_key};
use super::service::{ServiceClient, WholeAnswer};
use super::setting::{Setting, SettingKind};
use super::wire::body_text;
use super::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, LedgerJudgement, LedgerPage,
    Provider, ProviderError, ReadLedger,
};
use crate::domain::invoice::{ExternalId, Invoice};
use crate::domain::ledger::{LedgerCursor, READ_BACK};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// The registration of YooMoney.
pub const KIND: ProviderKind = ProviderKind {
    name: "yoomoney",
    base_url: "https://yoomoney.ru",
    api_path: "/api",
    requests_per_second: 0.33,
    settings: &[
        Setting {
            key: "receiver",
            kind: SettingKind::Text {
                is_valid: is_wallet,
                expected: "the number of the wallet, digits alone",
            },
            default: Some(""),
            unset: "invoices that payrecond shall create wait until it is",
            help: "number of the wallet; needed to make pay links",
        },
        Setting {
            key: "wallet_fee",
            kind: SettingKind::Decimal {
                least: 0.0,
                most: 0.5,
            },
            default: Some("0.01"),
            unset: "",
            help: "commission on a payment from a wallet, as a share of what arrives",
        },
        Setting {
            key: "card_fee",
            kind: SettingKind::Decimal {
                least: 0.0,
                most: 0.5,
            },
            default: Some("0.03"),
            unset: "",
            help: "commission on a payment by card, as a share of what is paid",
        },
    ],
    check_key: any_key,
    key_place: KeyPlace::Header {
        name: "authorization",
        prefix: "Bearer ",
    },
    build: |parts| Arc::new(YooMoney::new(parts)),
};

/// Longest label, in characters.
pub const LONGEST_LABEL: usize = 64;
/// Maximum number of operations on a page.
const PAGE_LIMIT: &str = "100";

const HISTORY: &str = "/api/operation-history";

/// One wallet.
pub struct YooMoney {
    service: ServiceClient,
    fees: Fees,
    receiver: String,
    /// Base address of pay links, as configured.
    base: String,
}

impl YooMoney {
    /// The wallet whose token the transport receives by `set_key`.
    pub fn new(parts: ProviderParts) -> Self {
        let settings = &parts.settings;
        Self {
            fees: Fees::new(settings.get("wallet_fee"), settings.get("card_fee")),
            receiver: settings.get("receiver").to_owned(),
            base: parts.base_url.as_str().trim_end_matches('/').to_owned(),
            service: ServiceClient::new(parts.transport, parts.clock),
        }
    }

    fn page_in(
        &self,
        answer: &WholeAnswer,
        start: u64,
        broken: Option<char>,
    ) -> Result<HistoryPage, ProviderError> {
        ledger::page(accept(answer)?, start, broken).map_err(|what| match what {
            NotAPage::Refused(word) => ProviderError::Refused(self.service.words(&word)),
            NotAPage::Malformed(what) => ProviderError::Malformed(what),
        })
    }
}

#[async_trait]
impl Provider for YooMoney {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn set_key(&self, key: ApiKey) {
        self.service.set_key(key);
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        self.service.clock_difference()
    }

    /// Asks for one operation: a token needs no other scope than that of the history.
    async fn probe(&self) -> Result<(), ProviderError> {
        let fields = [("type", "deposition"), ("records", "1")];
        let request = Request::post_form(HISTORY, &fields);
        let mut answer = self.service.ask(request).await?;
        let broken = answer.mend_text();
        self.page_in(&answer, 0, broken).map(|_| ())
    }

    fn ledger(&self) -> Option<&dyn ReadLedger> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

#[async_trait]
impl ReadLedger for YooMoney {
    async fn ledger_page(
        &self,
        cursor: Option<&LedgerCursor>,
        from: Option<UnixMillis>,
    ) -> Result<LedgerPage, ProviderError> {
        let place = HistoryCursor::parse(cursor);
        let since = place.since().or_else(|| {
            let now = self.service.their_time(self.service.now());
            from.or_else(|| now.map(|at| at.minus(READ_BACK)))
        });
        let since = since.map(|at| at.to_string());
        let start = place.start_record();
        let mut fields = vec![("type", "deposition"), ("records", PAGE_LIMIT)];
        fields.extend(since.as_deref().map(|since| ("from", since)));
        fields.extend(start.map(|start| ("start_record", start)));
        let request = Request::post_form(HISTORY, &fields);
        let mut answer = self.service.ask_up_to(request, usize::MAX).await?;
        let broken = answer.mend_text();
        let start = start.and_then(|start| start.parse().ok()).unwrap_or(0);
        let page = self.page_in(&answer, start, broken)?;
        let from = from.or_else(|| self.service.reads_from(&answer));
        let step = place.after(&page, answer.told_at);
        let is_recent = |one: &Transaction| from.is_none_or(|from| one.happened_at >= from);
        Ok(LedgerPage {
            transactions: page.transactions.into_iter().filter(is_recent).collect(),
            step,
            unreadable: page.unreadable,
            answered_at: answer.told_at,
        })
    }

    fn check_label(&self, external_id: &ExternalId) -> Result<(), String> {
        match external_id.0.chars().count() {
            0..=LONGEST_LABEL => Ok(()),
            length => Err(format!(
                "external_id: {length} characters, expected at most {LONGEST_LABEL}"
            )),
        }
    }

    fn judge(&self, invoice: &Invoice, transactions: &[Transaction]) -> LedgerJudgement {
        judgement::judge(&self.fees, invoice, transactions)
    }
}

#[async_trait]
impl CreateOrders for YooMoney {
    /// Nothing is created.
    fn idempotent_for(&self) -> Duration {
        Duration::MAX
    }

    fn missing_setting(&self) -> Option<String> {
        let is_missing = self.receiver.is_empty();
        let what = "account.settings.receiver is not set: set it to the number of the wallet and restart the daemon";
        is_missing.then(|| what.to_owned())
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        creation::link(invoice, &self.receiver, &self.base).map(|link| Creation {
            external_id: invoice.external_id.clone(),
            body: link,
            idempotence_key: String::new(),
        })
    }

    fn known_answer(&self, creation: &Creation) -> Option<CreationAnswer> {
        Some(CreationAnswer::Link(creation.body.clone()))
    }

    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        Ok(CreationAnswer::Link(creation.body.clone()))
    }
}

/// The body of a success. An invalid token gives 401 with its code in a header; the body may be
/// empty, and an empty body of a success means the same.
fn accept(answer: &WholeAnswer) -> Result<&str, ProviderError> {
    if let Some(failure) = judge_status(answer.status, answer.retry_after, "") {
        return Err(failure);
    }
    let body = body_text(&answer.body).map_err(ProviderError::Malformed)?;
    if body.trim().is_empty() {
        return Err(ProviderError::KeyRefused(
            "an empty answer: the token is not valid any more".into(),
        ));
    }
    Ok(body)
}

fn is_wallet(text: &str) -> bool {
    (11..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}
