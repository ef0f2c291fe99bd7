//! How facts change: transitions, remarks, and values taken from the provider.

use super::evidence::Evidence;
use crate::domain::event::EventType;
use crate::domain::invoice::Facts;
use crate::domain::money::same_value;
use crate::domain::observation::{ObservedOrder, OrderState, Payment};
use crate::domain::state::{Status, reason};

/// Moves to `status` and returns the event of the move.
pub(super) fn move_to(facts: &mut Facts, status: Status, why: Option<&str>) -> Option<EventType> {
    facts.status = status;
    facts.reason = why.map(str::to_owned);
    EventType::of_move_to(status)
}

/// Records an anomaly that causes no transition. The reason set by a person's decision is kept.
pub(super) fn set_remark(facts: &mut Facts, odd: &str) -> Option<EventType> {
    if !person_decided(facts) {
        facts.reason = Some(odd.to_owned());
    }
    None
}

/// The provider's answer is normal again.
pub(super) fn clear_remark(facts: &mut Facts) -> Option<EventType> {
    if !person_decided(facts) {
        facts.reason = None;
    }
    None
}

pub(super) fn person_decided(facts: &Facts) -> bool {
    facts.reason.as_deref() == Some(reason::RESOLVED)
}

/// Whether PAID was observed. Only such observations set `paid_at` and more of `payment` than the
/// amount sent.
pub(super) fn holds_money(facts: &Facts) -> bool {
    facts.paid_at.is_some() || facts.payment.is_accounted()
}

/// Takes over the reported values. A value left out stays as it was, and the status text of PAID
/// stays when another one follows.
pub(super) fn note_evidence(facts: &mut Facts, reported: &Evidence<'_>) {
    match reported.order {
        Some(seen) => note_order(facts, seen),
        // A ledger has no requested amount: what was received was enough.
        None if facts.amount.is_none() => facts.amount.clone_from(&facts.sums.received),
        None => {}
    }
    let paid = reported.state == OrderState::Paid;
    let was_paid = holds_money(facts);
    if paid || !was_paid {
        facts.provider_status = Some(reported.word.to_owned());
    }
    if paid {
        update(&mut facts.paid_at, reported.paid_at.as_ref());
        if let Some(payment) = reported.payment {
            if !was_paid {
                replace_part(&mut facts.payment, payment);
            }
            fill_in_amounts(&mut facts.payment, payment);
        }
    } else if !was_paid
        && let Some(part) = reported.part()
        && part.sends_more_than(&facts.payment)
    {
        facts.payment = part;
    }
}

/// What was known of a part gives way to the whole payment.
fn replace_part(kept: &mut Payment, reported: &Payment) {
    let is_same = match (&kept.value, &reported.value) {
        (Some(kept), Some(reported)) => same_value(kept, reported),
        (Some(_) | None, Some(_) | None) => false,
    };
    let is_part = !kept.is_empty() && !kept.is_accounted();
    if is_part && !reported.is_empty() && !(is_same && kept.currency == reported.currency) {
        *kept = Payment::default();
    }
}

/// Takes over the order's identity and terms, not its state.
pub(super) fn note_order(facts: &mut Facts, seen: &ObservedOrder) {
    facts.order_id.get_or_insert_with(|| seen.order_id.clone());
    if facts.amount.is_none() {
        facts.amount.clone_from(&seen.amount);
    }
    update(&mut facts.order_number, seen.number.as_ref());
    update(&mut facts.pay_link, seen.pay_link.as_ref());
    update(&mut facts.direct_pay_link, seen.direct_pay_link.as_ref());
    update(&mut facts.expires_at, seen.expires_at.as_ref());
}

pub(super) fn update<T: Clone>(kept: &mut Option<T>, seen: Option<&T>) {
    if let Some(seen) = seen {
        *kept = Some(seen.clone());
    }
}

/// Fills in amounts that are not known yet. A reported amount is kept as written; otherwise two
/// spellings of one sum would count as a change every time.
pub(super) fn fill_in_amounts(kept: &mut Payment, reported: &Payment) {
    for (kept, reported) in [
        (&mut kept.value, &reported.value),
        (&mut kept.currency, &reported.currency),
        (&mut kept.fee, &reported.fee),
        (&mut kept.net, &reported.net),
        (&mut kept.exchange_rate, &reported.exchange_rate),
    ] {
        if kept.is_none() {
            kept.clone_from(reported);
        }
    }
}
