//! What follows from news about an invoice: the row to write and the event to append.
//!
//! Every rule of the state table lives here, and none of time: `cadence` plans the next look.
//! The order of judgement on a sighting: whose order is it, what sum does it ask for, what state
//! is it in. The moves themselves are `Status::may_become`; nothing here knows a second table.
//!
//! Two facts are kept against later words: that money was seen, and that a person decided. Only
//! money that the person did not know of overrules a person.

use super::event::{Event, EventType};
use super::invoice::{Facts, Invoice};
use super::sighting::{News, OrderState, Payment, Sighting, Verdict};
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
    pub row: Box<Invoice>,
    /// Whether anything but the schedule differs from what was read.
    pub facts_changed: bool,
    /// The one event, carrying the row's new version.
    pub event: Option<Box<Event>>,
}

/// Judges `news` about `invoice`. `provider` is named in the event.
pub fn decide(invoice: &Invoice, provider: &str, news: News) -> Decision {
    let mut row = Box::new(invoice.clone());
    let observed_at = observed_at(&news);
    let (said, note) = judge(&mut row.facts, &row.external_id.0, news);
    let event = said.map(|event_type| {
        row.version += 1;
        if matches!(event_type, EventType::Expired | EventType::Cancelled) {
            row.facts.ended_at.get_or_insert(observed_at);
        }
        let previous = invoice.facts.status;
        let event = Event::about(&row, provider, event_type, previous, observed_at);
        Box::new(Event { note, ..event })
    });
    Decision {
        based_on_version: invoice.version,
        based_on_next_poll_at: invoice.schedule.next_poll_at,
        facts_changed: row.facts != invoice.facts,
        event,
        row,
    }
}

fn observed_at(news: &News) -> UnixMillis {
    match news {
        News::Seen(sighting) | News::Created(sighting) => sighting.observed_at,
        News::NotFound { observed_at, .. }
        | News::CreationRefused { observed_at, .. }
        | News::CreationConflict { observed_at }
        | News::CreationTooLate { observed_at }
        | News::Resolved { observed_at, .. } => *observed_at,
    }
}

/// Changes `facts` as the news demands. Returns what is to be said, and a person's note on it.
fn judge(facts: &mut Facts, external_id: &str, news: News) -> (Option<EventType>, Option<String>) {
    let said = match news {
        News::Seen(sighting) => judge_sighting(facts, external_id, &sighting),
        News::Created(sighting) => judge_creation(facts, external_id, &sighting),
        News::NotFound {
            observed_at,
            counts,
        } => judge_not_found(facts, observed_at, counts),
        News::CreationRefused { reason, .. } => end_creation(facts, Status::Rejected, &reason),
        News::CreationConflict { .. } => {
            end_creation(facts, Status::Review, reason::CREATE_CONFLICT)
        }
        News::CreationTooLate { .. } => end_creation(facts, Status::Rejected, reason::TOO_LATE),
        News::Resolved { verdict, note, .. } => return (resolve(facts, verdict), Some(note)),
    };
    (said, None)
}

/// The judgement on what the provider told of the order. Returns what is to be said.
fn judge_sighting(facts: &mut Facts, external_id: &str, seen: &Sighting) -> Option<EventType> {
    if is_of_another_order(facts, seen) {
        return None;
    }
    facts.not_found_since = None;
    let mismatch = mismatch(facts, external_id, seen);
    match facts.status {
        Status::Requested => judge_creation(facts, external_id, seen),
        Status::Pending => judge_state(facts, seen, mismatch),
        Status::Expired | Status::Cancelled => {
            if person_decided(facts) && !is_news_of_money(facts, seen) {
                note(facts, seen);
                return None;
            }
            judge_state(facts, seen, mismatch)
        }
        // A mismatch moves no paid invoice: the audit reports it.
        Status::Paid => judge_paid(facts, seen),
        Status::Review => judge_in_review(facts, seen, mismatch),
        Status::Rejected => None,
    }
}

