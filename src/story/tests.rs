use std::time::Duration;

use super::*;
use crate::domain::account::AccountState;
use crate::domain::invoice::{Facts, InvoiceId, PollPlan, Wish};
use crate::domain::state::{Status, reason};

const INSERTED: UnixMillis = UnixMillis(1_795_293_000_000);

fn invoice(status: Status, next_poll_at: Option<i64>) -> Invoice {
    Invoice {
        id: InvoiceId(7),
        account: "default".into(),
        external_id: "ORD-1".into(),
        wish: Wish {
            timeout_s: 900,
            ..Wish::default()
        },
        metadata: None,
        transactions: Vec::new(),
        facts: Facts {
            order_id: Some("1".into()),
            ..Facts::bare(status)
        },
        version: 0,
        created_at: INSERTED,
        updated_at: INSERTED,
        schedule: PollPlan {
            next_poll_at: next_poll_at.map(UnixMillis),
            last_polled_at: Some(INSERTED.plus(Duration::from_mins(1))),
            ..PollPlan::default()
        },
    }
}

fn surroundings(now: UnixMillis) -> Surroundings {
    Surroundings {
        cadence: Cadence::default(),
        account: Configured::Yes,
        accounts: vec!["default".into()],
        record: None,
        daemon_runs: Some(true),
        now,
    }
}

fn rule(invoice: &Invoice) -> &'static str {
    NextPoll::of(invoice, &Cadence::default(), INSERTED, false).rule
}

#[test]
fn each_next_poll_is_explained_by_its_rule() {
    let after = |seconds| Some(INSERTED.plus(Duration::from_secs(seconds)).0);
    assert_eq!(rule(&invoice(Status::Pending, Some(0))), "nudged");
    assert_eq!(rule(&invoice(Status::Pending, Some(1))), "clock_went_back");
    assert_eq!(rule(&invoice(Status::Pending, Some(INSERTED.0))), "new");
    assert_eq!(rule(&invoice(Status::Pending, after(66))), "age");
    assert_eq!(rule(&invoice(Status::Pending, after(901))), "after_expiry");
    assert_eq!(rule(&invoice(Status::Expired, after(930))), "after_expiry");
    assert_eq!(rule(&invoice(Status::Paid, None)), "never");
    let mut failing = invoice(Status::Pending, after(66));
    failing.schedule.failures = 3;
    assert_eq!(rule(&failing), "failures");
}

#[test]
fn a_cancelled_order_counts_its_fixed_polls_from_the_end() {
    let ended = INSERTED.plus(Duration::from_mins(1));
    let mut row = invoice(
        Status::Cancelled,
        Some(ended.plus(Duration::from_secs(30)).0),
    );
    row.facts.ended_at = Some(ended);
    let next = NextPoll::of(&row, &Cadence::default(), INSERTED, false);
    assert_eq!(next.rule, "after_expiry");
    assert!(next.text.contains("30 s after the end"), "{}", next.text);
}

#[test]
fn every_status_and_reason_has_a_sentence() {
    let reasons = [
        reason::AMOUNT_MISMATCH,
        reason::EXTERNAL_ID_MISMATCH,
        reason::CREATE_CONFLICT,
        reason::ORDER_NOT_FOUND,
        reason::UNKNOWN_STATUS,
        reason::CONTRADICTION,
        reason::UNKNOWN_ACCOUNT,
        reason::TOO_LATE,
        reason::RESOLVED,
        "their own \u{1b}[2J words",
    ];
    for status in Status::ALL {
        for reason in reasons {
            let mut row = invoice(status, Some(0));
            row.facts.reason = Some(reason.into());
            let told = status::holds(&row, &surroundings(INSERTED));
            assert!(told[0].starts_with(status.as_str()), "{told:?}");
            assert!(told[1].ends_with('.') && !told[1].contains('\u{1b}'));
        }
    }
}

