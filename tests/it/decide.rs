//! Decisions: the state table cell by cell, then the laws over random histories. Sums and
//! transactions are in `money`.

mod money;

use payrecond::domain::decide::{Decision, Rules, decide, decide_by};
use payrecond::domain::event::{Event, EventType};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::observation::{
    Observation, ObservedMoney, ObservedOrder, OrderState, Payment, Verdict,
};
use payrecond::domain::state::{Status, reason};
use payrecond::domain::time::UnixMillis;
use proptest::prelude::*;

use crate::rows::{INSERTED, invoice, money, observed, payment, sums, word};

use OrderState as O;
use Status as S;

const LOOK_AT: UnixMillis = UnixMillis(INSERTED.0 + 60_000);

/// A row after the provider has reported what its status implies.
fn settled(status: Status) -> Invoice {
    let mut row = invoice(status);
    let shown = match status {
        S::Requested | S::Rejected => None,
        S::Pending | S::Review => Some(O::Open),
        S::Paid => Some(O::Paid),
        S::Expired => Some(O::Expired),
        S::Cancelled => Some(O::Cancelled),
    };
    row.facts.provider_status = shown.map(|state| word(state).to_owned());
    match status {
        S::Paid => row.facts.paid_at = observed(O::Paid).paid_at,
        S::Expired | S::Cancelled => row.facts.ended_at = Some(INSERTED),
        S::Review => row.facts.reason = Some(reason::AMOUNT_MISMATCH.into()),
        S::Requested | S::Pending | S::Rejected => {}
    }
    row
}

fn in_review(why: &str) -> Invoice {
    let mut row = settled(S::Review);
    row.facts.reason = Some(why.into());
    row
}

fn resolved(verdict: Verdict) -> Invoice {
    *decide(&settled(S::Review), "walletpay", resolution(verdict)).row
}

fn resolution(verdict: Verdict) -> Observation {
    Observation::Resolved {
        observed_at: LOOK_AT,
        verdict,
        note: "asked the payer".into(),
    }
}

fn see(row: &Invoice, observed: &ObservedOrder) -> Decision {
    decide(row, "walletpay", Observation::Seen(observed.clone()))
}

fn hear(row: &Invoice, observation: Observation) -> Decision {
    decide(row, "walletpay", observation)
}

/// All events of a decision, in their order.
fn events(decision: &Decision) -> impl Iterator<Item = &Event> {
    decision.events()
}

fn tells_no_move(event_type: EventType) -> bool {
    match event_type {
        EventType::Detailed | EventType::Partial | EventType::Further | EventType::Refunded => true,
        EventType::Pending
        | EventType::Paid
        | EventType::Expired
        | EventType::Cancelled
        | EventType::Rejected
        | EventType::Review => false,
    }
}

/// What must hold for every decision.
fn is_sound(before: &Invoice, after: &Decision) -> Result<(), TestCaseError> {
    let row = &after.row;
    prop_assert_eq!(after.based_on_version, before.version);
    prop_assert_eq!(after.facts_changed, row.facts != before.facts);
    let moved = row.facts.status != before.facts.status;
    if moved {
        prop_assert!(before.facts.status.may_become(row.facts.status));
    }
    match &after.event {
        None => {
            prop_assert!(!moved, "a status moved in silence");
            prop_assert_eq!(row.version, before.version);
            prop_assert!(after.earlier.is_empty());
        }
        Some(last) => {
            prop_assert!(after.facts_changed, "an event about nothing");
            prop_assert_eq!(last.version, row.version);
            prop_assert_eq!(after.version_before_last(), row.version - 1);
        }
    }
    let mut previous = (before.version, before.facts.status);
    for event in events(after) {
        prop_assert_eq!(event.version, previous.0 + 1);
        prop_assert_eq!(event.previous_status, previous.1);
        prop_assert_eq!(&event.facts, &row.facts);
        let of_status = EventType::of_move_to(row.facts.status);
        prop_assert!(Some(event.event_type) == of_status || tells_no_move(event.event_type));
        previous = (event.version, row.facts.status);
    }
    prop_assert_eq!(&row.external_id, &before.external_id);
    prop_assert_eq!(row.created_at, before.created_at);
    if before.facts.order_id.is_some() {
        prop_assert_eq!(&row.facts.order_id, &before.facts.order_id);
    }
    if before.facts.amount.is_some() {
        prop_assert_eq!(&row.facts.amount, &before.facts.amount);
    }
    Ok(())
}

