//! What follows when the provider has nothing: no such order, no payment before the deadline, or no
//! payment under such an id.

use super::facts::move_to;
use super::identity::has_money_of_another_currency;
use super::money;
use crate::domain::deadline;
use crate::domain::event::EventType;
use crate::domain::invoice::{Facts, Invoice};
use crate::domain::observation::LedgerCoverage;
use crate::domain::rules::Rules;
use crate::domain::state::{Status, reason};
use crate::domain::time::UnixMillis;

/// "Not found" counts only once it may be believed, and only while a payment is still expected.
pub(super) fn judge_not_found(
    facts: &mut Facts,
    observed_at: UnixMillis,
    counts: bool,
) -> Option<EventType> {
    match facts.status {
        Status::Pending => {
            // A time in the future was recorded before the clock was set back.
            let since = facts.not_found_since.unwrap_or(observed_at);
            facts.not_found_since = Some(since.min(observed_at));
            if counts {
                move_to(facts, Status::Review, Some(reason::ORDER_NOT_FOUND))
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

/// The ledger was read completely past the invoice's deadline. A partial payment goes to a person, and
/// so does one in another currency.
pub(super) fn judge_silence(
    rules: &Rules,
    row: &mut Invoice,
    reading: LedgerCoverage,
) -> Option<EventType> {
    let is_over = deadline::is_over(row, reading, rules.deadline_grace);
    if row.facts.status != Status::Pending || !is_over || deadline::is_payment_under_way(row) {
        return None;
    }
    let is_foreign = has_money_of_another_currency(&row.facts, &row.transactions);
    let facts = &mut row.facts;
    if is_foreign {
        move_to(facts, Status::Review, Some(reason::AMOUNT_MISMATCH))
    } else if money::is_kept(&facts.sums) {
        move_to(facts, Status::Review, Some(reason::PARTIALLY_PAID))
    } else {
        move_to(facts, Status::Expired, Some(reason::DEADLINE))
    }
}

/// No payment can be found by this id, so the invoice can never be observed.
pub(super) fn judge_external_id(facts: &mut Facts) -> Option<EventType> {
    if facts.status != Status::Pending {
        return None;
    }
    move_to(facts, Status::Review, Some(reason::EXTERNAL_ID_INVALID))
}
