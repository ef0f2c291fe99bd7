//! Sums, transactions, test payments and the deadline: the effect of each, recorded once.

use std::time::Duration;

use payrecond::domain::decide::{Decision, Rules, decide_by};
use payrecond::domain::event::EventType as E;
use payrecond::domain::invoice::Invoice;
use payrecond::domain::observation::{
    LedgerCoverage, LedgerObservation, Observation, ObservedMoney, ObservedOrder, OrderState,
    Payment, Verdict,
};
use payrecond::domain::state::{Status as S, reason};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, Transaction, TransactionStatus};

use super::{LOOK_AT, events, hear, in_review, is_sound, led_to, resolution, see, settled};
use crate::rows::{INSERTED, TIMEOUT_S, money, observed, sums};

use OrderState as O;
use TransactionStatus as T;

fn shown(state: OrderState, received: Option<&str>, refunded: Option<&str>) -> ObservedOrder {
    ObservedOrder {
        money: ObservedMoney {
            sums: sums(received, refunded),
            ..ObservedMoney::default()
        },
        ..observed(state)
    }
}

fn in_test_mode(state: OrderState) -> ObservedOrder {
    ObservedOrder {
        money: ObservedMoney {
            is_test: true,
            ..ObservedMoney::default()
        },
        ..observed(state)
    }
}

fn transaction(id: &str, direction: Direction, value: &str, status: T) -> Transaction {
    Transaction {
        id: id.into(),
        direction,
        external_id: Some("ORD-1".into()),
        amount: money(value, "USD"),
        is_net: false,
        status,
        happened_at: UnixMillis(INSERTED.0 + 1_000),
    }
}

fn came(id: &str, value: &str) -> Transaction {
    transaction(id, Direction::In, value, T::Succeeded)
}

fn returned(id: &str, value: &str) -> Transaction {
    transaction(id, Direction::Out, value, T::Succeeded)
}

/// An observation of a ledger, as its provider's module judges it.
fn ledger(state: OrderState, transactions: &[Transaction]) -> Observation {
    Observation::Ledger(LedgerObservation {
        state,
        provider_status: "success".into(),
        observed_at: LOOK_AT,
        paid_at: (state == O::Paid).then_some(UnixMillis(INSERTED.0 + 1_000)),
        payment: None,
        money: ObservedMoney {
            transactions: transactions.to_vec(),
            ..ObservedMoney::default()
        },
    })
}

/// An invoice of a provider that keeps no orders.
fn of_ledger() -> Invoice {
    let mut row = settled(S::Pending);
    row.facts.order_id = None;
    row.facts.provider_status = None;
    row
}

/// Types and transactions of all events, in order.
fn said(decision: &Decision) -> Vec<(E, Option<&str>)> {
    let pairs = events(decision).map(|event| {
        let id = event.transaction_id.as_ref().map(|id| id.0.as_str());
        (event.event_type, id)
    });
    pairs.collect()
}

fn received(row: &Invoice) -> Option<&str> {
    let sum = row.facts.sums.received.as_ref();
    sum.map(|sum| sum.value.as_str())
}

fn refunded(row: &Invoice) -> Option<&str> {
    let sum = row.facts.sums.refunded.as_ref();
    sum.map(|sum| sum.value.as_str())
}

const PARTLY: Option<&str> = Some(reason::PARTIALLY_PAID);

#[test]
fn a_partial_payment_is_recorded_once_per_new_sum() {
    let before = settled(S::Pending);
    let first = see(&before, &shown(O::Partial, Some("0.40"), None));
    led_to(&before, &first, S::Pending, PARTLY, Some(E::Partial));
    assert_eq!(received(&first.row), Some("0.40"));
    // Nothing for the same sum again, another spelling, a smaller sum, or no sum.
    for sum in [Some("0.40"), Some("0.4"), Some("0.30"), None] {
        for state in [O::Partial, O::Open] {
            let again = see(&first.row, &shown(state, sum, None));
            led_to(&first.row, &again, S::Pending, PARTLY, None);
            assert_eq!(received(&again.row), Some("0.40"));
        }
    }
    let more = see(&first.row, &shown(O::Partial, Some("7.5E-1"), None));
    led_to(&first.row, &more, S::Pending, PARTLY, Some(E::Partial));
    assert_eq!(received(&more.row), Some("0.75"), "sums are plain decimals");
    let rest = see(&more.row, &shown(O::Paid, Some("1.00"), None));
    led_to(&more.row, &rest, S::Paid, None, Some(E::Paid));
    assert!(!rest.event.as_ref().unwrap().late);
    assert_eq!(received(&rest.row), Some("1.00"));
}

