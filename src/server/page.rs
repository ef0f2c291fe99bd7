//! The status page: whether payments are being detected, and below it the details. Rendered on the
//! server; a small script only refreshes it.

mod chart;
mod hero;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use self::chart::{Bars, Curves};
use self::hero::{Hero, UnknownAccount};
use self::rows::{AccountRow, ConsumerRow, InvoiceRow, StatusRow};
use super::Site;
use super::notice::notice;
use super::render::{HERE, VERSION, rendered};
use super::snapshot::Snapshot;
use crate::domain::account::AccountState;
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::metrics::FeedState;
use crate::store::{AccountRecord, COUNTED_UP_TO, FeedRecord, StoreError};
use crate::words;

pub(super) use self::rows::{HistoryRow, event_rows, tone};

/// How long a visitor waits for counts; then older ones are shown.
const PATIENCE: Duration = Duration::from_millis(25);
/// Maximum number of invoices that need a person, and of events, that are shown.
const MOST_INVOICES: u32 = 10;
const MOST_EVENTS: u32 = 15;
/// Polls overdue for longer than this are listed.
const LATE: Duration = Duration::from_mins(1);
/// Counts older than this are shown with their age.
const AGED: Duration = Duration::from_secs(30);

#[derive(Template)]
#[template(path = "index.html")]
struct OverviewPage {
    version: &'static str,
    root: &'static str,
    hero: Hero,
    figures: Vec<Figure>,
    decisions: Vec<InvoiceRow>,
    overdue: Vec<InvoiceRow>,
    bars: Bars,
    curves: Curves,
    accounts: Vec<AccountRow>,
    statuses: Vec<StatusRow>,
    consumers: Vec<ConsumerRow>,
    events: Vec<HistoryRow>,
    now: UnixMillis,
    counted: String,
}

/// A figure at the top of the page.
struct Figure {
    name: &'static str,
    value: String,
    more: String,
    /// Whether a person should act.
    calls: bool,
}

pub(super) async fn index(State(site): State<Arc<Site>>) -> Response {
    let page = match site.page().await {
        Ok(page) => page,
        Err(error) => {
            let sentence = format!("The database could not be read: {error}");
            let headline = "Database unavailable";
            return notice(
                StatusCode::SERVICE_UNAVAILABLE,
                headline,
                &sentence,
                "",
                Vec::new(),
            );
        }
    };
    rendered(StatusCode::OK, &page)
}

impl Site {
    async fn page(self: &Arc<Self>) -> Result<OverviewPage, StoreError> {
        let (store, now) = (&self.setup.store, self.setup.clock.now());
        let (report, facts) = tokio::join!(self.report_at_once(), self.keeper.facts(PATIENCE));
        let facts = facts.as_deref().ok();
        let decisions = store.newest_of(Status::Review, MOST_INVOICES).await?;
        let mut overdue = Vec::new();
        for meter in &self.setup.accounts {
            let (account, before) = (meter.name().into(), now.minus(LATE));
            let late = store.overdue_invoices(&account, now, before, MOST_INVOICES);
            overdue.extend(late.await?);
        }
        overdue.sort_by_key(|invoice| invoice.schedule.next_poll_at);
        overdue.truncate(MOST_INVOICES as usize);
        let records = store.accounts().await?;
        let unknown = unknown_accounts(&records, facts);
        let accounts = self.setup.accounts.iter();
        let accounts = accounts.map(|meter| {
            let record = records.iter().find(|one| one.name.0 == meter.name());
            AccountRow::of(meter, record, facts, now)
        });
        let configured = self.setup.configured.iter();
        let switched_off = configured.filter(|(_, enabled)| !**enabled);
        let accounts = accounts.chain(switched_off.map(|(name, _)| AccountRow::switched_off(name)));
        let consumers = facts.iter().flat_map(|facts| &facts.lags);
        let elsewhere = self.records_of_standby_feeds().await?;
        Ok(OverviewPage {
            version: VERSION,
            root: HERE,
            hero: Hero::of(&report, &self.setup.accounts, &unknown, facts, now),
            figures: figures(facts, decisions.len()),
            decisions: decisions.iter().map(|i| rows::decision(i, now)).collect(),
            overdue: overdue
                .iter()
                .map(|invoice| rows::late(invoice, &self.setup.accounts, now))
                .collect(),
            bars: Bars::of(facts, now),
            curves: Curves::of(facts, now),
            accounts: accounts.collect(),
            statuses: facts.map(rows::statuses).unwrap_or_default(),
            consumers: consumers
                .map(|lag| {
                    let record = elsewhere.get(lag.consumer.as_str());
                    ConsumerRow::of(lag, &self.setup.feeds, record, now)
                })
                .collect(),
            events: event_rows(&store.last_events(MOST_EVENTS).await?, now),
            now,
            counted: counted(facts, now),
        })
    }
}

