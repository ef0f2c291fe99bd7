//! What every store must do, on any database. A backend joins with one line: it passes `suite` a
//! function that creates stores, and `suite` panics at the first law that does not hold.

mod audits;
mod money;
mod pages;

use async_trait::async_trait;

use payrecond::domain::account::{AccountState, FailureRun};
use payrecond::domain::decide::{Decision, decide};
use payrecond::domain::invoice::{AccountName, Invoice};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{Observation, ObservedMoney, ObservedOrder, OrderState};
use payrecond::domain::state::{Status, reason};
use payrecond::domain::time::UnixMillis;
use payrecond::store::{
    AccountRecord, FeedFailure, ListRecord, QueuePlace, Reports, Store, StoreError, Written,
};

/// A store under test, and programs that use the same database.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The store.
    fn store(&self) -> &dyn Store;
    /// What people and pages ask of the same store.
    fn reports(&self) -> &dyn Reports;
    /// A program inserts an invoice for an existing order; None = to be created.
    async fn insert(&self, account: &str, external_id: &str, order_id: Option<&str>) -> bool;
    /// A program requests a poll at once.
    async fn nudge(&self, external_id: &str);
    /// A program withdraws an invoice; returns whether it could.
    async fn withdraw(&self, external_id: &str) -> bool;
    /// Whether writes to other databases may show as a change.
    fn sees_foreign_changes(&self) -> bool {
        false
    }
    /// The invoice, in whatever state.
    async fn read(&self, external_id: &str) -> Option<Invoice>;
}

/// The time of the suite, at most a year after its rows were inserted.
const NOW: UnixMillis = UnixMillis(4_000_000_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + 60_000);
pub(super) const ACCOUNT: &str = "default";

/// Checks every law for a backend, each on a new store of `make`.
///
/// # Panics
/// At the first law that does not hold.
pub async fn suite<B: Backend>(make: impl AsyncFn() -> B) {
    a_batch_is_written_whole(&make().await).await;
    a_stale_decision_writes_nothing(&make().await).await;
    a_stale_decision_takes_no_seq(&make().await).await;
    a_refused_row_costs_only_itself(&make().await).await;
    a_nudge_since_the_read_survives(&make().await).await;
    due_returns_one_account_and_nothing_early(&make().await).await;
    a_creation_that_was_sent_is_not_withdrawn(&make().await).await;
    consumers_move_forward_only(&make().await).await;
    events_wait_for_every_consumer(&make().await).await;
    the_last_failure_of_a_feed_is_kept_until_it_delivers(&make().await).await;
    a_new_consumer_begins_where_events_are_kept(&make().await).await;
    final_invoices_go_and_their_keys_stay(&make().await).await;
    unknown_accounts_are_flagged_until_they_are_known(&make().await).await;
    plans_too_far_ahead_are_corrected(&make().await).await;
    accounts_are_recorded_repeatedly(&make().await).await;
    a_refused_key_is_remembered_while_nobody_knows_the_account(&make().await).await;
    changes_are_noticed(&make().await).await;
    facts_learned_without_an_event_are_kept(&make().await).await;
    pages::suite(&make).await;
    audits::suite(&make).await;
    money::suite(&make).await;
}