#[test]
fn an_overpayment_is_paid_and_shows_in_received() {
    let before = settled(S::Pending);
    let after = see(&before, &shown(O::Paid, Some("1.50"), None));
    led_to(&before, &after, S::Paid, None, Some(E::Paid));
    assert_eq!(received(&after.row), Some("1.50"));
    let again = see(&after.row, &shown(O::Paid, Some("1.5"), None));
    led_to(&after.row, &again, S::Paid, None, None);
}

#[test]
fn a_sum_first_reported_after_paid_is_no_further_money() {
    let paid = see(&settled(S::Pending), &observed(O::Paid)).row;
    let learned = see(&paid, &shown(O::Paid, Some("1.00"), None));
    led_to(&paid, &learned, S::Paid, None, None);
    assert_eq!(received(&learned.row), Some("1.00"));
    let more = see(&learned.row, &shown(O::Paid, Some("2.00"), None));
    led_to(&learned.row, &more, S::Paid, None, Some(E::Further));
    let again = see(&more.row, &shown(O::Paid, Some("2.00"), None));
    led_to(&more.row, &again, S::Paid, None, None);
}

#[test]
fn held_money_is_a_reason_and_no_event() {
    let before = settled(S::Pending);
    let held = see(&before, &observed(O::Authorized));
    led_to(&before, &held, S::Pending, Some(reason::AUTHORIZED), None);
    let captured = see(&held.row, &observed(O::Paid));
    led_to(&held.row, &captured, S::Paid, None, Some(E::Paid));
    let released = see(&held.row, &observed(O::Cancelled));
    led_to(&held.row, &released, S::Cancelled, None, Some(E::Cancelled));
}

/// An order whose sums are told only in the coin that the payer sent.
fn in_coin(state: OrderState, value: &str, currency: &str) -> ObservedOrder {
    let whole = state == O::Paid;
    ObservedOrder {
        paid_at: None,
        payment: Some(Payment {
            value: Some(value.into()),
            currency: Some(currency.into()),
            fee: Some("0.01".into()),
            net: Some(if whole { "0.99" } else { "0.39" }.into()),
            exchange_rate: None,
        }),
        ..shown(state, None, None)
    }
}

fn sent(row: &Invoice) -> (Option<&str>, Option<&str>) {
    let payment = &row.facts.payment;
    (payment.value.as_deref(), payment.currency.as_deref())
}

#[test]
fn a_part_told_only_in_the_coin_is_recorded_once_per_new_sum_with_its_payment() {
    let before = settled(S::Pending);
    let first = see(&before, &in_coin(O::Partial, "0.40", "TON"));
    led_to(&before, &first, S::Pending, PARTLY, Some(E::Partial));
    let told = &first.event.as_ref().unwrap().facts.payment;
    assert_eq!(told.value.as_deref(), Some("0.40"));
    assert_eq!(sent(&first.row), (Some("0.40"), Some("TON")));
    for sum in ["0.40", "4E-1", "0.30"] {
        let again = see(&first.row, &in_coin(O::Partial, sum, "TON"));
        led_to(&first.row, &again, S::Pending, PARTLY, None);
        assert_eq!(sent(&again.row), (Some("0.40"), Some("TON")));
    }
    // The remark about an odd answer does not make the same sum new.
    let odd = see(&first.row, &observed(O::Unknown)).row;
    let again = see(&odd, &in_coin(O::Partial, "0.40", "TON"));
    led_to(&odd, &again, S::Pending, PARTLY, None);
    let more = see(&first.row, &in_coin(O::Partial, "0.70", "TON"));
    led_to(&first.row, &more, S::Pending, PARTLY, Some(E::Partial));
    let other = see(&more.row, &in_coin(O::Partial, "0.1", "BTC"));
    led_to(&more.row, &other, S::Pending, PARTLY, Some(E::Partial));
    let rest = see(&other.row, &in_coin(O::Paid, "1.00", "TON"));
    led_to(&other.row, &rest, S::Paid, None, Some(E::Paid));
    assert_eq!(sent(&rest.row), (Some("1.00"), Some("TON")));
    assert_eq!(rest.row.facts.payment.net.as_deref(), Some("0.99"));
    let again = see(&rest.row, &in_coin(O::Paid, "1.0", "TON"));
    led_to(&rest.row, &again, S::Paid, None, None);
    assert!(!again.facts_changed);
}

