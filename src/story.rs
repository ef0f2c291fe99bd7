//! Explains an invoice: what was observed, which rule applies, when the next poll is due and why, what
//! prevents it, what a person can do. Shown by `why` and on the status page.

mod account;
mod advice;
mod next;
mod status;

use serde::Serialize;

use crate::domain::account::AccountState;
use crate::domain::cadence::Cadence;
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, ListRecord, overdue_since};
use crate::words;

pub use account::AccountSituation;
pub use next::NextPoll;

/// The account of the invoice, by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configured {
    /// Configured and enabled.
    Yes,
    /// Configured and disabled.
    Disabled,
    /// Not configured.
    Unknown,
}

/// What else the explanation of an invoice depends on.
pub struct Surroundings {
    /// The polling cadence.
    pub cadence: Cadence,
    /// The account in the configuration.
    pub account: Configured,
    /// The names of all configured accounts.
    pub accounts: Vec<AccountName>,
    /// The account's row in the database.
    pub record: Option<AccountRecord>,
    /// None = unknown.
    pub daemon_runs: Option<bool>,
    /// The present time.
    pub now: UnixMillis,
}

/// Something that prevents an invoice from being polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// A constant for programs.
    pub kind: &'static str,
    /// A sentence for people.
    pub text: String,
}

/// The explanation, in sentences.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// What was observed.
    pub seen: Vec<String>,
    /// The rules that apply.
    pub holds: Vec<String>,
    /// The next poll.
    pub next_poll: NextPoll,
    /// What prevents polling.
    pub obstacles: Vec<Obstacle>,
    /// What a person can do.
    pub advice: Vec<String>,
}

impl Story {
    /// Explains an invoice at one moment.
    pub fn of(invoice: &Invoice, surroundings: &Surroundings) -> Self {
        let obstacles = obstacles(invoice, surroundings);
        let (cadence, now) = (&surroundings.cadence, surroundings.now);
        let is_covered = is_covered(invoice, surroundings.record.as_slice(), now);
        Self {
            seen: seen(invoice, surroundings),
            holds: status::holds(invoice, surroundings),
            next_poll: NextPoll::of(invoice, cadence, now, is_covered),
            advice: advice::advice(invoice, &obstacles, surroundings),
            obstacles,
        }
    }
}

/// Whether the poll of an invoice is past its time, but not overdue: readings of the account's list or
/// ledger have covered it.
pub fn is_covered(invoice: &Invoice, records: &[AccountRecord], now: UnixMillis) -> bool {
    let record = records.iter().find(|r| r.name == invoice.account);
    let list = record.map(|record| &record.list);
    let without = overdue_since(invoice, None, now);
    without.is_some() && overdue_since(invoice, list, now).is_none()
}

/// When a list page that covers the invoice's due poll was last read, by the row of its account.
pub fn seen_by_page_at(invoice: &Invoice, records: &[AccountRecord]) -> Option<UnixMillis> {
    let record = records.iter().find(|r| r.name == invoice.account)?;
    seen_by_page(invoice, &record.list)?.read_at
}

/// What the reason of an invoice means, if it has one.
pub fn reason_of(invoice: &Invoice) -> Option<String> {
    let reason = invoice.facts.reason.as_deref()?;
    Some(status::explained(reason, &invoice.facts))
}

fn seen(invoice: &Invoice, surroundings: &Surroundings) -> Vec<String> {
    let now = surroundings.now;
    let (facts, schedule) = (&invoice.facts, &invoice.schedule);
    let inserted = words::absolute(invoice.created_at, now);
    let mut told = vec![format!("The invoice was inserted at {inserted}.")];
    told.push(match (schedule.last_polled_at, schedule.polls) {
        (Some(at), polls) => format!(
            "The last poll recorded for this invoice alone was at {}; {} so far.",
            words::absolute(at, now),
            words::counted(polls, "poll")
        ),
        (None, _) => "No poll is recorded for this invoice alone yet.".to_owned(),
    });
    let record = surroundings.record.as_ref();
    if let Some(list) = record.and_then(|record| seen_by_page(invoice, &record.list)) {
        told.push(list_summary(list, now));
    }
    if let Some(at) = record.and_then(|r| r.last_success_at)
        && schedule.next_poll_at.is_some()
    {
        told.push(format!(
            "The account's last recorded answer came at {}. Answers about many invoices that change \
             nothing are recorded for the account, every 10 s.",
            words::absolute(at, now)
        ));
    }
    if let Some(word) = &facts.provider_status {
        told.push(format!(
            "The provider's last status was {}; what is known changed last at {}.",
            one_line(word),
            words::absolute(invoice.updated_at, now)
        ));
    }
    if let Some(since) = facts.not_found_since {
        told.push(format!(
            "Since {} the provider has answered that the order does not exist.",
            words::absolute(since, now)
        ));
    }
    if schedule.failures > 0 {
        told.push(format!(
            "The last {} in a row failed.",
            words::counted(schedule.failures, "request")
        ));
    }
    if let Some(error) = &schedule.last_error {
        told.push(format!("The last error was: {}.", one_line(error)));
    }
    told
}