#[test]
fn each_obstacle_comes_with_advice() {
    let row = invoice(Status::Pending, Some(INSERTED.0));
    let mut around = surroundings(INSERTED.plus(Duration::from_secs(90)));
    around.daemon_runs = Some(false);
    around.account = Configured::Unknown;
    around.record = Some(AccountRecord {
        name: "default".into(),
        provider: "walletpay".into(),
        state: AccountState::KeyRefused,
        state_since: INSERTED,
        is_key_refused: false,
        failures: None,
        resume_at: None,
        last_success_at: None,
        last_failure_at: None,
        last_error: Some("401".into()),
        list: ListRecord::default(),
    });
    let story = Story::of(&row, &around);
    let kinds: Vec<_> = story.obstacles.iter().map(|o| o.kind).collect();
    assert_eq!(
        kinds,
        ["no_daemon", "unknown_account", "key_refused", "overdue"]
    );
    let advice = story.advice.join(" ");
    for part in ["payrecond run", "[[account]]", "Replace the API key"] {
        assert!(advice.contains(part), "{part} is missing in {advice}");
    }
    around.daemon_runs = Some(true);
    let settled = invoice(Status::Paid, None);
    assert!(Story::of(&settled, &around).obstacles.is_empty());
}

#[test]
fn a_stopped_account_resumes_at_once_when_its_time_has_passed() {
    let row = invoice(Status::Pending, Some(INSERTED.0));
    let mut around = surroundings(INSERTED.plus(Duration::from_mins(6)));
    let mut told = |resume_at| {
        around.record = Some(AccountRecord {
            name: "default".into(),
            provider: "walletpay".into(),
            state: AccountState::Paused,
            state_since: INSERTED,
            is_key_refused: false,
            failures: None,
            resume_at: Some(resume_at),
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
            list: ListRecord::default(),
        });
        Story::of(&row, &around).obstacles[0].text.clone()
    };
    for passed in [1, 6] {
        let text = told(INSERTED.plus(Duration::from_mins(passed)));
        assert!(text.starts_with("Account default is paused: "), "{text}");
        assert!(text.ends_with("; next request at once."), "{text}");
    }
    let text = told(INSERTED.plus(Duration::from_mins(9)));
    assert!(text.ends_with("; next request in 3 min."), "{text}");
}

#[test]
fn a_list_page_since_the_last_poll_is_shown_and_nothing_is_overdue() {
    let after = |seconds| INSERTED.plus(Duration::from_secs(seconds));
    let row = invoice(Status::Pending, Some(after(66).0));
    let mut around = surroundings(after(200));
    let told = |around: &Surroundings| {
        let story = Story::of(&row, around);
        let kinds: Vec<_> = story.obstacles.iter().map(|o| o.kind).collect();
        (story.seen.join(" "), kinds)
    };
    let record = |read_at, caught_up_at| AccountRecord {
        name: "default".into(),
        provider: "walletpay".into(),
        state: AccountState::Working,
        state_since: INSERTED,
        is_key_refused: false,
        failures: None,
        resume_at: None,
        last_success_at: Some(read_at),
        last_failure_at: None,
        last_error: None,
        list: ListRecord {
            total: Some(512),
            read_at: Some(read_at),
            read_from: Some(100),
            read_to: Some(300),
            caught_up_at: Some(caught_up_at),
            ..ListRecord::default()
        },
    };
    around.record = Some(record(after(70), after(71)));
    let (seen, kinds) = told(&around);
    let at = format!("last covered by a list page at {}", after(70));
    assert!(seen.contains(&at), "{seen}");
    assert!(seen.contains("(positions 101–300 of 512)"), "{seen}");
    assert!(kinds.is_empty());
    let next = Story::of(&row, &around).next_poll.text;
    assert!(next.starts_with("Covered by list pages"), "{next}");
    // The plan is later than the reading.
    for (read, caught_up) in [(65, 65), (70, 65)] {
        around.record = Some(record(after(read), after(caught_up)));
        let (seen, kinds) = told(&around);
        assert!(!seen.contains("last covered"), "{read} {caught_up}: {seen}");
        assert_eq!(kinds, ["overdue"]);
    }
    // Nothing was overdue later, though the last page shown is older.
    around.record = Some(record(after(30), after(71)));
    let (seen, kinds) = told(&around);
    assert!(!seen.contains("last covered") && kinds.is_empty(), "{seen}");
}

