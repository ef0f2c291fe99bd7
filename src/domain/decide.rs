//! What follows from news about an invoice: the row to write and the event to append.
//!
//! Every rule of the state table lives here, and none of time: `cadence` plans the next look.
//! The order of judgement on a sighting: whose order is it, what sum does it ask for, what state
//! is it in.

use super::event::{Event, EventType};
use super::invoice::{Facts, Invoice};
use super::sighting::{News, OrderState, Sighting, Verdict};
use super::state::{Status, reason};
use super::time::UnixMillis;

/// The row as it shall be, and the event that says so, if there is something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The version the row must still have, else the decision is stale.
    pub based_on_version: i64,
    /// The planned look that was taken up; a program's nudge since then survives.
    pub based_on_next_poll_at: Option<UnixMillis>,
    /// The new row.
    pub row: Invoice,
    /// Whether anything but the schedule differs from what was read.
    pub facts_changed: bool,
    /// The one event, carrying the row's new version.
    pub event: Option<Event>,
}

/// Judges `news` about `invoice`. `provider` is named in the event.
pub fn decide(invoice: &Invoice, provider: &str, news: News) -> Decision {
    let mut row = invoice.clone();
    let (said, observed_at, note) = match news {
        News::Seen(sighting) => {
            let said = judge_sighting(&mut row.facts, &row.external_id.0, &sighting);
            (said, sighting.observed_at, None)
        }
        News::Created(sighting) => (
            judge_creation(&mut row.facts, &sighting),
            sighting.observed_at,
            None,
        ),
        News::NotFound {
            observed_at,
            counts,
        } => (
            judge_not_found(&mut row.facts, observed_at, counts),
            observed_at,
            None,
        ),
        News::CreationRefused {
            observed_at,
            reason,
        } => (
            end_creation(&mut row.facts, Status::Rejected, &reason),
            observed_at,
            None,
        ),
        News::CreationConflict { observed_at } => {
            let said = end_creation(&mut row.facts, Status::Review, reason::CREATE_CONFLICT);
            (said, observed_at, None)
        }
        News::CreationTooLate { observed_at } => (
            end_creation(&mut row.facts, Status::Rejected, reason::TOO_LATE),
            observed_at,
            None,
        ),
        News::Resolved {
            observed_at,
            verdict,
            note,
        } => (resolve(&mut row.facts, verdict), observed_at, Some(note)),
    };
    let event = said.map(|event_type| {
        row.version += 1;
        if matches!(event_type, EventType::Expired | EventType::Cancelled) {
            row.facts.ended_at.get_or_insert(observed_at);
        }
        let previous = invoice.facts.status;
        let event = Event::about(&row, provider, event_type, previous, observed_at);
        Event { note, ..event }
    });
    Decision {
        based_on_version: invoice.version,
        based_on_next_poll_at: invoice.schedule.next_poll_at,
        facts_changed: row.facts != invoice.facts,
        event,
        row,
    }
}

/// The judgement on what the provider told of the order. Returns what is to be said.
fn judge_sighting(facts: &mut Facts, external_id: &str, seen: &Sighting) -> Option<EventType> {
    facts.not_found_since = None;
    if facts.status == Status::Rejected {
        return None;
    }
    let was_paid_there = facts.provider_status.as_deref() == Some(&seen.provider_status);
    let news_of_payment = seen.state == OrderState::Paid && !was_paid_there;
    if let Some(mismatch) = mismatch(facts, external_id, seen) {
        return judge_mismatch(facts, seen, mismatch, news_of_payment);
    }
    match (facts.status, seen.state) {
        (Status::Requested, _) => judge_creation(facts, seen),
        // The money is here: no later word of the provider takes it back, and none is kept.
        (Status::Paid, OrderState::Paid) => learn_details(facts, seen),
        (Status::Paid, OrderState::Open | OrderState::Expired | OrderState::Cancelled) => {
            remark(facts, reason::CONTRADICTION)
        }
        (
            Status::Pending | Status::Expired | Status::Cancelled | Status::Paid,
            OrderState::Unknown,
        ) => remark(facts, reason::UNKNOWN_STATUS),
        (Status::Expired, OrderState::Open | OrderState::Cancelled)
        | (Status::Cancelled, OrderState::Open | OrderState::Expired) => {
            remark(facts, reason::CONTRADICTION)
        }
        (Status::Pending, OrderState::Open)
        | (Status::Expired, OrderState::Expired)
        | (Status::Cancelled, OrderState::Cancelled) => {
            note_facts(facts, seen);
            facts.reason = None;
            None
        }
        (Status::Pending | Status::Expired | Status::Cancelled, OrderState::Paid) => {
            note_facts(facts, seen);
            say(facts, Status::Paid, None)
        }
        (Status::Pending, OrderState::Expired) => {
            note_facts(facts, seen);
            say(facts, Status::Expired, None)
        }
        (Status::Pending, OrderState::Cancelled) => {
            note_facts(facts, seen);
            say(facts, Status::Cancelled, None)
        }
        (Status::Review, _) => judge_in_review(facts, seen, news_of_payment),
        (Status::Rejected, _) => None,
    }
}

/// What differs between the order and what the invoice expects, worst first. What the provider
/// leaves out contradicts nothing.
fn mismatch(facts: &Facts, external_id: &str, seen: &Sighting) -> Option<&'static str> {
    let other_id = seen
        .external_id
        .as_ref()
        .is_some_and(|theirs| theirs.0 != external_id);
    if other_id {
        return Some(reason::EXTERNAL_ID_MISMATCH);
    }
    match (&facts.amount, &seen.amount) {
        (Some(ours), Some(theirs)) if !ours.agrees_with(theirs) => Some(reason::AMOUNT_MISMATCH),
        _ => None,
    }
}