#[test]
fn new_money_told_only_in_the_coin_is_recorded_in_review_and_against_a_person() {
    for why in [reason::AMOUNT_MISMATCH, reason::PARTIALLY_PAID] {
        let before = in_review(why);
        let first = see(&before, &in_coin(O::Partial, "0.40", "TON"));
        led_to(&before, &first, S::Review, Some(why), Some(E::Review));
        let again = see(&first.row, &in_coin(O::Partial, "0.40", "TON"));
        led_to(&first.row, &again, S::Review, Some(why), None);
        let more = see(&first.row, &in_coin(O::Partial, "0.60", "TON"));
        led_to(&first.row, &more, S::Review, Some(why), Some(E::Review));

        let given_up = hear(&more.row, resolution(Verdict::Expired)).row;
        let known = see(&given_up, &in_coin(O::Partial, "0.60", "TON"));
        led_to(&given_up, &known, S::Expired, Some(reason::RESOLVED), None);
        let late = see(&given_up, &in_coin(O::Partial, "0.70", "TON"));
        led_to(&given_up, &late, S::Review, PARTLY, Some(E::Review));
        // The merchant accepts what came.
        let paid = see(&given_up, &in_coin(O::Paid, "0.60", "TON"));
        led_to(&given_up, &paid, S::Paid, None, Some(E::Paid));
    }
    // A person called a part enough: the whole payment is learned later.
    let part = see(
        &in_review(reason::PARTIALLY_PAID),
        &in_coin(O::Partial, "0.40", "TON"),
    );
    let accepted = hear(&part.row, resolution(Verdict::Paid)).row;
    let whole = see(&accepted, &in_coin(O::Paid, "1.00", "TON"));
    let why = Some(reason::RESOLVED);
    led_to(&accepted, &whole, S::Paid, why, Some(E::Detailed));
    assert_eq!(sent(&whole.row), (Some("1.00"), Some("TON")));
}

/// Further money is no news about the amounts of the first payment.
#[test]
fn a_paid_invoices_payment_does_not_grow_with_further_money() {
    let shown = |value: &str| {
        let payment = Payment {
            value: Some(value.into()),
            currency: Some("XTR".into()),
            ..Payment::default()
        };
        ObservedOrder {
            payment: Some(payment),
            ..shown(O::Paid, Some(value), None)
        }
    };
    let paid = see(&settled(S::Pending), &shown("1.00")).row;
    let more = see(&paid, &shown("2.00"));
    led_to(&paid, &more, S::Paid, None, Some(E::Further));
    assert!(more.earlier.is_empty());
    assert_eq!(sent(&more.row), (Some("1.00"), Some("XTR")));
}

/// A sum in another currency than the invoice's does not count as received, but it is money.
#[test]
fn an_end_with_money_of_an_unknown_sum_goes_to_review() {
    let partly = see(&settled(S::Pending), &shown(O::Partial, None, None));
    led_to(
        &settled(S::Pending),
        &partly,
        S::Pending,
        PARTLY,
        Some(E::Partial),
    );
    let in_coin = |state| ObservedOrder {
        payment: Some(crate::rows::payment()),
        ..shown(state, None, None)
    };
    for end in [O::Expired, O::Cancelled] {
        let after = see(&partly.row, &shown(end, None, None));
        led_to(&partly.row, &after, S::Review, PARTLY, Some(E::Review));
        let before = settled(S::Pending);
        let after = see(&before, &in_coin(end));
        led_to(&before, &after, S::Review, PARTLY, Some(E::Review));
        let rest = see(&after.row, &in_coin(O::Paid));
        led_to(&after.row, &rest, S::Paid, None, Some(E::Paid));
    }
}

