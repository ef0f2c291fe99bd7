//! When the next look is due, and the rule that says so.

use std::time::Duration;

use serde::Serialize;

use crate::domain::cadence::{Because, Cadence};
use crate::domain::invoice::Invoice;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::words;

/// The next look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextLook {
    /// Unix milliseconds; null = never, 0 = at once.
    pub at: Option<i64>,
    /// `never`, `nudged`, `clock_went_back`, `new`, `after_expiry`, `failures` or `age`.
    pub rule: &'static str,
    /// The same for people.
    pub text: String,
}

impl NextLook {
    /// When the next look at an invoice is, and why then. `is_covered`: pages of the list have told
    /// of it since its plan came.
    pub fn of(invoice: &Invoice, cadence: &Cadence, now: UnixMillis, is_covered: bool) -> Self {
        let (rule, text) = match invoice.schedule.next_poll_at {
            None => ("never", never(invoice.facts.status)),
            Some(UnixMillis(0)) => (
                "nudged",
                "A look was asked for: it is made as soon as the account's budget allows."
                    .to_owned(),
            ),
            Some(UnixMillis(1)) => (
                "clock_went_back",
                "The clock went back, so the look is made at once.".to_owned(),
            ),
            Some(at) => {
                let (rule, because) = planned(invoice, cadence, at);
                let planned = words::absolute(at, now);
                let text = if at > now {
                    format!("At {planned}: {because}.")
                } else if is_covered {
                    format!(
                        "Looks by page cover it: its own look was planned for {planned}, and pages \
                         of the list tell of it since, by the same rule: {because}."
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
            "Never by itself: the fixed looks after the end are over.".to_owned()
        }
        Status::Requested | Status::Pending | Status::Review => {
            "Never, which should not be: an open invoice always has a next look.".to_owned()
        }
    }
}

/// The rule that a planned time came from. It is found by planning once more as of the last look:
/// fixed looks have no jitter, so one of them is met exactly.
fn planned(invoice: &Invoice, cadence: &Cadence, at: UnixMillis) -> (&'static str, String) {
    let schedule = &invoice.schedule;
    if at == invoice.created_at {
        let text = "a new invoice is looked at as soon as possible".to_owned();
        return ("new", text);
    }
    let just_before = at.minus(Duration::from_millis(1));
    let fixed = cadence.next_look_because(invoice, just_before, 0.5);
    if let Some((fixed, Because::AfterExpiry(after))) = fixed
        && fixed == at
    {
        let end = match invoice.facts.ended_at {
            Some(_) => "the end",
            None => "the expiry",
        };
        let text = format!("a fixed look {} after {end}", words::span(after));
        return ("after_expiry", text);
    }
    if schedule.failures > 0 {
        let text = format!(
            "after {} in a row the wait has grown, up to {}",
            words::counted(schedule.failures, "failed look"),
            words::measured(cadence.max_interval)
        );
        return ("failures", text);
    }
    let text = format!(
        "the wait grows with the age of the invoice: age × {}, from {} to {}",
        cadence.age_factor,
        words::measured(cadence.min_interval),
        words::measured(cadence.max_interval)
    );
    ("age", text)
}
