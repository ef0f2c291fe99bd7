use super::*;
use crate::domain::invoice::{Facts, PollPlan, Wish};
use crate::domain::money::Money;
use crate::domain::state::Status;

fn row(n: i64) -> DueRow {
    DueRow {
        id: InvoiceId(n),
        external_id: format!("E{n}").as_str().into(),
        order_id: Some(format!("{n}").as_str().into()),
        amount: Some(Money {
            value: "1.00".into(),
            currency: "USD".into(),
        }),
        status: Status::Pending,
        created_at: UnixMillis(1_800_000_000_000 + n * 1000),
        expiry: UnixMillis(1_800_000_900_000),
        next_poll_at: UnixMillis(1_800_000_000_000),
        polled_at: Some(UnixMillis(1_800_000_000_000)),
        unsettled: false,
        fails: false,
        has_error: false,
    }
}

fn ids(schedule: &Schedule, slots: &[u32]) -> Vec<i64> {
    let id = |&slot: &u32| schedule.entry(slot).unwrap().id.0;
    slots.iter().map(id).collect()
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<Entry>() <= 56, "{}", size_of::<Entry>());
}

#[test]
fn a_postponed_entry_is_due_again_once() {
    let mut schedule = Schedule::default();
    for n in 0..100 {
        assert!(schedule.adopt(&row(n), 10).is_some());
        assert!(schedule.adopt(&row(n), 11).is_none(), "adopted once");
    }
    let slots = schedule.due_slots(10).to_vec();
    assert_eq!(slots.len(), 100);
    for &slot in &slots {
        schedule.postpone(slot, 100);
    }
    assert!(schedule.due_slots(99).is_empty() && schedule.is_caught_up());
    for &slot in &slots[..50] {
        schedule.postpone(slot, 200);
    }
    assert_eq!(
        schedule.due_slots(150).len(),
        50,
        "a later plan replaces an earlier"
    );
    for &slot in &slots {
        schedule.postpone(slot, 160);
    }
    assert_eq!(
        schedule.due_slots(160).len(),
        100,
        "so does an earlier one a later"
    );
    assert_eq!(schedule.due_slots(300).len(), 100);
}

#[test]
fn slots_are_reused_and_an_empty_schedule_holds_no_memory() {
    let mut schedule = Schedule::default();
    for n in 0..10 {
        schedule.adopt(&row(n), 0);
    }
    for &slot in &schedule.due_slots(0).to_vec() {
        schedule.postpone(slot, 50);
    }
    for n in 0..5 {
        let slot = schedule.slot_of_order(&n.to_string()).unwrap();
        schedule.remove(slot);
        assert_eq!(schedule.slot_of_order(&n.to_string()), None);
    }
    for n in 20..25 {
        schedule.adopt(&row(n), 10);
    }
    assert_eq!(schedule.due_slots(10).len(), 5);
    assert_eq!(schedule.due_slots(60).len(), 10);
    for n in (5..10).chain(20..25) {
        let slot = schedule.slot_of_order(&n.to_string()).unwrap();
        schedule.remove(slot);
    }
    assert!(schedule.entries.get(0).is_none());
}

#[test]
fn terms_agree_by_value() {
    let schedule = Schedule::default();
    let terms = |id, value, currency| schedule.terms(Some(id), Some((value, currency)));
    assert_eq!(terms("A", "1.0", "TON"), terms("A", "1.00", "GRAM"));
    assert_ne!(terms("A", "1", "TON"), terms("B", "1", "TON"));
    assert_ne!(terms("A", "1", "TON"), schedule.terms(Some("A"), None));
}

#[test]
fn a_nudge_is_due_at_once_and_answered_only_by_later_pages() {
    let mut schedule = Schedule::default();
    schedule.adopt(&row(1), 0);
    let slot = schedule.due_slots(0)[0];
    schedule.postpone(slot, 1000);
    let page = schedule.begin_page();
    let nudged = DueRow {
        next_poll_at: UnixMillis(0),
        ..row(1)
    };
    assert_eq!(schedule.adopt(&nudged, 5), None);
    assert_eq!(schedule.due_slots(5), [slot]);
    let later = schedule.begin_page();
    let entry = schedule.entry(slot).unwrap();
    assert_eq!(entry.kind, EntryKind::Row, "its row has to be written");
    assert!(!entry.is_answered_by(page) && entry.is_answered_by(later));
}

