//! What follows when the provider reports an order, or payments in its ledger.

use super::creation::judge_creation;
use super::evidence::Evidence;
use super::facts::{clear_remark, holds_money, move_to, note_evidence, person_decided, set_remark};
use super::identity::{has_money_of_another_currency, is_of_another_order, mismatch};
use super::judgement::Judgement;
use super::money::{self, MoneyChange};
use crate::domain::event::EventType;
use crate::domain::invoice::{Facts, Invoice};
use crate::domain::observation::OrderState;
use crate::domain::rules::Rules;
use crate::domain::state::{Status, reason};

/// An observation with everything that its judgement depends on.
struct Case<'a> {
    rules: &'a Rules,
    evidence: &'a Evidence<'a>,
    mismatch: Option<&'static str>,
    moved: &'a MoneyChange,
}

/// Judges the provider's report: first the transition, then the money.
pub(super) fn judge_evidence(
    rules: &Rules,
    row: &mut Invoice,
    evidence: &Evidence<'_>,
) -> Judgement {
    let Invoice {
        facts,
        transactions,
        external_id,
        ..
    } = row;
    if evidence
        .order
        .is_some_and(|seen| is_of_another_order(facts, seen))
    {
        return Judgement::default();
    }
    facts.not_found_since = None;
    let mismatch = evidence
        .order
        .and_then(|seen| mismatch(rules, facts, &external_id.0, seen));
    let mut moved = MoneyChange::apply(facts, transactions, evidence);
    let is_of_a_ledger = evidence.order.is_none();
    let foreign = is_of_a_ledger && has_money_of_another_currency(facts, transactions);
    let mismatch = mismatch.or_else(|| foreign.then_some(reason::AMOUNT_MISMATCH));
    let case = Case {
        rules,
        evidence,
        mismatch,
        moved: &moved,
    };
    let was = facts.status;
    let main = judge_by_status(facts, &external_id.0, &case);
    let seen_again = main == Some(EventType::Pending) && was == Status::Review;
    let partial = seen_again.then(|| keep_waiting(facts, &case)).flatten();
    let drafts = moved.events(facts, transactions, was, main.into_iter().chain(partial));
    Judgement {
        drafts,
        note: None,
        transactions: std::mem::take(&mut moved.changed),
    }
}

fn judge_by_status(facts: &mut Facts, external_id: &str, case: &Case<'_>) -> Option<EventType> {
    match facts.status {
        Status::Requested => judge_creation(case.rules, facts, external_id, case.evidence.order?),
        Status::Pending => judge_state(facts, case),
        Status::Expired | Status::Cancelled => {
            if person_decided(facts) && !brings_new_money(facts, case) {
                note_evidence(facts, case.evidence);
                return None;
            }
            judge_state(facts, case)
        }
        // A mismatch does not change a paid invoice; the audit reports it.
        Status::Paid => judge_paid(facts, case),
        Status::Review => judge_in_review(facts, case),
        Status::Rejected => None,
    }
}

/// Applies the order's state to an invoice that waits for money, or still may: a transition where
/// the table has one, else a remark.
fn judge_state(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    let state = case.evidence.state;
    let is_known_end = is_recorded_end(facts, case.evidence);
    note_evidence(facts, case.evidence);
    let why_review = case.mismatch.or_else(|| reason_for_review(facts, case));
    if let Some(why) = why_review {
        return move_to(facts, Status::Review, Some(why));
    }
    match status_of(state) {
        None => set_remark(facts, reason::UNKNOWN_STATUS),
        Some(Status::Pending) if facts.status == Status::Pending => keep_waiting(facts, case),
        // A payment in progress in a ledger reverses nothing.
        Some(Status::Pending) if case.evidence.order.is_none() => None,
        Some(next) if next == facts.status || is_known_end => clear_remark(facts),
        Some(next) if facts.status.may_become(next) => move_to(facts, next, None),
        Some(_) => set_remark(facts, reason::CONTRADICTION),
    }
}

/// Whether the order ended and the provider still reports the status text that we recorded. Where
/// one text covers both ends, a cancellation looks like an expiry after the order has expired.
fn is_recorded_end(facts: &Facts, evidence: &Evidence<'_>) -> bool {
    let ended = matches!(facts.status, Status::Expired | Status::Cancelled)
        && matches!(evidence.state, OrderState::Expired | OrderState::Cancelled);
    let was_contradicted = facts.reason.as_deref() == Some(reason::CONTRADICTION);
    ended && !was_contradicted && facts.provider_status.as_deref() == Some(evidence.word)
}

/// Whether some money arrived whose sum in the invoice's currency is not reported.
fn arrived_in_an_unknown_sum(facts: &Facts, case: &Case<'_>) -> bool {
    let was_partial =
        facts.reason.as_deref() == Some(reason::PARTIALLY_PAID) || !facts.payment.is_empty();
    facts.sums.received.is_none() && (was_partial || case.evidence.payment.is_some())
}

