//! `why`: what was seen, which rule holds, when the next look is due and why.

mod next;
mod status;

use clap::Args;
use serde::Serialize;

use super::invoice_json::InvoiceJson;
use super::output::Output;
use super::reference::Which;
use super::session::Session;
use super::table::{Cell, Table, Tone};
use super::words;
use super::{Exit, Report};
use crate::domain::cadence::Cadence;
use crate::domain::invoice::Invoice;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::store::sqlite::{DatabaseLock, SqliteStore};
use crate::store::{AccountRecord, ListRecord};

pub(super) use next::NextLook;

/// The lock that a running daemon holds beside its database.
pub(super) const DAEMON_LOCK: &str = "daemon";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    report: Report,
}

pub(super) async fn run(
    session: &Session,
    store: &SqliteStore,
    arguments: Arguments,
) -> anyhow::Result<Exit> {
    let invoice = arguments
        .which
        .find(session, store, arguments.report)
        .await?;
    let records = store.accounts().await?;
    let account = session.account(&invoice.account);
    let surroundings = Surroundings {
        cadence: session.cadence(),
        account: match account {
            None => Configured::Unknown,
            Some(account) if !account.enabled => Configured::Disabled,
            Some(_) => Configured::Yes,
        },
        record: records.into_iter().find(|r| r.name == invoice.account),
        daemon_runs: DatabaseLock::is_held(store.path(), DAEMON_LOCK).ok(),
        now: session.now(),
    };
    let answer = Story::of(&invoice, &surroundings);
    let mut output = session.output();
    if arguments.report.json {
        output.json(&answer)?;
    } else {
        answer.tell(&mut output, &invoice);
    }
    output.send()?;
    Ok(Exit::Done)
}

/// What the configuration says of the invoice's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Configured {
    Yes,
    Disabled,
    Unknown,
}

/// All that bears on an invoice and stands elsewhere.
struct Surroundings {
    cadence: Cadence,
    account: Configured,
    /// What the daemon last found out about the account.
    record: Option<AccountRecord>,
    /// None: could not be found out.
    daemon_runs: Option<bool>,
    now: UnixMillis,
}

/// Something that keeps an invoice from being looked at, or a look from helping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Obstacle {
    kind: &'static str,
    text: String,
}

/// The answer.
#[derive(Serialize)]
struct Story<'a> {
    invoice: InvoiceJson<'a>,
    seen: Vec<String>,
    holds: Vec<String>,
    next_look: NextLook,
    obstacles: Vec<Obstacle>,
    advice: Vec<String>,
}

impl<'a> Story<'a> {
    fn of(invoice: &'a Invoice, surroundings: &Surroundings) -> Self {
        let obstacles = obstacles(invoice, surroundings);
        Self {
            invoice: InvoiceJson::from(invoice),
            seen: seen(invoice, surroundings),
            holds: status::holds(invoice, surroundings.now),
            next_look: NextLook::of(invoice, &surroundings.cadence, surroundings.now),
            advice: status::advice(invoice, &obstacles),
            obstacles,
        }
    }

    fn tell(&self, output: &mut Output, invoice: &Invoice) {
        let mut table = Table::of_facts();
        table.row(vec![
            Cell::new(invoice.id.to_string()),
            Cell::status(invoice.facts.status),
            Cell::new(&invoice.external_id.0),
            Cell::new(words::amount(invoice)),
            Cell::new(format!("account {}", invoice.account)),
        ]);
        output.table(table);
        let obstacles: Vec<&str> = self.obstacles.iter().map(|o| o.text.as_str()).collect();
        let seen: Vec<&str> = self.seen.iter().map(String::as_str).collect();
        let holds: Vec<&str> = self.holds.iter().map(String::as_str).collect();
        let advice: Vec<&str> = self.advice.iter().map(String::as_str).collect();
        chapter(output, "What was seen", &seen, Tone::Plain);
        chapter(output, "What holds", &holds, Tone::Plain);
        chapter(
            output,
            "The next look",
            &[&self.next_look.text],
            Tone::Plain,
        );
        chapter(output, "What stands in the way", &obstacles, Tone::Bad);
        chapter(output, "What you can do", &advice, Tone::Plain);
    }
}

fn chapter(output: &mut Output, title: &str, sentences: &[&str], tone: Tone) {
    if sentences.is_empty() {
        return;
    }
    output.heading(title);
    let mut table = Table::of_facts();
    for sentence in sentences {
        table.row(vec![Cell::new(sentence).tone(tone)]);
    }
    output.table(table);
}

