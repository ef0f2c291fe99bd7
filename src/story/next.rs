//! When the next poll is due, and by which rule.

use std::time::Duration;

use serde::Serialize;

use crate::domain::cadence::{Because, Cadence};
use crate::domain::invoice::Invoice;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::words;

/// The next poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextPoll {
    /// Unix milliseconds; null = never, 0 = at once.
    pub at: Option<i64>,
    /// `never`, `nudged`, `clock_went_back`, `new`, `after_expiry`, `failures` or `age`.
    pub rule: &'static str,
    /// The same for people.
    pub text: String,
}

impl NextPoll {
    /// The next poll of an invoice and its reason. `is_covered`: list pages have covered it since it
    /// was due.
    pub fn of(invoice: &Invoice, cadence: &Cadence, now: UnixMillis, is_covered: bool) -> Self {
        let (rule, text) = match invoice.schedule.next_poll_at {
            None => ("never", never(invoice.facts.status)),
            Some(UnixMillis(0)) => (
                "nudged",
                "Nudged: it is polled as soon as the account's rate limit allows.".to_owned(),
            ),
            Some(UnixMillis(1)) => (
                "clock_went_back",
                "The clock was set back, so it is polled at once.".to_owned(),
            ),
            Some(at) => {
                let (rule, because) = planned(invoice, cadence, at);
                let planned = words::absolute(at, now);
                let text = if at > now {
                    format!("At {planned}: {because}.")
                } else if is_covered {
                    format!(
                        "Covered by list pages: its own poll was due {planned}, and pages of the \
                         account's list or ledger have been read since by the same rule: {because}."
                    )
                } else {
                    format!("Due since {planned}: {because}.")
                };
                (rule, text)
            }
        };
        Self {
            at: invoice.schedule.next_poll_at.map(|at| at.0),
            rule,
            text,
        }
    }
}

fn never(status: Status) -> String {
    match status {
        Status::Paid | Status::Rejected => format!("Never: {status} is final."),
        Status::Expired | Status::Cancelled => {
            "Never: the fixed polls after the end are over. Nudge it to poll once more.".to_owned()
        }
        Status::Requested | Status::Pending | Status::Review => {
            "Never, which is a bug: an open invoice always has a next poll.".to_owned()
        }
    }
}

/// The rule behind a planned time, found by planning again from just before it: fixed polls have no
/// jitter, so one of them matches exactly.
fn planned(invoice: &Invoice, cadence: &Cadence, at: UnixMillis) -> (&'static str, String) {
    let schedule = &invoice.schedule;
    if at == invoice.created_at {
        let text = "a new invoice is polled as soon as possible".to_owned();
        return ("new", text);
    }
    let just_before = at.minus(Duration::from_millis(1));
    let fixed = cadence.next_poll_because(invoice, just_before, 0.5);
    if let Some((fixed, Because::AfterExpiry(after))) = fixed
        && fixed == at
    {
        let end = match invoice.facts.ended_at {
            Some(_) => "the end",
            None => "the expiry",
        };
        let text = format!("a fixed poll {} after {end}", words::span(after));
        return ("after_expiry", text);
    }
    if schedule.failures > 0 {
        let text = format!(
            "after {} in a row the interval has grown, up to {}",
            words::counted(schedule.failures, "failed request"),
            words::measured(cadence.max_interval)
        );
        return ("failures", text);
    }
    let text = format!(
        "the interval grows with the age of the invoice: age × {}, from {} to {}",
        cadence.age_factor,
        words::measured(cadence.min_interval),
        words::measured(cadence.max_interval)
    );
    ("age", text)
}
