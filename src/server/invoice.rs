//! `/invoice?ref=…`: one invoice with its explanation, events and all columns. The templates escape all
//! text of other origin.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Site;
use super::notice::{SearchHit, notice};
use super::page::{HistoryRow, event_rows, tone};
use super::render::{HERE, VERSION, rendered};
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::store::StoreError;
use crate::story::{Configured, Story, Surroundings};
use crate::words;

/// Maximum length of a reference, in characters: an external id has up to 255.
const LONGEST: usize = 300;
/// Maximum number of matching invoices shown.
const MOST_FOUND: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct InvoiceSearch {
    #[serde(default)]
    r#ref: String,
    account: Option<String>,
}

#[derive(Template)]
#[template(path = "invoice.html")]
struct InvoicePage {
    version: &'static str,
    root: &'static str,
    asked: String,
    id: i64,
    external_id: String,
    account: String,
    status: Status,
    tone: &'static str,
    amount: String,
    chapters: Vec<Chapter>,
    events: Vec<HistoryRow>,
    no_events: &'static str,
    facts: Vec<Fact>,
}

struct Chapter {
    title: &'static str,
    tone: &'static str,
    sentences: Vec<String>,
}

struct Fact {
    name: &'static str,
    value: String,
}

pub(super) async fn invoice(
    State(site): State<Arc<Site>>,
    asked: Result<Query<InvoiceSearch>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) if asked.r#ref.chars().count() <= LONGEST => asked,
        _ => return not_understood(),
    };
    // The name as it is, then without white space around it, which pasting may add.
    let called = asked.r#ref.as_str();
    if called.trim().is_empty() {
        return not_understood();
    }
    let account = asked.account.as_deref().filter(|name| !name.is_empty());
    let account = account.map(AccountName::from);
    match site.answer(called, account.as_ref()).await {
        Ok(answer) => answer,
        Err(error) => {
            let sentence = format!("The database could not be read: {error}");
            let headline = "Database unavailable";
            notice(
                StatusCode::SERVICE_UNAVAILABLE,
                headline,
                &sentence,
                called,
                Vec::new(),
            )
        }
    }
}

fn not_understood() -> Response {
    let sentence = "Enter the external id, the order id, or # and the row id.";
    notice(
        StatusCode::BAD_REQUEST,
        "Which invoice?",
        sentence,
        "",
        Vec::new(),
    )
}

impl Site {
    async fn answer(
        &self,
        called: &str,
        account: Option<&AccountName>,
    ) -> Result<Response, StoreError> {
        let store = &self.setup.store;
        let mut found = store.find_called(called, account).await?;
        if found.is_empty() && called.trim() != called {
            found = store.find_called(called.trim(), account).await?;
        }
        if found.len() > 1 {
            let headline = format!("{} invoices match", found.len());
            let rows = found.iter().take(MOST_FOUND).map(search_hit).collect();
            let sentence = "Several accounts can use the same external id.";
            return Ok(notice(StatusCode::OK, &headline, sentence, called, rows));
        }
        let Some(invoice) = found.pop() else {
            let sentence = format!(
                "No external id, order id or row id is “{}”.",
                one_line(called)
            );
            let headline = "Invoice not found";
            return Ok(notice(
                StatusCode::NOT_FOUND,
                headline,
                &sentence,
                called,
                Vec::new(),
            ));
        };
        let surroundings = self.surroundings(&invoice).await?;
        let now = surroundings.now;
        let events = store.history(&invoice).await?;
        let page = InvoicePage {
            version: VERSION,
            root: HERE,
            asked: called.to_owned(),
            id: invoice.id.0,
            external_id: one_line(&invoice.external_id.0),
            account: one_line(&invoice.account.0),
            status: invoice.facts.status,
            tone: tone(invoice.facts.status),
            amount: words::amount(&invoice),
            chapters: chapters(Story::of(&invoice, &surroundings)),
            events: event_rows(&events, now),
            no_events: if invoice.version > 0 {
                "Deleted by retention."
            } else {
                "None yet."
            },
            facts: facts(&invoice, now),
        };
        Ok(rendered(StatusCode::OK, &page))
    }

    async fn surroundings(&self, invoice: &Invoice) -> Result<Surroundings, StoreError> {
        let records = self.setup.store.accounts().await?;
        Ok(Surroundings {
            cadence: self.setup.cadence.clone(),
            account: match self.setup.configured.get(&invoice.account.0) {
                None => Configured::Unknown,
                Some(false) => Configured::Disabled,
                Some(true) => Configured::Yes,
            },
            accounts: self
                .setup
                .configured
                .keys()
                .map(|name| name.as_str().into())
                .collect(),
            record: records.into_iter().find(|r| r.name == invoice.account),
            // This is the daemon.
            daemon_runs: Some(true),
            now: self.setup.clock.now(),
        })
    }
}

/// One of several invoices that match the reference.
fn search_hit(invoice: &Invoice) -> SearchHit {
    SearchHit {
        id: invoice.id.0,
        external_id: one_line(&invoice.external_id.0),
        account: one_line(&invoice.account.0),
        status: invoice.facts.status,
        tone: tone(invoice.facts.status),
        amount: words::amount(invoice),
    }
}

fn chapters(story: Story) -> Vec<Chapter> {
    let obstacles = story.obstacles.into_iter().map(|obstacle| obstacle.text);
    let chapter = |title, tone, sentences| Chapter {
        title,
        tone,
        sentences,
    };
    let mut chapters = vec![
        chapter("Problems", "bad", obstacles.collect()),
        chapter("What you can do", "", story.advice),
        chapter("Status", "", story.holds),
        chapter("Observed", "", story.seen),
        chapter("Next poll", "", vec![story.next_poll.text]),
    ];
    chapters.retain(|chapter| !chapter.sentences.is_empty());
    chapters
}

fn facts(invoice: &Invoice, now: UnixMillis) -> Vec<Fact> {
    let (known, wish, payment) = (&invoice.facts, &invoice.wish, &invoice.facts.payment);
    let time = |at: Option<UnixMillis>| at.map(|at| words::absolute(at, now));
    let line = |text: &Option<String>| text.as_deref().map(one_line);
    let paid = |value: &Option<String>| {
        let currency = payment.currency.as_deref().unwrap_or_default();
        value
            .as_deref()
            .map(|value| one_line(&format!("{value} {currency}")))
    };
    let facts = [
        ("External id", Some(one_line(&invoice.external_id.0))),
        (
            "Order id",
            known.order_id.as_ref().map(|id| one_line(&id.0)),
        ),
        ("Order number", line(&known.order_number)),
        ("Description", line(&wish.description)),
        ("Provider status", line(&known.provider_status)),
        ("Reason", line(&known.reason)),
        ("Amount paid", paid(&payment.value)),
        ("Fee", paid(&payment.fee)),
        ("Net", paid(&payment.net)),
        ("Exchange rate", line(&payment.exchange_rate)),
        ("Paid", time(known.paid_at)),
        ("Inserted", time(Some(invoice.created_at))),
        ("Changed", time(Some(invoice.updated_at))),
        ("Expires", time(Some(invoice.expiry()))),
        ("Pay link", line(&known.pay_link)),
        ("Direct pay link", line(&known.direct_pay_link)),
        ("Options", wish.options.clone()),
        ("Metadata", invoice.metadata.clone()),
    ];
    let told = facts.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(Fact { name, value })
    });
    told.collect()
}