async fn a_batch_is_written_whole(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B", "C"] {
        assert!(backend.insert(ACCOUNT, name, Some(name)).await);
    }
    let rows = all_due(backend, ACCOUNT).await;
    let decisions = [paid(&rows[0]), looked(&rows[1], LATER), paid(&rows[2])];
    let written = sure(store.commit(&decisions, NOW).await);
    assert_eq!(
        written,
        [yes(Some(1)), yes(None), yes(Some(2))],
        "seq in the order of the batch"
    );
    let row = known(backend, "A").await;
    assert_eq!((row.facts.status, row.version), (Status::Paid, 1));
    assert_eq!(row.facts, decisions[0].row.facts, "all facts are kept");
    assert_eq!(row.schedule.next_poll_at, None);
    let row = known(backend, "B").await;
    assert_eq!((row.facts.status, row.version), (Status::Pending, 0));
    assert_eq!(row.schedule, decisions[1].row.schedule);
    let events = sure(store.events_after(0, 10).await);
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2]);
    assert!(events[0].subject.ends_with(".default.paid"));
    assert!(events[0].payload.contains(r#""sequence":"1""#));
    assert_eq!(events[1].event_id, id_of(&decisions[2]));
    assert_eq!(sure(store.events_after(0, 1).await).len(), 1, "limit");
    assert_eq!(sure(store.events_after(1, 10).await), events[1..]);
    assert_eq!(sure(store.first_seq().await), 1);
    assert!(sure(store.commit(&[], NOW).await).is_empty());
}

async fn a_stale_decision_writes_nothing(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("A")).await;
    backend.insert(ACCOUNT, "B", Some("B")).await;
    let rows = all_due(backend, ACCOUNT).await;
    let decision = paid(&rows[0]);
    sure(store.commit(std::slice::from_ref(&decision), NOW).await);
    let before = known(backend, "A").await;
    // The same again, a poll in progress, and a new decision beside them.
    let late = [decision, looked(&rows[0], LATER), paid(&rows[1])];
    let written = sure(store.commit(&late, LATER).await);
    assert_eq!(written[..2], [Written::Stale, Written::Stale]);
    assert!(matches!(written[2], Written::Yes { seq: Some(_) }));
    assert_eq!(known(backend, "A").await, before);
    assert_eq!(sure(store.events_after(0, 10).await).len(), 2);
    assert!(backend.withdraw("A").await, "a paid invoice may be deleted");
    let gone = sure(store.commit(&[looked(&before, LATER)], LATER).await);
    assert_eq!(gone, [Written::Stale], "the invoice is gone");
}

async fn a_stale_decision_takes_no_seq(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B", "C"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    let rows = all_due(backend, ACCOUNT).await;
    let [a, b, c] = [paid(&rows[0]), paid(&rows[1]), paid(&rows[2])];
    let first = sure(store.commit(std::slice::from_ref(&b), NOW).await);
    assert_eq!(first, [yes(Some(1))]);
    let written = sure(store.commit(&[a, b.clone(), c], NOW).await);
    assert_eq!(
        written,
        [yes(Some(2)), Written::Stale, yes(Some(3))],
        "no gap"
    );
    assert_eq!(sure(store.commit(&[b], NOW).await), [Written::Stale]);
    let seqs: Vec<i64> = sure(store.events_after(0, 10).await)
        .iter()
        .map(|event| event.seq)
        .collect();
    assert_eq!(seqs, [1, 2, 3]);
}

async fn a_refused_row_costs_only_itself(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B", "C"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    let rows = all_due(backend, ACCOUNT).await;
    let mut impossible = paid(&rows[1]);
    impossible.row.facts.status = Status::Rejected;
    let written = sure(
        store
            .commit(&[paid(&rows[0]), impossible, paid(&rows[2])], NOW)
            .await,
    );
    assert!(matches!(written[0], Written::Yes { seq: Some(_) }));
    assert!(matches!(&written[1], Written::Refused(why) if !why.is_empty()));
    assert!(matches!(written[2], Written::Yes { seq: Some(_) }));
    assert_eq!(known(backend, "B").await, rows[1], "untouched");
    assert_eq!(sure(store.events_after(0, 10).await).len(), 2);
}

async fn a_nudge_since_the_read_survives(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B", "C", "D", "E"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    let expired = decision(&known(backend, "E").await, OrderState::Expired);
    sure(store.commit(&[expired], NOW).await);
    backend.nudge("C").await;
    let mut rows = Vec::new();
    for name in ["A", "B", "C", "D", "E"] {
        rows.push(known(backend, name).await);
    }
    for name in ["A", "B", "D", "E"] {
        backend.nudge(name).await;
    }
    let mut ended = decision(&rows[3], OrderState::Expired);
    ended.row.schedule.next_poll_at = None;
    let mut last_look = looked(&rows[4], LATER);
    last_look.row.schedule.next_poll_at = None;
    let decisions = [
        looked(&rows[0], LATER),
        paid(&rows[1]),
        looked(&rows[2], LATER),
        ended,
        last_look,
    ];
    let written = sure(store.commit(&decisions, NOW).await);
    assert!(written.iter().all(|w| matches!(w, Written::Yes { .. })));
    let next = async |name: &str| known(backend, name).await.schedule.next_poll_at;
    assert_eq!(next("A").await, Some(UnixMillis(0)), "asked for meanwhile");
    assert_eq!(next("B").await, None, "paid: there is nothing to poll");
    assert_eq!(next("C").await, Some(LATER), "the nudge was taken up");
    for ended in ["D", "E"] {
        assert_eq!(next(ended).await, Some(UnixMillis(0)), "the last poll");
    }
}