/// Asserts the outcome of a decision; `said` with `Some` also means a version higher by one.
#[track_caller]
fn led_to(
    before: &Invoice,
    after: &Decision,
    status: Status,
    why: Option<&str>,
    said: Option<EventType>,
) {
    is_sound(before, after).unwrap();
    assert_eq!(after.row.facts.status, status);
    assert_eq!(after.row.facts.reason.as_deref(), why);
    assert_eq!(after.event.as_ref().map(|event| event.event_type), said);
}

const CONTRADICTION: Option<&str> = Some(reason::CONTRADICTION);
const UNKNOWN: Option<&str> = Some(reason::UNKNOWN_STATUS);
const AMOUNT: Option<&str> = Some(reason::AMOUNT_MISMATCH);
const PARTLY: Option<&str> = Some(reason::PARTIALLY_PAID);
const HELD: Option<&str> = Some(reason::AUTHORIZED);

/// Status, state of the order; the resulting status, its reason, the event, and the status text
/// that is kept.
type Cell = (
    Status,
    OrderState,
    Status,
    Option<&'static str>,
    Option<EventType>,
    Option<&'static str>,
);

#[rustfmt::skip]
const CELLS: [Cell; 49] = [
    (S::Requested, O::Open,      S::Pending,   None,          Some(EventType::Pending),   Some("ACTIVE")),
    (S::Requested, O::Partial,   S::Pending,   None,          Some(EventType::Pending),   None),
    (S::Requested, O::Authorized, S::Pending,  None,          Some(EventType::Pending),   None),
    (S::Requested, O::Paid,      S::Pending,   None,          Some(EventType::Pending),   None),
    (S::Requested, O::Expired,   S::Pending,   None,          Some(EventType::Pending),   None),
    (S::Requested, O::Cancelled, S::Pending,   None,          Some(EventType::Pending),   None),
    (S::Requested, O::Unknown,   S::Pending,   None,          Some(EventType::Pending),   None),
    (S::Pending,   O::Open,      S::Pending,   None,          None,                       Some("ACTIVE")),
    (S::Pending,   O::Partial,   S::Pending,   PARTLY,        Some(EventType::Partial),   Some("PARTIAL")),
    (S::Pending,   O::Authorized, S::Pending,  HELD,          None,                       Some("HELD")),
    (S::Pending,   O::Paid,      S::Paid,      None,          Some(EventType::Paid),      Some("PAID")),
    (S::Pending,   O::Expired,   S::Expired,   None,          Some(EventType::Expired),   Some("EXPIRED")),
    (S::Pending,   O::Cancelled, S::Cancelled, None,          Some(EventType::Cancelled), Some("CANCELLED")),
    (S::Pending,   O::Unknown,   S::Pending,   UNKNOWN,       None,                       Some("FROZEN")),
    (S::Paid,      O::Open,      S::Paid,      CONTRADICTION, None,                       Some("PAID")),
    (S::Paid,      O::Partial,   S::Paid,      CONTRADICTION, None,                       Some("PAID")),
    (S::Paid,      O::Authorized, S::Paid,     CONTRADICTION, None,                       Some("PAID")),
    (S::Paid,      O::Paid,      S::Paid,      None,          None,                       Some("PAID")),
    (S::Paid,      O::Expired,   S::Paid,      CONTRADICTION, None,                       Some("PAID")),
    (S::Paid,      O::Cancelled, S::Paid,      CONTRADICTION, None,                       Some("PAID")),
    (S::Paid,      O::Unknown,   S::Paid,      UNKNOWN,       None,                       Some("PAID")),
    (S::Expired,   O::Open,      S::Expired,   CONTRADICTION, None,                       Some("ACTIVE")),
    (S::Expired,   O::Partial,   S::Review,    PARTLY,        Some(EventType::Review),    Some("PARTIAL")),
    (S::Expired,   O::Authorized, S::Expired,  CONTRADICTION, None,                       Some("HELD")),
    (S::Expired,   O::Paid,      S::Paid,      None,          Some(EventType::Paid),      Some("PAID")),
    (S::Expired,   O::Expired,   S::Expired,   None,          None,                       Some("EXPIRED")),
    (S::Expired,   O::Cancelled, S::Expired,   CONTRADICTION, None,                       Some("CANCELLED")),
    (S::Expired,   O::Unknown,   S::Expired,   UNKNOWN,       None,                       Some("FROZEN")),
    (S::Cancelled, O::Open,      S::Cancelled, CONTRADICTION, None,                       Some("ACTIVE")),
    (S::Cancelled, O::Partial,   S::Review,    PARTLY,        Some(EventType::Review),    Some("PARTIAL")),
    (S::Cancelled, O::Authorized, S::Cancelled, CONTRADICTION, None,                      Some("HELD")),
    (S::Cancelled, O::Paid,      S::Paid,      None,          Some(EventType::Paid),      Some("PAID")),
    (S::Cancelled, O::Expired,   S::Cancelled, CONTRADICTION, None,                       Some("EXPIRED")),
    (S::Cancelled, O::Cancelled, S::Cancelled, None,          None,                       Some("CANCELLED")),
    (S::Cancelled, O::Unknown,   S::Cancelled, UNKNOWN,       None,                       Some("FROZEN")),
    (S::Rejected,  O::Open,      S::Rejected,  None,          None,                       None),
    (S::Rejected,  O::Partial,   S::Rejected,  None,          None,                       None),
    (S::Rejected,  O::Authorized, S::Rejected, None,          None,                       None),
    (S::Rejected,  O::Paid,      S::Rejected,  None,          None,                       None),
    (S::Rejected,  O::Expired,   S::Rejected,  None,          None,                       None),
    (S::Rejected,  O::Cancelled, S::Rejected,  None,          None,                       None),
    (S::Rejected,  O::Unknown,   S::Rejected,  None,          None,                       None),
    (S::Review,    O::Open,      S::Review,    AMOUNT,        None,                       Some("ACTIVE")),
    (S::Review,    O::Partial,   S::Review,    AMOUNT,        None,                       Some("PARTIAL")),
    (S::Review,    O::Authorized, S::Review,   AMOUNT,        None,                       Some("HELD")),
    (S::Review,    O::Paid,      S::Review,    AMOUNT,        Some(EventType::Review),    Some("PAID")),
    (S::Review,    O::Expired,   S::Review,    AMOUNT,        None,                       Some("EXPIRED")),
    (S::Review,    O::Cancelled, S::Review,    AMOUNT,        None,                       Some("CANCELLED")),
    (S::Review,    O::Unknown,   S::Review,    AMOUNT,        None,                       Some("FROZEN")),
];

