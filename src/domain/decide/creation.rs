//! What follows from the attempt to create an order.

use super::facts::{move_to, note_order};
use super::identity::{bears_another_id, mismatch};
use crate::domain::event::EventType;
use crate::domain::invoice::Facts;
use crate::domain::observation::{ObservedOrder, OrderState};
use crate::domain::rules::Rules;
use crate::domain::state::{Status, reason};

/// The order of a requested invoice exists. Whatever its state, the invoice first becomes
/// `pending`; the next poll shows the rest. If the order with our id has another amount, another
/// program created it, and the creation of ours has failed.
pub(super) fn judge_creation(
    rules: &Rules,
    facts: &mut Facts,
    external_id: &str,
    seen: &ObservedOrder,
) -> Option<EventType> {
    if facts.status != Status::Requested || bears_another_id(external_id, seen) {
        return None;
    }
    if mismatch(rules, facts, external_id, seen).is_some() {
        return end_creation(facts, Status::Review, reason::CREATE_CONFLICT);
    }
    note_order(facts, seen);
    if seen.state == OrderState::Open {
        facts.provider_status = Some(seen.provider_status.clone());
    }
    move_to(facts, Status::Pending, None)
}

pub(super) fn end_creation(facts: &mut Facts, end: Status, why: &str) -> Option<EventType> {
    if facts.status == Status::Requested {
        move_to(facts, end, Some(why))
    } else {
        None
    }
}

/// The requested invoice can be paid by its link: from now on it waits for money, without an order.
pub(super) fn judge_link(facts: &mut Facts, pay_link: String) -> Option<EventType> {
    if facts.status != Status::Requested {
        return None;
    }
    facts.pay_link = Some(pay_link);
    move_to(facts, Status::Pending, None)
}