#[test]
fn an_end_with_partial_money_is_in_review_until_the_rest_comes() {
    let partly = see(&settled(S::Pending), &shown(O::Partial, Some("0.40"), None)).row;
    for end in [O::Expired, O::Cancelled] {
        let ended = see(&partly, &observed(end));
        led_to(&partly, &ended, S::Review, PARTLY, Some(E::Review));
        let again = see(&ended.row, &observed(end));
        led_to(&ended.row, &again, S::Review, PARTLY, None);
        let more = see(&ended.row, &shown(end, Some("0.60"), None));
        led_to(&ended.row, &more, S::Review, PARTLY, Some(E::Review));
        let rest = see(&more.row, &shown(O::Paid, Some("1.00"), None));
        led_to(&more.row, &rest, S::Paid, None, Some(E::Paid));
        assert!(!rest.event.as_ref().unwrap().late, "no end was said");
    }
    // Both in one observation, and money that comes after the end was recorded.
    let before = settled(S::Pending);
    let at_once = see(&before, &shown(O::Expired, Some("0.40"), None));
    led_to(&before, &at_once, S::Review, PARTLY, Some(E::Review));
    for status in [S::Expired, S::Cancelled] {
        let before = settled(status);
        for state in [O::Partial, O::Expired] {
            let late = see(&before, &shown(state, Some("0.40"), None));
            led_to(&before, &late, S::Review, PARTLY, Some(E::Review));
        }
    }
    // A full refund leaves no money.
    let back = see(&partly, &shown(O::Partial, Some("0.40"), Some("0.40"))).row;
    let ended = see(&back, &observed(O::Expired));
    led_to(&back, &ended, S::Expired, None, Some(E::Expired));
}

/// Not every service ends an order that was partly paid.
#[test]
fn an_order_that_is_partly_paid_at_its_end_goes_to_review() {
    let partly = see(&settled(S::Pending), &shown(O::Partial, Some("0.40"), None)).row;
    let ending = |left: Duration| {
        let seen = shown(O::Partial, Some("0.40"), None);
        let end = seen.observed_at.minus(Rules::default().deadline_grace);
        ObservedOrder {
            told_at: Some(seen.observed_at),
            expires_at: Some(end.plus(left)),
            ..seen
        }
    };
    // A clock of ours that is ahead, or an answer without a time, ends nothing.
    for told_at in [None, ending(Duration::ZERO).expires_at] {
        let unproven = ObservedOrder {
            told_at,
            observed_at: LOOK_AT.plus(Duration::from_hours(24)),
            ..ending(Duration::ZERO)
        };
        let waits = see(&partly, &unproven);
        led_to(&partly, &waits, S::Pending, PARTLY, None);
    }
    let before = see(&partly, &ending(Duration::from_millis(1)));
    led_to(&partly, &before, S::Pending, PARTLY, None);
    let ended = see(&partly, &ending(Duration::ZERO));
    led_to(&partly, &ended, S::Review, PARTLY, Some(E::Review));
    let again = see(&ended.row, &ending(Duration::ZERO));
    led_to(&ended.row, &again, S::Review, PARTLY, None);
    let rest = see(&ended.row, &shown(O::Paid, Some("1.00"), None));
    led_to(&ended.row, &rest, S::Paid, None, Some(E::Paid));
}

#[test]
fn a_missing_order_found_again_with_money_is_recorded_with_it() {
    let before = in_review(reason::ORDER_NOT_FOUND);
    let after = see(&before, &shown(O::Partial, Some("0.40"), None));
    is_sound(&before, &after).unwrap();
    assert_eq!(said(&after), [(E::Pending, None), (E::Partial, None)]);
    let again = see(&after.row, &shown(O::Partial, Some("0.40"), None));
    led_to(&after.row, &again, S::Pending, PARTLY, None);
}

#[test]
fn new_money_in_review_is_recorded_each_time() {
    for why in [reason::AMOUNT_MISMATCH, reason::CREATE_CONFLICT] {
        let before = in_review(why);
        let first = see(&before, &shown(O::Partial, Some("0.40"), None));
        led_to(&before, &first, S::Review, Some(why), Some(E::Review));
        let again = see(&first.row, &shown(O::Partial, Some("0.40"), None));
        led_to(&first.row, &again, S::Review, Some(why), None);
        let more = see(&first.row, &shown(O::Partial, Some("0.60"), None));
        led_to(&first.row, &more, S::Review, Some(why), Some(E::Review));
    }
}