#[test]
fn every_cell_of_the_state_table_holds() {
    let mut cells = CELLS.iter();
    for status in [
        S::Requested,
        S::Pending,
        S::Paid,
        S::Expired,
        S::Cancelled,
        S::Rejected,
        S::Review,
    ] {
        for state in OrderState::ALL {
            let &(from, seen, to, why, said, kept_word) = cells.next().unwrap();
            assert_eq!((from, seen), (status, state), "the table lacks a cell");
            eprintln!("{status} sees {state:?}");
            let before = settled(status);
            let after = see(&before, &observed(state));
            led_to(&before, &after, to, why, said);
            let facts = &after.row.facts;
            assert_eq!(facts.provider_status.as_deref(), kept_word);
            let holds_money = facts.paid_at.is_some();
            assert_eq!(holds_money, kept_word == Some("PAID"));
            let late = after.event.is_some_and(|event| event.late);
            let ended_before = matches!(status, S::Expired | S::Cancelled);
            assert_eq!(late, ended_before && to == S::Paid);
        }
    }
    assert!(cells.next().is_none());
}

/// CryptoCloud has one status for both ends; they can be distinguished only before the order's
/// expiry.
#[test]
fn an_end_with_the_same_status_as_before_is_no_contradiction() {
    let said = |state| ObservedOrder {
        provider_status: "canceled".into(),
        ..observed(state)
    };
    let cancelled = see(&settled(S::Pending), &said(O::Cancelled)).row;
    let after = see(&cancelled, &said(O::Expired));
    led_to(&cancelled, &after, S::Cancelled, None, None);
    let after = see(&cancelled, &observed(O::Expired));
    led_to(&cancelled, &after, S::Cancelled, CONTRADICTION, None);
}

#[test]
fn the_orders_facts_are_stored_with_every_transition() {
    for (status, state) in [
        (S::Pending, O::Paid),
        (S::Pending, O::Expired),
        (S::Requested, O::Open),
    ] {
        let mut before = settled(status);
        before.facts.amount = None;
        let mut seen = observed(state);
        seen.payment = (state == O::Paid).then(payment);
        let facts = see(&before, &seen).row.facts;
        assert_eq!(facts.order_id, Some(seen.order_id));
        assert_eq!(facts.order_number, seen.number);
        assert_eq!(facts.amount, seen.amount);
        assert_eq!(facts.pay_link, seen.pay_link);
        assert_eq!(facts.direct_pay_link, seen.direct_pay_link);
        assert_eq!(facts.expires_at, seen.expires_at);
        assert_eq!(facts.paid_at, seen.paid_at);
        assert_eq!(facts.payment, seen.payment.unwrap_or_default());
    }
}