#[test]
fn a_reading_of_a_ledger_covers_invoices_without_an_order() {
    let after = |seconds| INSERTED.plus(Duration::from_secs(seconds));
    let mut row = invoice(Status::Pending, Some(after(66).0));
    row.facts.order_id = None;
    let mut around = surroundings(after(200));
    let mut record = account_record(ListRecord {
        read_at: Some(after(70)),
        caught_up_at: Some(after(67)),
        ..ListRecord::default()
    });
    around.record = Some(record.clone());
    let story = Story::of(&row, &around);
    let seen = story.seen.join(" ");
    let at = format!(
        "last covered by a reading of the account's list at {}",
        after(70)
    );
    assert!(seen.contains(&at), "{seen}");
    assert!(story.obstacles.is_empty());
    // It was planned after the reading began.
    record.list.caught_up_at = Some(after(65));
    around.record = Some(record);
    let story = Story::of(&row, &around);
    assert_eq!(story.obstacles[0].kind, "overdue");
}

fn account_record(list: ListRecord) -> AccountRecord {
    AccountRecord {
        name: "default".into(),
        provider: "telegram-stars".into(),
        state: AccountState::Working,
        state_since: INSERTED,
        is_key_refused: false,
        failures: None,
        resume_at: None,
        last_success_at: list.read_at,
        last_failure_at: None,
        last_error: None,
        list,
    }
}

#[test]
fn a_poll_due_since_the_last_reading_is_not_overdue_yet() {
    let after = |seconds| INSERTED.plus(Duration::from_secs(seconds));
    let row = invoice(Status::Pending, Some(after(66).0));
    let list = ListRecord {
        read_at: Some(after(65)),
        caught_up_at: Some(after(65)),
        ..ListRecord::default()
    };
    let kinds_at = |now| {
        let mut around = surroundings(now);
        around.record = Some(AccountRecord {
            name: "default".into(),
            provider: "walletpay".into(),
            state: AccountState::Working,
            state_since: INSERTED,
            is_key_refused: false,
            failures: None,
            resume_at: None,
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
            list: list.clone(),
        });
        let story = Story::of(&row, &around);
        let kinds: Vec<_> = story.obstacles.iter().map(|o| o.kind).collect();
        kinds
    };
    assert!(kinds_at(after(80)).is_empty());
    assert_eq!(kinds_at(after(100)), ["overdue"]);
}

#[test]
fn an_order_that_the_provider_does_not_have_is_explained() {
    let mut row = invoice(Status::Pending, Some(INSERTED.0));
    row.facts.not_found_since = Some(INSERTED);
    let around = surroundings(INSERTED.plus(Duration::from_mins(2)));
    let story = Story::of(&row, &around);
    assert!(story.holds[0].contains("it has no order with this id"));
    assert!(story.advice[0].starts_with("Compare order_id"));
}

#[test]
fn a_passed_deadline_is_explained_for_orders_and_ledgers() {
    let mut row = invoice(Status::Pending, Some(INSERTED.0));
    let around = surroundings(INSERTED.plus(Duration::from_hours(1)));
    let told = status::holds(&row, &around).remove(0);
    assert!(told.contains("has not said yet"), "{told}");
    row.facts.order_id = None;
    let told = status::holds(&row, &around).remove(0);
    assert!(
        told.contains("begun after the deadline and deadline_grace"),
        "{told}"
    );
}

#[test]
fn a_creation_that_waits_for_a_valid_key_is_explained() {
    let mut row = invoice(Status::Requested, Some(INSERTED.0));
    row.facts.order_id = None;
    row.facts.create_sent_at = Some(INSERTED);
    let mut around = surroundings(INSERTED.plus(Duration::from_mins(1)));
    around.record = Some(AccountRecord {
        state: AccountState::KeyRefused,
        ..account_record(ListRecord::default())
    });
    let told = status::holds(&row, &around).remove(0);
    assert!(told.contains("the order does not exist yet"), "{told}");
    assert!(told.contains("(too_late)"), "{told}");
}