#[test]
fn every_fourth_turn_goes_to_the_longest_overdue() {
    let mut schedule = Schedule::default();
    // The oldest invoices have waited longest.
    for n in 0..8 {
        schedule.adopt(&row(n), 10 + u32::try_from(n).unwrap());
    }
    let turns = schedule.turns(100, 100);
    assert_eq!(ids(&schedule, &turns), [7, 6, 5, 0, 4, 3, 2, 1]);
    let some = schedule.turns(100, 5);
    assert_eq!(ids(&schedule, &some), [7, 6, 5, 0, 4]);
    schedule.count_used_turns(3);
    let later = schedule.turns(100, 1);
    assert_eq!(ids(&schedule, &later), [0], "the fourth turn");
}

#[test]
fn orders_to_be_created_come_first_without_starving_others() {
    let mut schedule = Schedule::default();
    for n in 0..8 {
        let requested = DueRow {
            order_id: None,
            status: Status::Requested,
            ..row(n)
        };
        schedule.adopt(&requested, 20);
    }
    for n in 100..102 {
        schedule.adopt(&row(n), 10);
    }
    let turns = schedule.turns(30, 9);
    assert_eq!(ids(&schedule, &turns), [7, 6, 5, 100, 4, 3, 2, 101, 1]);
}

#[test]
fn an_invoice_that_gets_an_order_id_leaves_no_stale_entry() {
    let mut schedule = Schedule::default();
    let followed = DueRow {
        order_id: None,
        ..row(1)
    };
    let slot = schedule.adopt(&followed, 0).unwrap();
    let turns = schedule.take_turns(&[slot]);
    assert_eq!(turns, [(slot, InvoiceId(1))]);
    let known = invoice(&row(1));
    assert!(
        schedule.follow_rename(slot, &known, 0),
        "it has another name now"
    );
    assert_eq!(schedule.slot_in_list("77", Some("E1")).0, None);
    let renamed = schedule.slot_of(&known).unwrap();
    schedule.release(renamed, true);
    assert!(schedule.is_caught_up() && schedule.count_due(10) == 0);

    let slot = schedule.adopt(&followed, 0);
    assert!(slot.is_some());
    schedule.forget_old_name(&known);
    assert_eq!(schedule.count_due(10), 0);
}

fn invoice(row: &DueRow) -> Invoice {
    let mut facts = Facts::bare(row.status);
    facts.order_id.clone_from(&row.order_id);
    facts.amount.clone_from(&row.amount);
    Invoice {
        id: row.id,
        account: "default".into(),
        external_id: row.external_id.clone(),
        wish: Wish::default(),
        facts,
        transactions: Vec::new(),
        schedule: PollPlan::default(),
        version: 0,
        metadata: None,
        created_at: row.created_at,
        updated_at: row.created_at,
    }
}

#[test]
fn failing_entries_come_last_but_still_get_turns() {
    let mut schedule = Schedule::default();
    for n in 0..8 {
        let failing = DueRow {
            fails: n > 3,
            ..row(n)
        };
        schedule.adopt(&failing, if n == 6 { 10 } else { 20 });
    }
    let turns = schedule.turns(30, 8);
    assert_eq!(ids(&schedule, &turns), [3, 2, 1, 6, 0, 7, 5, 4]);
}

#[test]
fn an_order_created_by_the_shop_is_found_by_its_external_id() {
    let mut schedule = Schedule::default();
    let followed = DueRow {
        order_id: None,
        ..row(1)
    };
    let slot = schedule.adopt(&followed, 0);
    assert_eq!(schedule.slot_in_list("77", Some("E1")).0, slot);
    assert_eq!(schedule.slot_in_list("77", Some("E2")).0, None);
    assert_eq!(schedule.slot_of_order("1"), None);
}

#[test]
fn creations_are_counted_apart_from_what_has_an_order() {
    let mut schedule = Schedule::default();
    let creation = |n| DueRow {
        order_id: None,
        status: Status::Requested,
        ..row(n)
    };
    for n in 0..3 {
        schedule.adopt(&creation(n), 10);
        schedule.adopt(&row(10 + n), 10);
    }
    assert_eq!(schedule.count_due(10), 6);
    assert_eq!(schedule.count_due_with_orders(10), 3);
    let slots = schedule.due_slots(10).to_vec();
    for &slot in &slots {
        schedule.postpone(slot, 100);
    }
    assert_eq!(schedule.count_due_with_orders(10), 0);
    assert_eq!(schedule.count_due_with_orders(100), 3);
    schedule.take_turns(&slots);
    assert_eq!(schedule.count_due_with_orders(100), 0);
    for &slot in &slots {
        schedule.release(slot, false);
    }
    assert_eq!(
        (schedule.count_due(100), schedule.count_due_with_orders(100)),
        (6, 3)
    );
    for &slot in &slots {
        schedule.remove(slot);
    }
    assert_eq!(
        (schedule.count_due(100), schedule.count_due_with_orders(100)),
        (0, 0)
    );
}