#[test]
fn values_missing_from_an_observation_are_kept() {
    let full = see(&settled(S::Pending), &observed(O::Open)).row;
    let bare = ObservedOrder {
        number: None,
        amount: None,
        expires_at: None,
        pay_link: None,
        direct_pay_link: None,
        ..observed(O::Open)
    };
    assert!(!see(&full, &bare).facts_changed);
}

#[test]
fn an_order_that_is_found_again_leaves_review() {
    for (state, to, said) in [
        (O::Open, S::Pending, EventType::Pending),
        (O::Paid, S::Paid, EventType::Paid),
        (O::Expired, S::Expired, EventType::Expired),
        (O::Cancelled, S::Cancelled, EventType::Cancelled),
    ] {
        let before = in_review(reason::ORDER_NOT_FOUND);
        let after = see(&before, &observed(state));
        led_to(&before, &after, to, None, Some(said));
    }
    let before = in_review(reason::ORDER_NOT_FOUND);
    let after = see(&before, &observed(O::Unknown));
    led_to(
        &before,
        &after,
        S::Review,
        Some(reason::ORDER_NOT_FOUND),
        None,
    );
    let wrong_sum = ObservedOrder {
        amount: Some(money("0.01", "USD")),
        ..observed(O::Paid)
    };
    let after = see(&before, &wrong_sum);
    led_to(&before, &after, S::Review, AMOUNT, Some(EventType::Review));
}

#[test]
fn in_review_only_money_is_recorded_and_once() {
    for why in [
        reason::AMOUNT_MISMATCH,
        reason::EXTERNAL_ID_MISMATCH,
        reason::CREATE_CONFLICT,
    ] {
        let before = in_review(why);
        for state in [O::Open, O::Expired, O::Cancelled, O::Unknown] {
            let after = see(&before, &observed(state));
            led_to(&before, &after, S::Review, Some(why), None);
        }
        let shown = see(&before, &observed(O::Paid));
        led_to(
            &before,
            &shown,
            S::Review,
            Some(why),
            Some(EventType::Review),
        );
        let facts = &shown.event.as_ref().unwrap().facts;
        assert_eq!(facts.provider_status.as_deref(), Some("PAID"));
        assert_eq!(facts.paid_at, observed(O::Paid).paid_at);

        // A provider that contradicts itself causes no second event and does not remove the status
        // text of PAID.
        let wavered = see(&shown.row, &observed(O::Open));
        led_to(&shown.row, &wavered, S::Review, Some(why), None);
        assert_eq!(wavered.row.facts.provider_status.as_deref(), Some("PAID"));
        let again = see(&wavered.row, &observed(O::Paid));
        led_to(&wavered.row, &again, S::Review, Some(why), None);
        // Nor does another of the provider's names for the same state.
        let settled_word = ObservedOrder {
            provider_status: "SETTLED".into(),
            ..observed(O::Paid)
        };
        let again = see(&shown.row, &settled_word);
        led_to(&shown.row, &again, S::Review, Some(why), None);
    }
}

#[test]
fn a_mismatch_goes_to_review() {
    let wrong_id = |state| ObservedOrder {
        external_id: Some("ORD-2".into()),
        ..observed(state)
    };
    let wrong_sum = |state| ObservedOrder {
        amount: Some(money("1.01", "USD")),
        ..observed(state)
    };
    let both = |state| ObservedOrder {
        amount: Some(money("1.00", "EUR")),
        ..wrong_id(state)
    };
    let judged: [(&dyn Fn(OrderState) -> ObservedOrder, &str); 3] = [
        (&wrong_sum, reason::AMOUNT_MISMATCH),
        (&wrong_id, reason::EXTERNAL_ID_MISMATCH),
        (&both, reason::EXTERNAL_ID_MISMATCH),
    ];
    for (seen, why) in judged {
        for state in OrderState::ALL {
            for status in [S::Pending, S::Expired, S::Cancelled] {
                let before = settled(status);
                let after = see(&before, &seen(state));
                led_to(
                    &before,
                    &after,
                    S::Review,
                    Some(why),
                    Some(EventType::Review),
                );
                assert_eq!(
                    after.row.facts.provider_status.as_deref(),
                    Some(word(state))
                );
                // The person knows now, so a repeated report changes nothing.
                let again = see(&after.row, &seen(state));
                led_to(&after.row, &again, S::Review, Some(why), None);
            }
        }
        // A recorded payment stays recorded; the audit reports the difference.
        let before = settled(S::Paid);
        led_to(&before, &see(&before, &seen(O::Paid)), S::Paid, None, None);
        let before = settled(S::Rejected);
        led_to(
            &before,
            &see(&before, &seen(O::Paid)),
            S::Rejected,
            None,
            None,
        );
    }
}