/// Whether the provider answered about an order that was not asked for: nothing about ours.
fn is_of_another_order(facts: &Facts, seen: &Sighting) -> bool {
    facts
        .order_id
        .as_ref()
        .is_some_and(|ours| *ours != seen.order_id)
}

/// What differs between the order and what the invoice expects, worst first. What the provider
/// leaves out contradicts nothing.
fn mismatch(facts: &Facts, external_id: &str, seen: &Sighting) -> Option<&'static str> {
    if bears_another_id(external_id, seen) {
        return Some(reason::EXTERNAL_ID_MISMATCH);
    }
    match (&facts.amount, &seen.amount) {
        (Some(ours), Some(theirs)) if !ours.agrees_with(theirs) => Some(reason::AMOUNT_MISMATCH),
        (Some(_) | None, Some(_) | None) => None,
    }
}

fn bears_another_id(external_id: &str, seen: &Sighting) -> bool {
    seen.external_id
        .as_ref()
        .is_some_and(|theirs| theirs.0 != external_id)
}

/// What the order's state makes of an invoice that waits for money, or still may: the provider's
/// word where the table of moves has the way to it, else a remark.
fn judge_state(
    facts: &mut Facts,
    seen: &Sighting,
    mismatch: Option<&'static str>,
) -> Option<EventType> {
    note(facts, seen);
    if let Some(mismatch) = mismatch {
        return say(facts, Status::Review, Some(mismatch));
    }
    match status_of(seen.state) {
        None => remark(facts, reason::UNKNOWN_STATUS),
        Some(told) if told == facts.status => clear_remark(facts),
        Some(told) if facts.status.may_become(told) => say(facts, told, None),
        Some(_) => remark(facts, reason::CONTRADICTION),
    }
}

/// The status that an order's state calls for; None where its word says nothing.
fn status_of(state: OrderState) -> Option<Status> {
    match state {
        OrderState::Open => Some(Status::Pending),
        OrderState::Paid => Some(Status::Paid),
        OrderState::Expired => Some(Status::Expired),
        OrderState::Cancelled => Some(Status::Cancelled),
        OrderState::Unknown => None,
    }
}

/// The money is here: no later word of the provider takes it back, and none is kept. Amounts that
/// `payment.paid` was said without may still follow.
fn judge_paid(facts: &mut Facts, seen: &Sighting) -> Option<EventType> {
    match seen.state {
        OrderState::Paid => {
            let payment_before = facts.payment.clone();
            note(facts, seen);
            clear_remark(facts);
            (facts.payment != payment_before).then_some(EventType::Detailed)
        }
        OrderState::Open | OrderState::Expired | OrderState::Cancelled => {
            remark(facts, reason::CONTRADICTION)
        }
        OrderState::Unknown => remark(facts, reason::UNKNOWN_STATUS),
    }
}

/// An order that is seen while its invoice waits for a person. One that was only missing goes its
/// way again by itself; else the reason stays, and only money is told: it is never kept quiet.
fn judge_in_review(
    facts: &mut Facts,
    seen: &Sighting,
    mismatch: Option<&'static str>,
) -> Option<EventType> {
    let only_missing = facts.reason.as_deref() == Some(reason::ORDER_NOT_FOUND);
    let says_nothing = seen.state == OrderState::Unknown && mismatch.is_none();
    if only_missing && !says_nothing {
        return judge_state(facts, seen, mismatch);
    }
    let news_of_money = is_news_of_money(facts, seen);
    note(facts, seen);
    news_of_money.then_some(EventType::Review)
}

/// The order of a requested invoice exists. Whatever its state, the invoice is `pending` first:
/// the next look tells the rest. An order with our id and another sum is one that somebody else
/// made: creating ours has failed.
fn judge_creation(facts: &mut Facts, external_id: &str, seen: &Sighting) -> Option<EventType> {
    if facts.status != Status::Requested || bears_another_id(external_id, seen) {
        return None;
    }
    if mismatch(facts, external_id, seen).is_some() {
        return end_creation(facts, Status::Review, reason::CREATE_CONFLICT);
    }
    note_order(facts, seen);
    if seen.state == OrderState::Open {
        facts.provider_status = Some(seen.provider_status.clone());
    }
    say(facts, Status::Pending, None)
}