#[test]
fn a_test_payment_goes_to_review_unless_the_account_accepts_it() {
    let accepting = Rules {
        accept_test_payments: true,
        ..Rules::default()
    };
    let why = Some(reason::TEST_PAYMENT);
    let seen = in_test_mode(O::Paid);
    for status in [S::Pending, S::Expired, S::Cancelled] {
        let before = settled(status);
        let after = see(&before, &seen);
        led_to(&before, &after, S::Review, why, Some(E::Review));
        assert!(after.row.facts.is_test);
        let again = see(&after.row, &seen);
        led_to(&after.row, &again, S::Review, why, None);
        let accepted = decide_by(
            &accepting,
            &before,
            "yookassa",
            Observation::Seen(seen.clone()),
        );
        led_to(&before, &accepted, S::Paid, None, Some(E::Paid));
        assert!(accepted.event.unwrap().facts.is_test);
        let resolved = hear(&after.row, resolution(Verdict::Paid));
        assert!(resolved.event.unwrap().facts.is_test, "kept");
    }
    // An unpaid order in test mode is treated like any other.
    let before = settled(S::Pending);
    let expired = see(&before, &in_test_mode(O::Expired));
    led_to(&before, &expired, S::Expired, None, Some(E::Expired));
}

#[test]
fn each_refund_is_recorded_once_and_keeps_the_status() {
    let paid = see(&settled(S::Pending), &shown(O::Paid, Some("1.00"), None)).row;
    let part = see(&paid, &shown(O::Paid, Some("1.00"), Some("0.30")));
    led_to(&paid, &part, S::Paid, None, Some(E::Refunded));
    assert_eq!(refunded(&part.row), Some("0.30"));
    assert!(part.row.facts.sums.refunded_at.is_some());
    let again = see(&part.row, &shown(O::Paid, None, Some("0.3")));
    led_to(&part.row, &again, S::Paid, None, None);
    let whole = see(&part.row, &shown(O::Paid, None, Some("1.00")));
    led_to(&part.row, &whole, S::Paid, None, Some(E::Refunded));
    assert_eq!(refunded(&whole.row), Some("1.00"));
    // Refunded while a person must decide: the money is known there too.
    let review = see(&settled(S::Pending), &in_test_mode(O::Paid)).row;
    let returned = see(&review, &shown(O::Paid, None, Some("1.00")));
    let why = Some(reason::TEST_PAYMENT);
    led_to(&review, &returned, S::Review, why, Some(E::Refunded));
}

#[test]
fn a_refund_is_recorded_after_its_payment_in_any_order_of_observation() {
    // Both in one observation.
    let before = of_ledger();
    let two = [came("1", "1.00"), returned("1", "1.00")];
    let both = hear(&before, ledger(O::Paid, &two));
    is_sound(&before, &both).unwrap();
    let told_of_one = [(E::Paid, Some("1")), (E::Refunded, Some("1"))];
    assert_eq!(said(&both), told_of_one);
    assert_eq!(both.transactions, two);

    // The refund first: kept, and recorded with the payment.
    let refund = hear(&before, ledger(O::Open, &[returned("1", "0.40")]));
    assert_eq!(said(&refund), []);
    assert_eq!(refund.transactions, [returned("1", "0.40")]);
    assert_eq!(refunded(&refund.row), None);
    let paid = hear(&refund.row, ledger(O::Paid, &[came("1", "1.00")]));
    is_sound(&refund.row, &paid).unwrap();
    assert_eq!(said(&paid), told_of_one);
    assert_eq!(refunded(&paid.row), Some("0.40"));
    let both = [came("1", "1.00"), returned("1", "0.40")];
    let again = hear(&paid.row, ledger(O::Paid, &both));
    assert!(!again.has_changes());
    let second = hear(&paid.row, ledger(O::Paid, &[returned("2", "0.60")]));
    assert_eq!(said(&second), [(E::Refunded, Some("2"))]);
    assert_eq!(refunded(&second.row), Some("1.00"));
}