#[test]
fn amounts_are_compared_by_value_and_ton_equals_gram_where_the_provider_says_so() {
    let mut before = settled(S::Pending);
    before.facts.amount = Some(money("0.1", "TON"));
    let shown = |value, currency| ObservedOrder {
        amount: Some(money(value, currency)),
        ..observed(O::Paid)
    };
    let at_walletpay = Rules {
        one_currency: &["TON", "GRAM"],
        ..Rules::default()
    };
    let hear =
        |rules, observed| decide_by(rules, &before, "walletpay", Observation::Seen(observed));
    let after = hear(&at_walletpay, shown("0.100000000", "GRAM"));
    led_to(&before, &after, S::Paid, None, Some(EventType::Paid));
    assert_eq!(after.row.facts.amount, Some(money("0.1", "TON")));
    let after = hear(&at_walletpay, shown("0.1000000000000000001", "GRAM"));
    led_to(&before, &after, S::Review, AMOUNT, Some(EventType::Review));
    let elsewhere = hear(&Rules::default(), shown("0.1", "GRAM"));
    led_to(
        &before,
        &elsewhere,
        S::Review,
        AMOUNT,
        Some(EventType::Review),
    );

    let silent = ObservedOrder {
        amount: None,
        ..observed(O::Paid)
    };
    let after = see(&before, &silent);
    led_to(&before, &after, S::Paid, None, Some(EventType::Paid));
    before.facts.amount = None;
    let after = see(&before, &silent);
    led_to(&before, &after, S::Paid, None, Some(EventType::Paid));
    assert_eq!(after.row.facts.amount, None);
}

#[test]
fn an_amount_whose_currency_is_not_told_is_compared_by_its_value() {
    let before = settled(S::Pending);
    let told = |value: &str| ObservedOrder {
        amount: None,
        bare_amount: Some(value.into()),
        ..observed(O::Paid)
    };
    let same = see(&before, &told("1.0"));
    led_to(&before, &same, S::Paid, None, Some(EventType::Paid));
    let other = see(&before, &told("0.9"));
    led_to(&before, &other, S::Review, AMOUNT, Some(EventType::Review));
    let mut open = before;
    open.facts.amount = None;
    let after = see(&open, &told("1.0"));
    led_to(&open, &after, S::Paid, None, Some(EventType::Paid));
    assert_eq!(after.row.facts.amount, None, "a value alone is no amount");
}

#[test]
fn an_answer_about_another_order_changes_nothing() {
    for status in Status::ALL {
        let mut before = settled(status);
        before.facts.order_id = Some("1".into());
        before.facts.not_found_since = Some(INSERTED);
        let after = see(&before, &observed(O::Paid));
        assert!(after.event.is_none() && !after.facts_changed);
    }
}

#[test]
fn amounts_learned_after_paid_are_recorded_once() {
    let before = settled(S::Paid);
    let detailed = ObservedOrder {
        payment: Some(payment()),
        ..observed(O::Paid)
    };
    let after = see(&before, &detailed);
    led_to(&before, &after, S::Paid, None, Some(EventType::Detailed));
    assert_eq!(after.row.facts.payment, payment());
    assert!(!after.event.as_ref().unwrap().late);

    // A missing value, an empty one, or another spelling is no change; nothing reported is lost.
    for payment_now in [
        None,
        Some(Payment::default()),
        Some(payment()),
        Some(Payment {
            value: Some("0.0698480940".into()),
            ..payment()
        }),
    ] {
        let seen = ObservedOrder {
            payment: payment_now,
            ..observed(O::Paid)
        };
        assert!(!see(&after.row, &seen).facts_changed);
    }
    let missing_fee = Payment {
        fee: None,
        ..payment()
    };
    let mut partly = settled(S::Paid);
    partly.facts.payment = missing_fee;
    let after = see(&partly, &detailed);
    led_to(&partly, &after, S::Paid, None, Some(EventType::Detailed));
}

#[test]
fn amounts_of_a_payment_accepted_by_a_person_are_recorded_too() {
    let wrong_sum = ObservedOrder {
        amount: Some(money("1.01", "USD")),
        payment: Some(payment()),
        ..observed(O::Paid)
    };
    let before = resolved(Verdict::Paid);
    let after = see(&before, &wrong_sum);
    let why = Some(reason::RESOLVED);
    led_to(&before, &after, S::Paid, why, Some(EventType::Detailed));
}