/// Not found counts only once it may be believed, and only where something is still expected.
fn judge_not_found(facts: &mut Facts, observed_at: UnixMillis, counts: bool) -> Option<EventType> {
    match facts.status {
        Status::Pending => {
            // A first time that lies ahead is from before the clock went back: the grace begins anew.
            let first = facts.not_found_since.filter(|first| *first <= observed_at);
            facts.not_found_since = Some(first.unwrap_or(observed_at));
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

fn person_decided(facts: &Facts) -> bool {
    facts.reason.as_deref() == Some(reason::RESOLVED)
}

/// Moves to `status` and returns the event that tells it.
fn say(facts: &mut Facts, status: Status, why: Option<&str>) -> Option<EventType> {
    facts.status = status;
    facts.reason = why.map(str::to_owned);
    EventType::of_move_to(status)
}

/// Notes something odd that moves nothing. A person's decision stays the better reason.
fn remark(facts: &mut Facts, odd: &str) -> Option<EventType> {
    if !person_decided(facts) {
        facts.reason = Some(odd.to_owned());
    }
    None
}

/// The provider speaks plainly again.
fn clear_remark(facts: &mut Facts) -> Option<EventType> {
    if !person_decided(facts) {
        facts.reason = None;
    }
    None
}

/// Whether the provider says PAID and the invoice does not hold that yet.
fn is_news_of_money(facts: &Facts, seen: &Sighting) -> bool {
    let same_word = facts.provider_status.as_ref() == Some(&seen.provider_status);
    seen.state == OrderState::Paid && !same_word && !holds_money(facts)
}

/// Whether PAID was seen. `paid_at` and `payment` are taken from such sightings alone.
fn holds_money(facts: &Facts) -> bool {
    facts.paid_at.is_some() || !facts.payment.is_empty()
}

/// Takes over what the sighting tells. What it leaves out stays as it was, and so does the word
/// PAID when another follows.
fn note(facts: &mut Facts, seen: &Sighting) {
    note_order(facts, seen);
    let paid = seen.state == OrderState::Paid;
    if paid || !holds_money(facts) {
        facts.provider_status = Some(seen.provider_status.clone());
    }
    if paid {
        update(&mut facts.paid_at, seen.paid_at.as_ref());
        if let Some(payment) = &seen.payment {
            learn(&mut facts.payment, payment);
        }
    }
}

/// Takes over what the order is, not what became of it.
fn note_order(facts: &mut Facts, seen: &Sighting) {
    facts.order_id.get_or_insert_with(|| seen.order_id.clone());
    if facts.amount.is_none() {
        facts.amount.clone_from(&seen.amount);
    }
    update(&mut facts.order_number, seen.number.as_ref());
    update(&mut facts.pay_link, seen.pay_link.as_ref());
    update(&mut facts.direct_pay_link, seen.direct_pay_link.as_ref());
    update(&mut facts.expires_at, seen.expires_at.as_ref());
}

fn update<T: Clone>(kept: &mut Option<T>, seen: Option<&T>) {
    if let Some(seen) = seen {
        *kept = Some(seen.clone());
    }
}

/// Fills in the amounts not known yet. What was told once stays as told, or two spellings of one
/// sum would be news for ever.
fn learn(kept: &mut Payment, told: &Payment) {
    for (kept, told) in [
        (&mut kept.value, &told.value),
        (&mut kept.currency, &told.currency),
        (&mut kept.fee, &told.fee),
        (&mut kept.net, &told.net),
        (&mut kept.exchange_rate, &told.exchange_rate),
    ] {
        if kept.is_none() {
            kept.clone_from(told);
        }
    }
}