async fn due_returns_one_account_and_nothing_early(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("A")).await;
    backend.insert("second", "B", Some("A")).await;
    assert_eq!(named(&all_due(backend, ACCOUNT).await), ["A"]);
    assert_eq!(named(&all_due(backend, "second").await), ["B"]);
    assert!(all_due(backend, "third").await.is_empty());
    let row = known(backend, "A").await;
    sure(store.commit(&[paid(&row)], NOW).await);
    let start = QueuePlace::default();
    let due = store.due_after(&ACCOUNT.into(), start, LATER, 9).await;
    assert_eq!(sure(due), [], "paid is never polled again");
}

async fn a_creation_that_was_sent_is_not_withdrawn(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B"] {
        backend.insert(ACCOUNT, name, None).await;
    }
    let rows = all_due(backend, ACCOUNT).await;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    assert!(backend.withdraw("B").await);
    let marked = sure(store.mark_creations_sent(&ids, NOW).await);
    let a = known(backend, "A").await;
    assert_eq!(marked, [a.id], "the one withdrawn is not there");
    assert_eq!(a.facts.create_sent_at, Some(NOW));
    assert!(!backend.withdraw("A").await);
    let again = sure(store.mark_creations_sent(&[a.id], LATER).await);
    assert_eq!(again, [a.id]);
    let first = known(backend, "A").await.facts.create_sent_at;
    assert_eq!(first, Some(NOW), "the first time counts");
    backend.insert(ACCOUNT, "C", Some("C")).await;
    let made = known(backend, "C").await;
    let marked = sure(store.mark_creations_sent(&[made.id], NOW).await);
    assert!(marked.is_empty(), "its order exists");
    assert_eq!(known(backend, "C").await, made);
}

async fn consumers_move_forward_only(backend: &impl Backend) {
    let store = backend.store();
    say(backend, 5).await;
    assert_eq!(sure(store.consumer("bot").await), 0, "at the beginning");
    sure(store.acknowledge("bot", 3).await);
    sure(store.acknowledge("bot", 3).await);
    sure(store.acknowledge("bot", 2).await);
    assert_eq!(sure(store.consumer("bot").await), 3);
    sure(store.consumer("other").await);
    let consumers = sure(store.consumers().await);
    let lag: Vec<_> = consumers
        .iter()
        .map(|c| (c.name.as_str(), c.acked_seq, c.unread))
        .collect();
    assert_eq!(lag, [("bot", 3, 2), ("other", 0, 5)]);
    assert_eq!(consumers[0].oldest_unread_at, Some(NOW));
    sure(store.acknowledge("bot", 5).await);
    let consumers = sure(store.consumers().await);
    assert_eq!(consumers[0].oldest_unread_at, None);
}

async fn the_last_failure_of_a_feed_is_kept_until_it_delivers(backend: &impl Backend) {
    let store = backend.store();
    let recorded = async |consumer| sure(backend.reports().feed_record(consumer).await).failure;
    assert_eq!(recorded("nats").await, None, "nothing failed yet");
    // A feed that has always delivered records it too.
    sure(store.record_feed_failure("nats", None).await);
    assert_eq!(recorded("nats").await, None);
    let mut failure = FeedFailure {
        since: NOW,
        error: r#"stream "PAYMENTS": full, 1 GB"#.into(),
    };
    for error in [failure.error.clone(), "no server".into()] {
        failure.error = error;
        sure(store.record_feed_failure("nats", Some(&failure)).await);
        assert_eq!(recorded("nats").await.as_ref(), Some(&failure));
    }
    assert_eq!(recorded("stdout").await, None, "of another consumer");
    sure(store.record_feed_failure("nats", None).await);
    assert_eq!(recorded("nats").await, None, "it delivers again");
}