#[test]
fn only_a_paid_order_has_more_payment_facts_than_what_was_sent() {
    for state in OrderState::ALL
        .into_iter()
        .filter(|state| *state != O::Paid)
    {
        for status in [S::Requested, S::Pending, S::Review] {
            let seen = ObservedOrder {
                payment: Some(payment()),
                paid_at: Some(INSERTED),
                ..observed(state)
            };
            let facts = see(&settled(status), &seen).row.facts;
            let tells_a_part = matches!(state, O::Partial | O::Expired | O::Cancelled);
            let is_taken = tells_a_part && status != S::Requested;
            let part = payment().sent().filter(|_| is_taken);
            assert_eq!(facts.payment, part.unwrap_or_default(), "{state:?}");
            assert_eq!(facts.paid_at, None);
        }
    }
}

#[test]
fn a_remark_is_cleared_by_a_normal_answer() {
    for (status, odd, plain) in [
        (S::Pending, O::Unknown, O::Open),
        (S::Expired, O::Open, O::Expired),
        (S::Cancelled, O::Unknown, O::Cancelled),
        (S::Paid, O::Unknown, O::Paid),
        (S::Paid, O::Open, O::Paid),
    ] {
        let odd_row = see(&settled(status), &observed(odd)).row;
        assert!(odd_row.facts.reason.is_some());
        let after = see(&odd_row, &observed(plain));
        led_to(&odd_row, &after, status, None, None);
    }
    let odd_row = see(&settled(S::Pending), &observed(O::Unknown)).row;
    let after = see(&odd_row, &observed(O::Paid));
    led_to(&odd_row, &after, S::Paid, None, Some(EventType::Paid));
}

#[test]
fn created_changes_only_requested_to_pending() {
    for status in Status::ALL {
        for state in OrderState::ALL {
            let before = settled(status);
            let after = hear(&before, Observation::Created(observed(state)));
            if status == S::Requested {
                led_to(&before, &after, S::Pending, None, Some(EventType::Pending));
                assert_eq!(after.row.facts.order_id, Some("2703383946854401".into()));
                assert!(after.row.facts.pay_link.is_some());
                assert!(after.row.facts.paid_at.is_none());
            } else {
                assert!(after.event.is_none() && !after.facts_changed, "{status}");
            }
        }
    }
    // An order found paid when it is created again: pending is recorded, then paid.
    let created = hear(
        &settled(S::Requested),
        Observation::Created(observed(O::Paid)),
    )
    .row;
    let after = see(&created, &observed(O::Paid));
    led_to(&created, &after, S::Paid, None, Some(EventType::Paid));
}

#[test]
fn an_order_with_our_id_and_another_amount_is_a_conflict() {
    let before = settled(S::Requested);
    let wrong_sum = ObservedOrder {
        amount: Some(money("1.01", "USD")),
        ..observed(O::Open)
    };
    for observation in [
        Observation::Created(wrong_sum.clone()),
        Observation::Seen(wrong_sum),
    ] {
        let after = hear(&before, observation);
        let why = Some(reason::CREATE_CONFLICT);
        led_to(&before, &after, S::Review, why, Some(EventType::Review));
        assert_eq!(after.row.facts.order_id, None);
    }
    let of_others = ObservedOrder {
        external_id: Some("ORD-2".into()),
        ..observed(O::Open)
    };
    assert!(!see(&before, &of_others).facts_changed);
}

#[test]
fn an_ended_creation_changes_only_requested() {
    let observed_at = LOOK_AT;
    let refused = Observation::CreationRefused {
        observed_at,
        reason: "amount is too small".into(),
    };
    for (observation, to, why, said) in [
        (
            refused,
            S::Rejected,
            "amount is too small",
            EventType::Rejected,
        ),
        (
            Observation::CreationConflict { observed_at },
            S::Review,
            reason::CREATE_CONFLICT,
            EventType::Review,
        ),
        (
            Observation::CreationTooLate { observed_at },
            S::Rejected,
            reason::TOO_LATE,
            EventType::Rejected,
        ),
    ] {
        for status in Status::ALL {
            let before = settled(status);
            let after = hear(&before, observation.clone());
            if status == S::Requested {
                led_to(&before, &after, to, Some(why), Some(said));
            } else {
                assert!(after.event.is_none() && !after.facts_changed, "{status}");
            }
        }
    }
}