#[test]
fn payments_before_paid_are_summed_and_later_ones_are_further_money() {
    let before = of_ledger();
    let first = hear(&before, ledger(O::Partial, &[came("1", "0.40")]));
    assert_eq!(said(&first), [(E::Partial, Some("1"))]);
    let two = [came("2", "0.50"), came("3", "0.10")];
    let paid = hear(&first.row, ledger(O::Paid, &two));
    led_to(&first.row, &paid, S::Paid, None, Some(E::Paid));
    assert_eq!(said(&paid), [(E::Paid, Some("3"))]);
    assert_eq!(received(&paid.row), Some("1.00"));
    assert_eq!(paid.transactions.len(), 2, "the first is known");

    let three = [came("4", "1.00"), came("3", "0.10"), came("5", "1")];
    let more = hear(&paid.row, ledger(O::Paid, &three));
    is_sound(&paid.row, &more).unwrap();
    let further = [(E::Further, Some("4")), (E::Further, Some("5"))];
    assert_eq!(said(&more), further);
    assert_eq!(received(&more.row), Some("3.00"));
    let again = hear(&more.row, ledger(O::Paid, &three));
    assert!(!again.has_changes());
}

#[test]
fn in_a_ledger_any_payment_sets_a_missing_amount() {
    let mut before = of_ledger();
    before.facts.amount = None;
    let paid = hear(&before, ledger(O::Paid, &[came("1", "100")]));
    led_to(&before, &paid, S::Paid, None, Some(E::Paid));
    assert_eq!(paid.row.facts.amount, Some(money("100", "USD")));
    assert_eq!(received(&paid.row), Some("100"));
}

#[test]
fn a_payment_in_progress_is_kept_and_counts_once_it_succeeds() {
    let before = of_ledger();
    let under_way = transaction("1", Direction::In, "1.00", T::InProgress);
    let seen = hear(&before, ledger(O::Open, std::slice::from_ref(&under_way)));
    assert_eq!(said(&seen), []);
    assert_eq!(seen.transactions, [under_way]);
    assert_eq!(received(&seen.row), None);
    let done = hear(&seen.row, ledger(O::Paid, &[came("1", "1.00")]));
    assert_eq!(said(&done), [(E::Paid, Some("1"))]);
    assert_eq!(done.transactions, [came("1", "1.00")]);
    assert_eq!(done.row.transactions, [came("1", "1.00")]);
    // A movement of money is never reversed.
    let refused = transaction("1", Direction::In, "1.00", T::Refused);
    let odd = hear(&done.row, ledger(O::Open, std::slice::from_ref(&refused)));
    assert!(!odd.has_changes());
    let never = hear(&seen.row, ledger(O::Open, std::slice::from_ref(&refused)));
    assert_eq!(said(&never), []);
    assert_eq!(never.transactions, [refused]);
    // A payment in progress for an invoice that has ended reverses nothing.
    let expired = settled(S::Expired);
    let under_way = transaction("2", Direction::In, "1.00", T::InProgress);
    let after = hear(&expired, ledger(O::Open, &[under_way]));
    assert_eq!(said(&after), []);
    assert_eq!(after.row.facts.reason, None);
}

#[test]
fn a_ledgers_payment_after_the_end_is_late_and_a_partial_one_in_review() {
    let before = settled(S::Expired);
    let late = hear(&before, ledger(O::Paid, &[came("1", "1.00")]));
    led_to(&before, &late, S::Paid, None, Some(E::Paid));
    assert!(late.event.as_ref().unwrap().late);
    let part = hear(&before, ledger(O::Partial, &[came("1", "0.40")]));
    led_to(&before, &part, S::Review, PARTLY, Some(E::Review));
    assert_eq!(said(&part), [(E::Review, Some("1"))]);
    let rest = hear(&part.row, ledger(O::Paid, &[came("2", "0.60")]));
    led_to(&part.row, &rest, S::Paid, None, Some(E::Paid));
}

#[test]
fn an_id_that_no_payment_can_have_goes_to_review() {
    for status in S::ALL {
        let before = settled(status);
        let observed_at = LOOK_AT;
        let after = hear(&before, Observation::ExternalIdInvalid { observed_at });
        if status == S::Pending {
            let why = Some(reason::EXTERNAL_ID_INVALID);
            led_to(&before, &after, S::Review, why, Some(E::Review));
        } else {
            assert!(!after.has_changes(), "{status}");
        }
    }
}