async fn events_wait_for_every_consumer(backend: &impl Backend) {
    let store = backend.store();
    say(backend, 6).await;
    sure(store.consumer("slow").await);
    sure(store.consumer("fast").await);
    sure(store.acknowledge("fast", 6).await);
    assert_eq!(sure(store.prune_outbox(LATER, 10).await), 0);
    sure(store.acknowledge("slow", 4).await);
    assert_eq!(sure(store.prune_outbox(NOW, 10).await), 0, "too young");
    assert_eq!(sure(store.prune_outbox(LATER, 3).await), 3, "limit");
    assert_eq!(sure(store.first_seq().await), 4);
    assert_eq!(sure(store.prune_outbox(LATER, 3).await), 1);
    assert_eq!(sure(store.prune_outbox(LATER, 3).await), 0);
    assert_eq!(sure(store.first_seq().await), 5);
    sure(store.acknowledge("slow", 6).await);
    assert_eq!(sure(store.prune_outbox(LATER, 9).await), 2);
    assert_eq!(sure(store.first_seq().await), 7, "the next to come");
    backend.insert(ACCOUNT, "next", Some("next")).await;
    let row = known(backend, "next").await;
    let written = sure(store.commit(&[paid(&row)], NOW).await);
    assert_eq!(written, [yes(Some(7))], "no number is given out twice");
}

async fn a_new_consumer_begins_where_events_are_kept(backend: &impl Backend) {
    let store = backend.store();
    say(backend, 3).await;
    assert_eq!(sure(store.prune_outbox(LATER, 2).await), 2);
    // Its position is before the gap.
    assert_eq!(sure(store.consumer("new").await), 0);
    assert_eq!(sure(store.prune_outbox(LATER, 9).await), 0, "not read yet");
    sure(store.acknowledge("new", 3).await);
    assert_eq!(sure(store.prune_outbox(LATER, 9).await), 1);
    assert_eq!(sure(store.first_seq().await), 4);
}

async fn final_invoices_go_and_their_keys_stay(backend: &impl Backend) {
    let store = backend.store();
    say(backend, 3).await;
    backend.insert(ACCOUNT, "open", Some("open")).await;
    assert_eq!(sure(store.prune_invoices(NOW, 10).await), 0, "too young");
    assert_eq!(sure(store.prune_invoices(LATER, 2).await), 2, "limit");
    assert_eq!(sure(store.prune_invoices(LATER, 2).await), 1);
    assert_eq!(sure(store.prune_invoices(LATER, 2).await), 0);
    assert!(backend.read("open").await.is_some());
    assert!(!backend.insert(ACCOUNT, "E0", Some("new")).await);
    assert!(!backend.insert(ACCOUNT, "new", Some("E0")).await);
    assert!(backend.insert("second", "E0", Some("E0")).await);
    assert_eq!(sure(store.events_after(0, 9).await).len(), 3);
}

async fn unknown_accounts_are_flagged_until_they_are_known(backend: &impl Backend) {
    let store = backend.store();
    let known_names: [AccountName; 1] = [ACCOUNT.into()];
    let both: [AccountName; 2] = [ACCOUNT.into(), "second".into()];
    backend.insert(ACCOUNT, "A", Some("A")).await;
    backend.insert("second", "B", Some("B")).await;
    backend.insert("second", "C", None).await;
    let reason_of = async |name: &str| known(backend, name).await.facts.reason;
    let flag = Some(reason::UNKNOWN_ACCOUNT.to_owned());
    for _ in 0..2 {
        let unknown = sure(store.flag_unknown_accounts(&known_names, NOW).await);
        assert_eq!(unknown, ["second".into()]);
    }
    assert_eq!(reason_of("A").await, None);
    assert_eq!(
        [reason_of("B").await, reason_of("C").await],
        [flag.clone(), flag.clone()]
    );
    let flagged = known(backend, "B").await;
    assert_eq!(
        (flagged.facts.status, flagged.version),
        (Status::Pending, 0)
    );
    backend.insert("second", "D", Some("D")).await;
    sure(store.flag_unknown_accounts(&known_names, NOW).await);
    assert_eq!(reason_of("D").await, flag, "one that came later");
    sure(store.record_account(&record("second", "working")).await);
    assert!(sure(store.flag_unknown_accounts(&both, LATER).await).is_empty());
    for name in ["A", "B", "C", "D"] {
        assert_eq!(reason_of(name).await, None, "{name}: known again");
    }
    let unknown = sure(store.flag_unknown_accounts(&known_names, LATER).await);
    assert_eq!(unknown, ["second".into()]);
    assert_eq!(
        [reason_of("B").await, reason_of("D").await],
        [flag.clone(), flag]
    );
}