#[test]
fn not_found_counts_only_for_pending_and_after_the_grace() {
    let not_found = |at, counts| Observation::NotFound {
        observed_at: UnixMillis(at),
        counts,
    };
    for status in Status::ALL {
        let before = settled(status);
        let doubted = hear(&before, not_found(1_000, false));
        led_to(
            &before,
            &doubted,
            status,
            before.facts.reason.as_deref(),
            None,
        );
        if status != S::Pending {
            assert!(!hear(&before, not_found(1_000, true)).facts_changed);
            continue;
        }
        assert_eq!(doubted.row.facts.not_found_since, Some(UnixMillis(1_000)));
        let later = hear(&doubted.row, not_found(2_000, false));
        assert_eq!(later.row.facts.not_found_since, Some(UnixMillis(1_000)));
        let clock_went_back = hear(&doubted.row, not_found(500, false));
        assert_eq!(
            clock_went_back.row.facts.not_found_since,
            Some(UnixMillis(500)),
            "or the grace would last as long as the jump"
        );
        let believed = hear(&doubted.row, not_found(2_000, true));
        let why = Some(reason::ORDER_NOT_FOUND);
        led_to(
            &doubted.row,
            &believed,
            S::Review,
            why,
            Some(EventType::Review),
        );
        // Any observation ends a series of such answers, even one without further information.
        for state in OrderState::ALL {
            let seen = see(&doubted.row, &observed(state));
            assert_eq!(seen.row.facts.not_found_since, None);
        }
    }
}

#[test]
fn a_person_decides_only_in_review() {
    for (verdict, to, said) in [
        (Verdict::Paid, S::Paid, EventType::Paid),
        (Verdict::Expired, S::Expired, EventType::Expired),
        (Verdict::Cancelled, S::Cancelled, EventType::Cancelled),
    ] {
        for status in Status::ALL {
            let before = settled(status);
            let after = hear(&before, resolution(verdict));
            if status == S::Review {
                led_to(&before, &after, to, Some(reason::RESOLVED), Some(said));
                let event = after.event.as_ref().unwrap();
                assert_eq!(event.note.as_deref(), Some("asked the payer"));
                assert_eq!(event.observed_at, LOOK_AT);
            } else {
                assert!(after.event.is_none() && !after.facts_changed, "{status}");
            }
        }
    }
}

#[test]
fn a_persons_decision_stands_until_unknown_money_arrives() {
    let wrong_sum = |state| ObservedOrder {
        amount: Some(money("1.01", "USD")),
        ..observed(state)
    };
    for verdict in [Verdict::Expired, Verdict::Cancelled] {
        let before = resolved(verdict);
        let status = before.facts.status;
        for state in [O::Open, O::Expired, O::Cancelled, O::Unknown] {
            for seen in [observed(state), wrong_sum(state)] {
                let after = see(&before, &seen);
                led_to(&before, &after, status, Some(reason::RESOLVED), None);
            }
        }
        let after = see(&before, &observed(O::Paid));
        led_to(&before, &after, S::Paid, None, Some(EventType::Paid));
        assert!(after.event.as_ref().unwrap().late);
        let after = see(&before, &wrong_sum(O::Paid));
        led_to(&before, &after, S::Review, AMOUNT, Some(EventType::Review));

        // The person had seen the money and decided otherwise.
        let shown = see(&settled(S::Review), &observed(O::Paid)).row;
        let before = hear(&shown, resolution(verdict)).row;
        for seen in [observed(O::Open), observed(O::Paid), wrong_sum(O::Paid)] {
            let after = see(&before, &seen);
            led_to(&before, &after, status, Some(reason::RESOLVED), None);
        }
    }
}

#[test]
fn late_means_after_the_end_was_recorded() {
    let expired = see(&settled(S::Pending), &observed(O::Expired)).row;
    assert_eq!(expired.facts.ended_at, Some(LOOK_AT));
    let wrong_sum = ObservedOrder {
        amount: Some(money("1.01", "USD")),
        ..observed(O::Expired)
    };
    let review = see(&expired, &wrong_sum).row;
    let after = hear(&review, resolution(Verdict::Paid));
    assert!(after.event.unwrap().late);

    // The provider's own times do not make it late: no end was recorded.
    let mut overdue = settled(S::Pending);
    overdue.facts.expires_at = Some(UnixMillis(1));
    let after = see(&overdue, &observed(O::Paid));
    assert!(!after.event.unwrap().late);
}