#[test]
fn a_transaction_that_another_invoice_has_goes_to_review() {
    for status in S::ALL {
        let before = settled(status);
        let observed_at = LOOK_AT;
        let after = hear(&before, Observation::TransactionTaken { observed_at });
        if matches!(status, S::Requested | S::Pending | S::Expired) {
            let why = Some(reason::EXTERNAL_ID_MISMATCH);
            led_to(&before, &after, S::Review, why, Some(E::Review));
        } else {
            assert!(!after.has_changes(), "{status}");
        }
    }
}

const GRACE: Duration = Duration::from_mins(2);
/// The moment after deadline and grace of the rows in these tests.
const OVER: i64 = INSERTED.0 + TIMEOUT_S * 1_000 + 120_000 + 1;

fn silence(from: i64, began_at: i64, through: i64) -> Observation {
    Observation::NothingUntil {
        observed_at: LOOK_AT,
        reading: LedgerCoverage {
            from: UnixMillis(from),
            began_at: UnixMillis(began_at),
            through: UnixMillis(through),
        },
    }
}

#[test]
fn only_a_complete_reading_past_deadline_and_grace_expires_an_invoice() {
    let before = of_ledger();
    assert_eq!(Rules::default().deadline_grace, GRACE);
    let created = INSERTED.0;
    let expired = hear(&before, silence(created, OVER, OVER));
    let why = Some(reason::DEADLINE);
    led_to(&before, &expired, S::Expired, why, Some(E::Expired));
    assert_eq!(expired.row.facts.ended_at, Some(LOOK_AT));
    for (from, began_at, through) in [
        // A gap after the creation; begun too early; not read far enough; long before.
        (created + 1, OVER, OVER),
        (created, OVER - 1, OVER),
        (created, OVER, OVER - 1),
        (created, created, created),
    ] {
        let after = hear(&before, silence(from, began_at, through));
        assert!(!after.has_changes(), "{from} {began_at} {through}");
    }
    let longer = Rules {
        deadline_grace: GRACE + Duration::from_millis(1),
        ..Rules::default()
    };
    let early = decide_by(&longer, &before, "yoomoney", silence(created, OVER, OVER));
    assert!(!early.has_changes());
    let again = hear(&expired.row, silence(created, OVER + 9, OVER + 9));
    assert!(!again.has_changes());
    for status in S::ALL.into_iter().filter(|status| *status != S::Pending) {
        let after = hear(&settled(status), silence(created, OVER, OVER));
        assert!(!after.has_changes(), "{status}");
    }
}

#[test]
fn received_or_pending_money_prevents_expiry() {
    let end = || silence(INSERTED.0, OVER, OVER);
    let under_way = transaction("1", Direction::In, "1.00", T::InProgress);
    let row = hear(&of_ledger(), ledger(O::Open, &[under_way])).row;
    assert!(!hear(&row, end()).has_changes());
    let partly = hear(&of_ledger(), ledger(O::Partial, &[came("1", "0.40")])).row;
    let after = hear(&partly, end());
    led_to(&partly, &after, S::Review, PARTLY, Some(E::Review));
    let refused = transaction("1", Direction::In, "1.00", T::Refused);
    let row = hear(&of_ledger(), ledger(O::Open, &[refused])).row;
    let why = Some(reason::DEADLINE);
    led_to(&row, &hear(&row, end()), S::Expired, why, Some(E::Expired));
}

/// An invoice in a currency that the account does not have, which the daemon did not create.
#[test]
fn money_of_another_currency_goes_to_review_and_never_expires() {
    let mut foreign = came("1", "1.00");
    foreign.amount = money("1.00", "RUB");
    let before = of_ledger();
    let after = hear(&before, ledger(O::Partial, std::slice::from_ref(&foreign)));
    let why = Some(reason::AMOUNT_MISMATCH);
    led_to(&before, &after, S::Review, why, Some(E::Review));
    // As an earlier version left it.
    let mut kept = of_ledger();
    kept.transactions = vec![foreign];
    let ended = hear(&kept, silence(INSERTED.0, OVER, OVER));
    led_to(&kept, &ended, S::Review, why, Some(E::Review));
}
