//! Whether the observed order is ours, and whether it asks for the expected amount.

use super::facts::{move_to, person_decided};
use crate::domain::event::EventType;
use crate::domain::invoice::Facts;
use crate::domain::observation::ObservedOrder;
use crate::domain::rules::Rules;
use crate::domain::state::{Status, reason};
use crate::domain::transaction::{Direction, Transaction};

/// Whether the provider returned another order than the requested one; it proves nothing about
/// ours.
pub(super) fn is_of_another_order(facts: &Facts, seen: &ObservedOrder) -> bool {
    facts
        .order_id
        .as_ref()
        .is_some_and(|ours| *ours != seen.order_id)
}

/// How the order differs from what the invoice expects, most serious first. A value that the
/// provider leaves out is no contradiction.
pub(super) fn mismatch(
    rules: &Rules,
    facts: &Facts,
    external_id: &str,
    seen: &ObservedOrder,
) -> Option<&'static str> {
    if bears_another_id(external_id, seen) {
        return Some(reason::EXTERNAL_ID_MISMATCH);
    }
    match (&facts.amount, &seen.amount) {
        (Some(ours), Some(theirs)) if !ours.agrees_where(theirs, rules.one_currency) => {
            Some(reason::AMOUNT_MISMATCH)
        }
        (Some(ours), None) if seen.has_another_value(ours) => Some(reason::AMOUNT_MISMATCH),
        (Some(_) | None, Some(_) | None) => None,
    }
}

/// Whether money arrived in another currency than the invoice's. In a ledger, where no order tells its
/// terms, the invoice then expects a currency that the account does not have.
pub(super) fn has_money_of_another_currency(facts: &Facts, known: &[Transaction]) -> bool {
    let Some(amount) = &facts.amount else {
        return false;
    };
    let mut received = known.iter().filter(|one| one.has_moved(Direction::In));
    received.any(|one| one.amount.currency != amount.currency)
}

/// A transaction with the invoice's external id belongs to another invoice already. Nobody can tell
/// which of them was paid, so a person decides.
pub(super) fn judge_taken_transaction(facts: &mut Facts) -> Option<EventType> {
    match facts.status {
        // Its payment would be missed once it has a link: what the ledger showed is not shown again.
        Status::Requested | Status::Pending => {
            move_to(facts, Status::Review, Some(reason::EXTERNAL_ID_MISMATCH))
        }
        Status::Expired if !person_decided(facts) => {
            move_to(facts, Status::Review, Some(reason::EXTERNAL_ID_MISMATCH))
        }
        Status::Paid | Status::Expired | Status::Cancelled | Status::Rejected | Status::Review => {
            None
        }
    }
}

pub(super) fn bears_another_id(external_id: &str, seen: &ObservedOrder) -> bool {
    seen.external_id
        .as_ref()
        .is_some_and(|theirs| theirs.0 != external_id)
}