fn any_observed_order() -> impl Strategy<Value = ObservedOrder> {
    let amounts = prop_oneof![
        5 => Just(Some(money("1.00", "USD"))),
        1 => Just(Some(money("1.01", "USD"))),
        2 => Just(None),
    ];
    let external_ids = prop_oneof![
        4 => Just(None),
        4 => Just(Some("ORD-1".into())),
        1 => Just(Some("ORD-2".into())),
    ];
    let order_ids = prop_oneof![9 => Just("2703383946854401"), 1 => Just("1")];
    let told_sums = prop_oneof![
        6 => Just((None, None)),
        2 => prop::sample::select(vec!["0", "0.40", "1.0", "2.00"]).prop_map(|r| (Some(r), None)),
        1 => prop::sample::select(vec!["0.4", "1.00"]).prop_map(|r| (Some("1.00"), Some(r))),
        1 => Just((None, Some("0.40"))),
    ];
    let payments = prop_oneof![
        Just(None),
        Just(Some(Payment::default())),
        Just(Some(payment())),
        Just(Some(Payment {
            fee: None,
            ..payment()
        })),
    ];
    (
        prop::sample::select(OrderState::ALL.to_vec()),
        amounts,
        external_ids,
        order_ids,
        payments,
        (told_sums, any::<bool>()),
    )
        .prop_map(
            |(state, amount, external_id, order_id, payment, shown)| ObservedOrder {
                money: ObservedMoney {
                    sums: sums(shown.0.0, shown.0.1),
                    is_test: shown.1,
                    transactions: Vec::new(),
                },
                amount,
                external_id,
                order_id: order_id.into(),
                payment,
                ..observed(state)
            },
        )
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let observed_at = LOOK_AT;
    prop_oneof![
        12 => any_observed_order().prop_map(Observation::Seen),
        2 => any_observed_order().prop_map(Observation::Created),
        2 => any::<bool>().prop_map(move |counts| Observation::NotFound { observed_at, counts }),
        1 => Just(Observation::CreationRefused { observed_at, reason: "no".into() }),
        1 => Just(Observation::LinkMade { observed_at, pay_link: "https://t.me/$1".into() }),
        1 => Just(Observation::CreationConflict { observed_at }),
        1 => Just(Observation::CreationTooLate { observed_at }),
        1 => prop::sample::select(vec![Verdict::Paid, Verdict::Expired, Verdict::Cancelled])
            .prop_map(resolution),
    ]
}

/// Whether the observation alone can cause an event of this kind: law 1, checked without `decide`.
fn says_so(observation: &Observation, said: EventType, status: Status) -> bool {
    let (state, sums) = match observation {
        Observation::Seen(observed) => (observed.state, &observed.money.sums),
        Observation::Ledger(_)
        | Observation::NothingUntil { .. }
        | Observation::ExternalIdInvalid { .. }
        | Observation::TransactionTaken { .. } => {
            return false;
        }
        Observation::LinkMade { .. } => return said == EventType::Pending,
        Observation::Created(_) => return matches!(said, EventType::Pending | EventType::Review),
        Observation::NotFound { counts, .. } => return *counts && said == EventType::Review,
        Observation::CreationRefused { .. } | Observation::CreationTooLate { .. } => {
            return said == EventType::Rejected;
        }
        Observation::CreationConflict { .. } => return said == EventType::Review,
        Observation::Resolved { .. } => return status == S::Review,
    };
    match said {
        EventType::Paid | EventType::Detailed => state == O::Paid,
        EventType::Expired => state == O::Expired,
        EventType::Cancelled => state == O::Cancelled,
        EventType::Pending => {
            let waits = matches!(state, O::Open | O::Partial | O::Authorized);
            waits || status == S::Requested
        }
        EventType::Partial => state == O::Partial || sums.received.is_some(),
        EventType::Further => sums.received.is_some(),
        EventType::Refunded => sums.refunded.is_some() || state == O::Paid,
        EventType::Review => true,
        EventType::Rejected => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn laws_hold_over_any_history(
        from in prop::sample::select(vec![S::Requested, S::Pending]),
        history in prop::collection::vec(any_observation(), 1..40),
    ) {
        let mut row = invoice(from);
        row.version = 0;
        let mut said = Vec::new();
        for observation in history {
            let after = hear(&row, observation.clone());
            is_sound(&row, &after)?;
            for event in events(&after) {
                prop_assert!(says_so(&observation, event.event_type, row.facts.status));
                said.push(event.clone());
            }
            let again = hear(&after.row, observation.clone());
            // Created, then observed again: the only repetition that may change something, as
            // pending comes first.
            if row.facts.status != S::Requested {
                prop_assert_eq!(again.event, None, "the same observation twice");
                prop_assert!(!again.facts_changed);
            }
            if row.facts.status == S::Paid {
                prop_assert_eq!(after.row.facts.status, S::Paid);
            }
            row = *after.row;
        }
        let versions: Vec<i64> = said.iter().map(|event| event.version).collect();
        let dense: Vec<i64> = (1..).take(said.len()).collect();
        prop_assert_eq!(versions, dense);
        for once in [EventType::Paid, EventType::Rejected] {
            prop_assert!(said.iter().filter(|event| event.event_type == once).count() <= 1);
        }
        let mut ids: Vec<_> = said.iter().map(Event::id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), said.len(), "two events with one id");
    }
}