fn seen(invoice: &Invoice, surroundings: &Surroundings) -> Vec<String> {
    let now = surroundings.now;
    let (facts, schedule) = (&invoice.facts, &invoice.schedule);
    let dropped_in = words::absolute(invoice.created_at, now);
    let mut told = vec![format!("The invoice was dropped in at {dropped_in}.")];
    told.push(match (schedule.last_polled_at, schedule.polls) {
        (Some(at), looks) => format!(
            "The last answer about it alone came at {}; {} so far.",
            words::absolute(at, now),
            words::counted(looks, "look")
        ),
        (None, _) => "No look at it alone has brought an answer yet.".to_owned(),
    });
    let record = surroundings.record.as_ref();
    if let Some(list) = record.and_then(|record| seen_by_page(invoice, &record.list)) {
        told.push(list_told(list, now));
    }
    if let Some(at) = record.and_then(|r| r.last_success_at) {
        told.push(format!(
            "The account last had an answer at {} (looks by page are noted there, not at each \
             invoice).",
            words::absolute(at, now)
        ));
    }
    if let Some(word) = &facts.provider_status {
        told.push(format!("The provider's last word was {}.", one_line(word)));
    }
    if let Some(since) = facts.not_found_since {
        told.push(format!(
            "Since {} the provider says that it has no such order.",
            words::absolute(since, now)
        ));
    }
    if schedule.failures > 0 {
        told.push(format!(
            "The last {} in a row could not be made.",
            words::counted(schedule.failures, "look")
        ));
    }
    if let Some(error) = &schedule.last_error {
        told.push(format!("What went wrong last: {}.", one_line(error)));
    }
    told
}

/// The reading of the list that has covered the invoice since its own last look: its plan has come,
/// and after it nothing was overdue.
fn seen_by_page<'a>(invoice: &Invoice, list: &'a ListRecord) -> Option<&'a ListRecord> {
    let planned = invoice.schedule.next_poll_at?;
    let is_covered = list.caught_up_at.is_some_and(|at| planned <= at);
    let is_later = list.read_at > invoice.schedule.last_polled_at && list.read_at >= Some(planned);
    // 0 is a nudge: it is answered by writing the row.
    let is_listed = planned.0 > 0 && invoice.facts.order_id.is_some();
    (is_covered && is_later && is_listed).then_some(list)
}

fn list_told(list: &ListRecord, now: UnixMillis) -> String {
    let at = list.read_at.unwrap_or_default();
    let from = list.read_from.unwrap_or_default() + 1;
    let to = list.read_to.unwrap_or_default();
    let total = list.total.unwrap_or(to);
    format!(
        "It was last seen by a page of the list at {} (places {from}–{to} of {total}).",
        words::absolute(at, now)
    )
}

fn obstacles(invoice: &Invoice, surroundings: &Surroundings) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let Some(next) = invoice.schedule.next_poll_at else {
        return found;
    };
    let now = surroundings.now;
    let mut add = |kind, text| found.push(Obstacle { kind, text });
    if surroundings.daemon_runs == Some(false) {
        add("no_daemon", "No daemon runs on this database.".to_owned());
    }
    let account = &invoice.account;
    match surroundings.account {
        Configured::Yes => {}
        Configured::Disabled => add(
            "account_disabled",
            format!("Account {account} is switched off in the configuration: nothing is asked."),
        ),
        Configured::Unknown => add(
            "unknown_account",
            format!("The configuration does not know account {account}: nobody asks about it."),
        ),
    }
    if let Some((kind, text)) = surroundings.record.as_ref().and_then(|r| stopped(r, now)) {
        add(kind, text);
    }
    let late = now.since(next);
    // 0 and 1 stand for "at once": since when, nobody wrote down.
    let record = surroundings.record.as_ref();
    let is_covered = record.is_some_and(|r| seen_by_page(invoice, &r.list).is_some());
    if next.0 > 1 && late >= std::time::Duration::from_secs(1) && !is_covered {
        let since = words::span(late);
        add(
            "overdue",
            format!("The look should have been made {since} ago."),
        );
    }
    found
}

/// What stops the account, if anything does.
fn stopped(record: &AccountRecord, now: UnixMillis) -> Option<(&'static str, String)> {
    let (kind, why) = match record.state.as_str() {
        // What is unknown is told by the configuration itself.
        "working" | "unknown" => return None,
        "held" => ("account_held", "the provider asked for a pause"),
        "paused" => ("account_paused", "no request succeeds any more"),
        "key_refused" => ("key_refused", "the provider refuses its key"),
        _ => (
            "account_stopped",
            "it is in a state unknown to this program",
        ),
    };
    let next = record.resume_at.map_or_else(String::new, |at| {
        let when = if at <= now {
            "at once".to_owned()
        } else {
            words::relative(at, now)
        };
        format!(" The next request may go out {when}.")
    });
    let error = record
        .last_error
        .as_deref()
        .map_or_else(String::new, |e| format!(" Last error: {}.", one_line(e)));
    let text = format!(
        "Account {} has stood still since {}: {why}.{next}{error}",
        record.name,
        words::absolute(record.state_since, now)
    );
    Some((kind, text))
}

#[cfg(test)]
mod tests;