/// The reading of the list that has covered the invoice since its own last poll: it was due, and after
/// the reading nothing was overdue.
fn seen_by_page<'a>(invoice: &Invoice, list: &'a ListRecord) -> Option<&'a ListRecord> {
    let planned = invoice.schedule.next_poll_at?;
    let is_covered = list.caught_up_at.is_some_and(|at| planned <= at);
    let is_later = list.read_at > invoice.schedule.last_polled_at && list.read_at >= Some(planned);
    // 0 is a nudge: it is answered by writing the row.
    let is_listed = planned.0 > 0 && (invoice.facts.order_id.is_some() || !list.has_positions());
    (is_covered && is_later && is_listed).then_some(list)
}

fn list_summary(list: &ListRecord, now: UnixMillis) -> String {
    let at = list.read_at.unwrap_or_default();
    let (Some(from), Some(to)) = (list.read_from, list.read_to) else {
        return format!(
            "It was last covered by a reading of the account's list at {}.",
            words::absolute(at, now)
        );
    };
    let from = from + 1;
    let total = list.total.unwrap_or(to);
    format!(
        "It was last covered by a list page at {} (positions {from}–{to} of {total}).",
        words::absolute(at, now)
    )
}

fn obstacles(invoice: &Invoice, surroundings: &Surroundings) -> Vec<Obstacle> {
    let mut found = Vec::new();
    if invoice.schedule.next_poll_at.is_none() {
        return found;
    }
    let now = surroundings.now;
    let mut add = |kind, text| found.push(Obstacle { kind, text });
    if surroundings.daemon_runs == Some(false) {
        add(
            "no_daemon",
            "No daemon is running on this database.".to_owned(),
        );
    }
    let account = &invoice.account;
    match surroundings.account {
        Configured::Yes => {}
        Configured::Disabled => add(
            "account_disabled",
            format!("Account {account} is disabled in the configuration."),
        ),
        Configured::Unknown => add(
            "unknown_account",
            format!(
                "Account {account} is not in the configuration. Accounts there: {}.",
                names(&surroundings.accounts)
            ),
        ),
    }
    if let Some((kind, text)) = surroundings.record.as_ref().and_then(|r| stopped(r, now)) {
        add(kind, text);
    }
    let list = surroundings.record.as_ref().map(|record| &record.list);
    if let Some(due) = overdue_since(invoice, list, now) {
        let late = words::span(now.since(due));
        add("overdue", format!("The poll has been overdue for {late}."));
    }
    found
}

fn names(accounts: &[AccountName]) -> String {
    let names: Vec<&str> = accounts.iter().map(|name| name.0.as_str()).collect();
    names.join(", ")
}

/// What keeps the account's requests from being answered, if anything does.
fn stopped(record: &AccountRecord, now: UnixMillis) -> Option<(&'static str, String)> {
    let situation = AccountSituation::of_record(record);
    let kind = match record.state {
        // An unknown account is reported by the configuration.
        AccountState::Unknown => return None,
        AccountState::Working if situation.is_well() => return None,
        AccountState::Working => "account_failing",
        AccountState::Held => "account_held",
        AccountState::Paused => "account_paused",
        AccountState::KeyRefused => "key_refused",
    };
    let told = situation.describe(now);
    Some((kind, format!("Account {} is {told}.", record.name)))
}

#[cfg(test)]
mod tests;