/// An order that is not what the invoice expects: a person must look. What was said as paid stays
/// said; the audit reports it.
fn judge_mismatch(
    facts: &mut Facts,
    seen: &Sighting,
    mismatch: &'static str,
    news_of_payment: bool,
) -> Option<EventType> {
    match facts.status {
        Status::Paid | Status::Rejected | Status::Requested => None,
        Status::Review if facts.reason.as_deref() != Some(reason::ORDER_NOT_FOUND) => {
            note_facts(facts, seen);
            news_of_payment.then_some(EventType::Review)
        }
        Status::Pending | Status::Expired | Status::Cancelled | Status::Review => {
            note_facts(facts, seen);
            say(facts, Status::Review, Some(mismatch))
        }
    }
}

/// An order that is seen while its invoice waits for a person. One that was only missing goes its
/// way again by itself; else money is never kept quiet.
fn judge_in_review(facts: &mut Facts, seen: &Sighting, news_of_payment: bool) -> Option<EventType> {
    let only_missing = facts.reason.as_deref() == Some(reason::ORDER_NOT_FOUND);
    match seen.state {
        OrderState::Unknown => None,
        OrderState::Open if only_missing => {
            note_facts(facts, seen);
            say(facts, Status::Pending, None)
        }
        OrderState::Paid if only_missing => {
            note_facts(facts, seen);
            say(facts, Status::Paid, None)
        }
        OrderState::Expired if only_missing => {
            note_facts(facts, seen);
            say(facts, Status::Expired, None)
        }
        OrderState::Cancelled if only_missing => {
            note_facts(facts, seen);
            say(facts, Status::Cancelled, None)
        }
        OrderState::Paid => {
            note_facts(facts, seen);
            news_of_payment.then_some(EventType::Review)
        }
        OrderState::Open | OrderState::Expired | OrderState::Cancelled => {
            note_facts(facts, seen);
            None
        }
    }
}

/// The order of a requested invoice exists. Whatever its state, the invoice is `pending` first:
/// the next look tells the rest.
fn judge_creation(facts: &mut Facts, seen: &Sighting) -> Option<EventType> {
    if facts.status != Status::Requested {
        return None;
    }
    note_facts(facts, seen);
    facts.provider_status = None;
    facts.paid_at = None;
    say(facts, Status::Pending, None)
}

/// Not found counts only once it may be believed, and only where something is still expected.
fn judge_not_found(facts: &mut Facts, observed_at: UnixMillis, counts: bool) -> Option<EventType> {
    match facts.status {
        Status::Pending => {
            facts.not_found_since.get_or_insert(observed_at);
            if counts {
                say(facts, Status::Review, Some(reason::ORDER_NOT_FOUND))
            } else {
                None
            }
        }
        Status::Requested
        | Status::Paid
        | Status::Expired
        | Status::Cancelled
        | Status::Rejected
        | Status::Review => None,
    }
}

fn end_creation(facts: &mut Facts, end: Status, why: &str) -> Option<EventType> {
    if facts.status == Status::Requested {
        say(facts, end, Some(why))
    } else {
        None
    }
}

fn resolve(facts: &mut Facts, verdict: Verdict) -> Option<EventType> {
    if facts.status != Status::Review {
        return None;
    }
    let status = match verdict {
        Verdict::Paid => Status::Paid,
        Verdict::Expired => Status::Expired,
        Verdict::Cancelled => Status::Cancelled,
    };
    say(facts, status, Some(reason::RESOLVED))
}

/// Moves to `status` and returns the event that tells it.
fn say(facts: &mut Facts, status: Status, why: Option<&str>) -> Option<EventType> {
    facts.status = status;
    facts.reason = why.map(str::to_owned);
    EventType::of_move_to(status)
}

/// Notes something odd that moves nothing.
fn remark(facts: &mut Facts, odd: &str) -> Option<EventType> {
    facts.reason = Some(odd.to_owned());
    None
}

/// Takes over what the sighting tells. What it leaves out stays as it was.
fn note_facts(facts: &mut Facts, seen: &Sighting) {
    fn update<T: Clone>(kept: &mut Option<T>, seen: Option<&T>) {
        if let Some(seen) = seen {
            *kept = Some(seen.clone());
        }
    }
    facts.provider_status = Some(seen.provider_status.clone());
    if facts.order_id.is_none() {
        facts.order_id = Some(seen.order_id.clone());
    }
    if facts.amount.is_none() {
        facts.amount.clone_from(&seen.amount);
    }
    update(&mut facts.order_number, seen.number.as_ref());
    update(&mut facts.pay_link, seen.pay_link.as_ref());
    update(&mut facts.direct_pay_link, seen.direct_pay_link.as_ref());
    update(&mut facts.expires_at, seen.expires_at.as_ref());
    update(&mut facts.paid_at, seen.paid_at.as_ref());
    if let Some(payment) = &seen.payment {
        facts.payment = payment.clone();
    }
}

/// Amounts of a payment that was said without them.
fn learn_details(facts: &mut Facts, seen: &Sighting) -> Option<EventType> {
    let news = facts.payment.is_empty() && seen.payment.as_ref().is_some_and(|p| !p.is_empty());
    let contradicted = facts.reason.as_deref() == Some(reason::CONTRADICTION);
    note_facts(facts, seen);
    if contradicted {
        facts.reason = None;
    }
    news.then_some(EventType::Detailed)
}