/// Why a person must decide, if one must.
fn reason_for_review(facts: &Facts, case: &Case<'_>) -> Option<&'static str> {
    let ended = matches!(facts.status, Status::Expired | Status::Cancelled);
    match case.evidence.state {
        OrderState::Paid => {
            let is_refused = facts.is_test && !case.rules.accept_test_payments;
            is_refused.then_some(reason::TEST_PAYMENT)
        }
        OrderState::Expired | OrderState::Cancelled => {
            let some_came = money::is_kept(&facts.sums) || arrived_in_an_unknown_sum(facts, case);
            some_came.then_some(reason::PARTIALLY_PAID)
        }
        OrderState::Partial if ended && facts.sums.received.is_none() => {
            Some(reason::PARTIALLY_PAID)
        }
        OrderState::Partial if has_outlived_its_order(facts, case) => Some(reason::PARTIALLY_PAID),
        OrderState::Partial | OrderState::Open | OrderState::Authorized | OrderState::Unknown => {
            (ended && case.moved.is_more).then_some(reason::PARTIALLY_PAID)
        }
    }
}

/// Whether a partly paid order still waits after its end by the provider's clock: not every service
/// ends it then. Our clock proves nothing.
fn has_outlived_its_order(facts: &Facts, case: &Case<'_>) -> bool {
    let seen_at = case.evidence.order.and_then(|seen| seen.told_at);
    let end = facts.expires_at.filter(|_| facts.status == Status::Pending);
    let grace = case.rules.deadline_grace;
    seen_at
        .zip(end)
        .is_some_and(|(at, end)| at >= end.plus(grace))
}

/// The order waits for money, or for the rest of it. Each new sum is reported once.
fn keep_waiting(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    let state = case.evidence.state;
    let is_part_known = !facts.payment.is_empty();
    let some_came = state == OrderState::Partial || money::is_kept(&facts.sums) || is_part_known;
    let was_recorded = facts.reason.as_deref() == Some(reason::PARTIALLY_PAID);
    let why = if state == OrderState::Authorized {
        Some(reason::AUTHORIZED)
    } else {
        some_came.then_some(reason::PARTIALLY_PAID)
    };
    facts.reason = why.map(str::to_owned);
    // Without a sum, the state alone is reported once.
    let is_new_state = facts.sums.received.is_none() && !is_part_known && !was_recorded;
    let is_new_sum = case.moved.is_more || case.moved.is_more_sent || is_new_state;
    (some_came && is_new_sum).then_some(EventType::Partial)
}

/// The status that an order's state leads to; None where the state is unknown.
fn status_of(state: OrderState) -> Option<Status> {
    match state {
        OrderState::Open | OrderState::Partial | OrderState::Authorized => Some(Status::Pending),
        OrderState::Paid => Some(Status::Paid),
        OrderState::Expired => Some(Status::Expired),
        OrderState::Cancelled => Some(Status::Cancelled),
        OrderState::Unknown => None,
    }
}

/// The money has been received: no later report reverses it or is kept. Amounts that were missing
/// from `payment.paid` may still follow.
fn judge_paid(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    match case.evidence.state {
        OrderState::Paid => {
            let payment_before = facts.payment.clone();
            note_evidence(facts, case.evidence);
            clear_remark(facts);
            (facts.payment != payment_before).then_some(EventType::Detailed)
        }
        OrderState::Open
        | OrderState::Partial
        | OrderState::Authorized
        | OrderState::Expired
        | OrderState::Cancelled => {
            case.evidence.order?;
            set_remark(facts, reason::CONTRADICTION)
        }
        OrderState::Unknown => set_remark(facts, reason::UNKNOWN_STATUS),
    }
}

/// An order observed while its invoice is in review. If the order had only been missing, or partly
/// paid, the invoice leaves review by itself. Otherwise the reason stays, and only new money is
/// reported; that is never suppressed.
fn judge_in_review(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    let state = case.evidence.state;
    let is = |why| facts.reason.as_deref() == Some(why);
    let is_inconclusive = state == OrderState::Unknown && case.mismatch.is_none();
    let seen_again = is(reason::ORDER_NOT_FOUND) && !is_inconclusive;
    let is_paid = state == OrderState::Paid && case.mismatch.is_none();
    let rest_came = is(reason::PARTIALLY_PAID) && is_paid;
    if seen_again || rest_came {
        return judge_state(facts, case);
    }
    let has_new_money = brings_new_money(facts, case);
    note_evidence(facts, case.evidence);
    has_new_money.then_some(EventType::Review)
}

/// Whether more money arrived, or the provider reports PAID and the invoice does not have that yet.
fn brings_new_money(facts: &Facts, case: &Case<'_>) -> bool {
    let seen = case.evidence;
    let same_word = facts.provider_status.as_deref() == Some(seen.word);
    case.moved.is_new_money(holds_money(facts))
        || seen.state == OrderState::Paid && !same_word && !holds_money(facts)
}