async fn plans_too_far_ahead_are_corrected(backend: &impl Backend) {
    let store = backend.store();
    for name in ["near", "far"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    backend.insert("second", "ended", Some("ended")).await;
    let (near, far) = (UnixMillis(NOW.0 + 100), UnixMillis(NOW.0 + 101));
    let ended = known(backend, "ended").await;
    let mut expired = decision(&ended, OrderState::Expired);
    expired.row.schedule.next_poll_at = Some(far);
    let plans = [
        looked(&known(backend, "near").await, near),
        looked(&known(backend, "far").await, far),
        expired,
    ];
    sure(store.commit(&plans, NOW).await);
    let horizons = [(Status::Pending, near), (Status::Expired, LATER)];
    assert_eq!(
        sure(store.clamp_future_plans(&horizons, UnixMillis(1), 9).await),
        1
    );
    assert_eq!(named(&all_due(backend, ACCOUNT).await), ["far"]);
    assert_eq!(
        sure(store.clamp_future_plans(&horizons, UnixMillis(1), 9).await),
        0
    );
    assert_eq!(
        sure(
            store
                .clamp_future_plans(&[(Status::Expired, near)], UnixMillis(1), 9)
                .await
        ),
        1
    );
    assert_eq!(
        sure(store.clamp_future_plans(&[], UnixMillis(1), 9).await),
        0
    );
}

async fn accounts_are_recorded_repeatedly(backend: &impl Backend) {
    let store = backend.store();
    for state in ["working", "paused", "working"] {
        sure(store.record_account(&record(ACCOUNT, state)).await);
    }
    let unknown = store.flag_unknown_accounts(&[ACCOUNT.into()], NOW).await;
    assert!(sure(unknown).is_empty());
    let run = FailureRun {
        since: NOW,
        requests: 3,
    };
    for failures in [None, Some(run), None] {
        let written = AccountRecord {
            failures,
            ..record(ACCOUNT, "working")
        };
        sure(store.record_account(&written).await);
        let read = sure(store.account(&ACCOUNT.into()).await);
        assert_eq!(read.map(|read| read.failures), Some(failures));
    }
}

/// The next daemon that has the account must not use a refused key, even if no daemon had it for a while.
async fn a_refused_key_is_remembered_while_nobody_knows_the_account(backend: &impl Backend) {
    let store = backend.store();
    assert!(backend.insert(ACCOUNT, "A", Some("A")).await);
    let run = FailureRun {
        since: NOW,
        requests: 1,
    };
    let read = async || sure(store.account(&ACCOUNT.into()).await).unwrap();
    for failures in [None, Some(run)] {
        let refused = AccountRecord {
            failures,
            is_key_refused: true,
            ..record(ACCOUNT, "key_refused")
        };
        sure(store.record_account(&refused).await);
        assert_eq!(
            (read().await.failures, read().await.is_key_refused),
            (failures, true)
        );
        let unknown = store.flag_unknown_accounts(&["other".into()], NOW).await;
        assert_eq!(sure(unknown), [ACCOUNT.into()]);
        assert_eq!(read().await.state, AccountState::Unknown);
        assert!(read().await.is_key_refused);
        let unknown = store.flag_unknown_accounts(&[ACCOUNT.into()], NOW).await;
        assert!(sure(unknown).is_empty());
        assert!(
            read().await.is_key_refused,
            "known again, and not yet asked"
        );
    }
    sure(store.record_account(&record(ACCOUNT, "working")).await);
    assert!(!read().await.is_key_refused);
}

async fn changes_are_noticed(backend: &impl Backend) {
    let store = backend.store();
    let before = sure(store.change_counter().await);
    if !backend.sees_foreign_changes() {
        assert_eq!(sure(store.change_counter().await), before);
    }
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let inserted = sure(store.change_counter().await);
    assert_ne!(inserted, before, "a program's write");
    sure(store.consumer("bot").await);
    assert_ne!(sure(store.change_counter().await), inserted, "our own");
}

async fn facts_learned_without_an_event_are_kept(backend: &impl Backend) {
    let store = backend.store();
    for (name, order) in [("known", Some("1")), ("requested", None)] {
        assert!(backend.insert(ACCOUNT, name, order).await);
    }
    let before = known(backend, "known").await;
    // Not recorded before, but a person can bring about this state.
    let mut learned = known(backend, "requested").await;
    learned.facts.order_id = Some("2".into());
    let decisions = [
        decision(&before, OrderState::Open),
        Decision {
            based_on_version: 0,
            based_on_next_poll_at: learned.schedule.next_poll_at,
            row: Box::new(learned.clone()),
            facts_changed: true,
            order_learned: true,
            event: None,
            earlier: Vec::new(),
            transactions: Vec::new(),
        },
    ];
    assert!(decisions[0].event.is_none() && decisions[0].facts_changed);
    let written = sure(store.commit(&decisions, LATER).await);
    assert_eq!(written, [yes(None), yes(None)]);
    let after = known(backend, "known").await;
    assert_eq!(after.facts, decisions[0].row.facts);
    assert_eq!((after.version, after.updated_at), (0, LATER));
    assert_eq!(known(backend, "requested").await.facts, learned.facts);
}

/// Writes `count` events, of paid invoices `E0`, `E1` and so on.
async fn say(backend: &impl Backend, count: usize) {
    let mut decisions = Vec::new();
    for number in 0..count {
        let name = format!("E{number}");
        backend.insert(ACCOUNT, &name, Some(&name)).await;
        decisions.push(paid(&known(backend, &name).await));
    }
    sure(backend.store().commit(&decisions, NOW).await);
}

fn decision(row: &Invoice, state: OrderState) -> Decision {
    let observed = ObservedOrder {
        order_id: row.facts.order_id.clone().unwrap_or_else(|| "1".into()),
        state,
        provider_status: format!("{state:?}").to_uppercase(),
        observed_at: NOW,
        told_at: None,
        bare_amount: None,
        external_id: None,
        number: Some("9aeb581c".into()),
        amount: Some(Money {
            value: "1.00".into(),
            currency: "USD".into(),
        }),
        created_at: Some(row.created_at),
        expires_at: Some(LATER),
        paid_at: (state == OrderState::Paid).then_some(NOW),
        pay_link: Some("https://t.me/wallet".into()),
        direct_pay_link: None,
        payment: None,
        money: ObservedMoney::default(),
    };
    decide(row, "walletpay", Observation::Seen(observed))
}

/// The provider reported PAID: final, no more polls.
pub(super) fn paid(row: &Invoice) -> Decision {
    let mut decision = decision(row, OrderState::Paid);
    decision.row.schedule.next_poll_at = None;
    decision
}

/// A poll without a change; the next one at `next`.
fn looked(row: &Invoice, next: UnixMillis) -> Decision {
    let mut after = row.clone();
    after.schedule.next_poll_at = Some(next);
    after.schedule.last_polled_at = Some(NOW);
    after.schedule.polls += 1;
    Decision {
        based_on_version: row.version,
        based_on_next_poll_at: row.schedule.next_poll_at,
        row: Box::new(after),
        facts_changed: false,
        order_learned: false,
        event: None,
        earlier: Vec::new(),
        transactions: Vec::new(),
    }
}

fn record(name: &str, state: &str) -> AccountRecord {
    AccountRecord {
        name: name.into(),
        provider: "walletpay".into(),
        state: AccountState::parse(state).unwrap(),
        state_since: NOW,
        is_key_refused: false,
        failures: None,
        resume_at: None,
        last_success_at: Some(NOW),
        last_failure_at: None,
        last_error: None,
        list: ListRecord::default(),
    }
}

async fn all_due(backend: &impl Backend, account: &str) -> Vec<Invoice> {
    let store = backend.store();
    let start = QueuePlace::default();
    let due = store.due_after(&account.into(), start, NOW, 1000).await;
    let ids: Vec<_> = sure(due).iter().map(|row| row.id).collect();
    let mut rows = sure(store.load(&ids).await);
    rows.sort_by_key(|row| row.id);
    rows
}

pub(super) async fn known(backend: &impl Backend, external_id: &str) -> Invoice {
    let Some(row) = backend.read(external_id).await else {
        panic!("{external_id} is there")
    };
    row
}

fn named(rows: &[Invoice]) -> Vec<&str> {
    rows.iter().map(|row| row.external_id.0.as_str()).collect()
}

fn id_of(decision: &Decision) -> String {
    let event = decision.event.as_ref();
    event
        .map(|event| event.id().to_string())
        .unwrap_or_default()
}

fn yes(seq: Option<i64>) -> Written {
    Written::Yes { seq }
}

fn sure<T>(result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed: {error}"),
    }
}