impl Site {
    /// The records of the feeds that another process delivers, by consumer.
    async fn records_of_standby_feeds(
        &self,
    ) -> Result<BTreeMap<&'static str, FeedRecord>, StoreError> {
        let mut records = BTreeMap::new();
        for meter in &self.setup.feeds {
            if meter.status().state == FeedState::Standby {
                let record = self.setup.store.feed_record(meter.consumer()).await?;
                records.insert(meter.consumer(), record);
            }
        }
        Ok(records)
    }
}

/// The accounts that invoices name, but no daemon has in its configuration.
fn unknown_accounts(records: &[AccountRecord], facts: Option<&Snapshot>) -> Vec<UnknownAccount> {
    let records = records.iter();
    let unknown = records.filter(|record| record.state == AccountState::Unknown);
    let counted = |record: &AccountRecord| {
        let mut counts = facts?.unknown.iter();
        counts
            .find(|(name, _)| *name == record.name)
            .map(|(_, count)| *count)
    };
    unknown
        .map(|record| UnknownAccount {
            name: one_line(&record.name.0),
            invoices: counted(record),
        })
        .collect()
}

fn counted(facts: Option<&Snapshot>, now: UnixMillis) -> String {
    match facts {
        None => "; counts are not ready yet".to_owned(),
        Some(facts) if now.since(facts.at) > AGED => {
            format!("; counted {}", words::relative(facts.at, now))
        }
        Some(_) => String::new(),
    }
}

fn figures(facts: Option<&Snapshot>, in_review: usize) -> Vec<Figure> {
    let day = facts.map(|facts| facts.day.whole()).unwrap_or_default();
    let count = |status: Status| {
        let counts = facts.map(|facts| facts.by_status.as_slice());
        let found = counts
            .unwrap_or_default()
            .iter()
            .find(|(s, _)| *s == status);
        found.map(|(_, count)| *count)
    };
    let number = |count: Option<i64>| count.map_or_else(|| "…".to_owned(), grouped);
    let within = |percent| day.noticed_within(percent).map(words::measured);
    let waiting = [Status::Requested, Status::Pending].map(count);
    let waiting = waiting.into_iter().sum::<Option<i64>>();
    let in_review = count(Status::Review).max(i64::try_from(in_review).ok());
    let calls = in_review.is_some_and(|count| count > 0);
    vec![
        Figure {
            name: "Payments in 24 hours",
            value: grouped(i64::try_from(day.paid).unwrap_or(i64::MAX)),
            // By hours of the clock, like the bars below.
            more: count(Status::Paid).map_or_else(String::new, |all| {
                format!(
                    "this hour and the 23 before; {} paid in total",
                    grouped(all)
                )
            }),
            calls: false,
        },
        Figure {
            name: "Time to detect",
            value: within(50).unwrap_or_else(|| "–".to_owned()),
            more: within(95).map_or_else(
                || "no payment in 24 hours".to_owned(),
                |most| format!("median; 95% within {most}"),
            ),
            calls: false,
        },
        Figure {
            name: "Open invoices",
            value: number(waiting),
            more: "waiting for payment".to_owned(),
            calls: false,
        },
        Figure {
            name: "In review",
            value: number(in_review),
            more: if calls {
                "decide below"
            } else {
                "nothing to do"
            }
            .to_owned(),
            calls,
        },
    ]
}

/// Digits in groups of three.
pub(super) fn grouped(count: i64) -> String {
    let digits = count.to_string();
    let mut told = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digit != '-' {
            told.push('\u{202f}');
        }
        told.push(digit);
    }
    told
}

/// A count that stops at a limit.
fn up_to(count: i64) -> String {
    if count >= i64::from(COUNTED_UP_TO) {
        format!("{} or more", grouped(count))
    } else {
        grouped(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let told = [0, 999, 1000, 1_234_567].map(|n| grouped(n).replace('\u{202f}', " "));
        assert_eq!(told, ["0", "999", "1 000", "1 234 567"]);
        assert_eq!(up_to(9_999), "9\u{202f}999");
        assert_eq!(up_to(10_000), "10\u{202f}000 or more");
    }
}
