//! Sums and transactions: written with their decision, found by label, pruned if they match no
//! invoice.

use super::{ACCOUNT, Backend, LATER, NOW, known, paid, sure};
use payrecond::domain::decide::{Decision, decide};
use payrecond::domain::event::EventType;
use payrecond::domain::invoice::Invoice;
use payrecond::domain::money::Money;
use payrecond::domain::observation::{LedgerObservation, Observation, ObservedMoney, OrderState};
use payrecond::domain::state::{Status, reason};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, Transaction, TransactionStatus};
use payrecond::store::Written;

pub(super) async fn suite<B: Backend>(make: &impl AsyncFn() -> B) {
    transactions_are_written_with_their_decision(&make().await).await;
    a_transaction_comes_with_its_invoice_and_that_of_its_label(&make().await).await;
    a_transaction_of_an_invoice_is_changed_for_no_other(&make().await).await;
    several_events_of_one_observation_are_written_in_order(&make().await).await;
    a_stale_decision_writes_no_transaction(&make().await).await;
    sums_are_kept_without_an_event(&make().await).await;
    unmatched_transactions_wait_for_their_invoice(&make().await).await;
    unmatched_transactions_are_pruned_and_matched_ones_go_with_their_invoice(&make().await).await;
}

fn transaction(id: &str, direction: Direction, value: &str) -> Transaction {
    Transaction {
        id: id.into(),
        direction,
        external_id: Some("A".into()),
        amount: Money {
            value: value.into(),
            currency: "USD".into(),
        },
        is_net: true,
        status: TransactionStatus::Succeeded,
        happened_at: UnixMillis(NOW.0 - 5),
    }
}

fn shown(row: &Invoice, state: OrderState, transactions: &[Transaction]) -> Decision {
    let mut decision = decide(
        row,
        "yoomoney",
        Observation::Ledger(LedgerObservation {
            state,
            provider_status: "success".into(),
            observed_at: NOW,
            paid_at: (state == OrderState::Paid).then_some(NOW),
            payment: None,
            money: ObservedMoney {
                transactions: transactions.to_vec(),
                ..ObservedMoney::default()
            },
        }),
    );
    if decision.row.facts.status == Status::Paid {
        decision.row.schedule.next_poll_at = None;
    }
    decision
}

async fn transactions_are_written_with_their_decision(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let before = known(backend, "A").await;
    assert!(before.transactions.is_empty());
    let mut under_way = transaction("1", Direction::In, "0.40");
    under_way.status = TransactionStatus::InProgress;
    let seen = shown(&before, OrderState::Open, std::slice::from_ref(&under_way));
    sure(store.commit(&[seen], NOW).await);
    let row = known(backend, "A").await;
    assert_eq!(row.transactions, [under_way], "read back as written");
    let partly = shown(
        &row,
        OrderState::Partial,
        &[transaction("1", Direction::In, "0.40")],
    );
    sure(store.commit(std::slice::from_ref(&partly), NOW).await);
    let row = known(backend, "A").await;
    assert_eq!(row.transactions, [transaction("1", Direction::In, "0.40")]);
    assert_eq!(row.facts, partly.row.facts);
    assert_eq!(row.facts.reason.as_deref(), Some(reason::PARTIALLY_PAID));
    let sum = row
        .facts
        .sums
        .received
        .as_ref()
        .map(|sum| sum.value.as_str());
    assert_eq!((row.facts.status, sum), (Status::Pending, Some("0.40")));
}

/// Nobody can tell then which of the two was paid.
async fn a_transaction_comes_with_its_invoice_and_that_of_its_label(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    let mut payment = transaction("1", Direction::In, "1.00");
    payment.external_id = Some("A".into());
    let a = known(backend, "A").await;
    let decision = shown(&a, OrderState::Open, std::slice::from_ref(&payment));
    sure(store.commit(&[decision], NOW).await);
    let named = async |transaction: &Transaction| {
        let shown = std::slice::from_ref(transaction);
        let found = sure(store.match_transactions(&ACCOUNT.into(), shown).await);
        let mut names: Vec<String> = found.into_iter().map(|(_, i)| i.external_id.0).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(named(&payment).await, "A");
    payment.external_id = Some("B".into());
    assert_eq!(named(&payment).await, "A B");
    payment.external_id = Some("C".into());
    assert_eq!(named(&payment).await, "A");
    backend.insert(ACCOUNT, "C", None).await;
    assert_eq!(named(&payment).await, "A C", "without a link yet");
    payment.id = "2".into();
    assert_eq!(named(&payment).await, "");
}

async fn a_transaction_of_an_invoice_is_changed_for_no_other(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    let payment = transaction("1", Direction::In, "1.00");
    let a = known(backend, "A").await;
    let decision = shown(&a, OrderState::Open, std::slice::from_ref(&payment));
    sure(store.commit(&[decision], NOW).await);
    let other = transaction("1", Direction::In, "7.00");
    let nobodys = std::slice::from_ref(&other);
    let account = ACCOUNT.into();
    sure(store.keep_ledger(&account, "test", nobodys, "", NOW).await);
    let kept = std::slice::from_ref(&payment);
    assert_eq!(known(backend, "A").await.transactions, kept);
    let b = known(backend, "B").await;
    let decision = shown(&b, OrderState::Open, nobodys);
    sure(store.commit(&[decision], NOW).await);
    assert_eq!(known(backend, "A").await.transactions, kept);
    assert_eq!(known(backend, "B").await.transactions, []);
}

async fn several_events_of_one_observation_are_written_in_order(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B", "C"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
    }
    let a = known(backend, "A").await;
    let both = [
        transaction("1", Direction::In, "1.00"),
        transaction("1", Direction::Out, "0.25"),
        transaction("2", Direction::Out, "0.25"),
    ];
    let decision = shown(&a, OrderState::Paid, &both);
    assert_eq!(decision.earlier.len(), 2);
    let batch = [
        paid(&known(backend, "B").await),
        decision.clone(),
        paid(&known(backend, "C").await),
    ];
    let written = sure(store.commit(&batch, NOW).await);
    assert!(
        written
            .iter()
            .all(|w| matches!(w, Written::Yes { seq: Some(_) }))
    );
    let row = known(backend, "A").await;
    assert_eq!((row.facts.status, row.version), (Status::Paid, 3));
    assert_eq!(row.facts, decision.row.facts);
    let events = sure(store.events_after(0, 10).await);
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5], "no gap");
    let of_a: Vec<&str> = events
        .iter()
        .filter(|event| event.payload.contains(r#""external_id":"A""#))
        .map(|event| event.subject.rsplit('.').next().unwrap_or_default())
        .collect();
    assert_eq!(of_a, ["paid", "refunded", "refunded"]);
    let last = decision.event.as_ref().map(|event| event.event_type);
    assert_eq!(last, Some(EventType::Refunded));
    let again = sure(store.commit(&[decision], LATER).await);
    assert_eq!(again, [Written::Stale]);
}

async fn a_stale_decision_writes_no_transaction(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let before = known(backend, "A").await;
    let late = shown(
        &before,
        OrderState::Paid,
        &[transaction("1", Direction::In, "1.00")],
    );
    sure(store.commit(&[paid(&before)], NOW).await);
    assert_eq!(sure(store.commit(&[late], NOW).await), [Written::Stale]);
    assert!(known(backend, "A").await.transactions.is_empty());
}

async fn sums_are_kept_without_an_event(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let mut decision = paid(&known(backend, "A").await);
    decision.row.facts.is_test = true;
    let sum = |value: &str| {
        Some(Money {
            value: value.into(),
            currency: "USD".into(),
        })
    };
    decision.row.facts.sums.received = sum("1.00");
    decision.row.facts.sums.refunded = sum("0.50");
    decision.row.facts.sums.refunded_at = Some(NOW);
    sure(store.commit(std::slice::from_ref(&decision), NOW).await);
    let row = known(backend, "A").await;
    assert_eq!(row.facts, decision.row.facts);
    let audited = sure(store.audit_rows_by_id(&[row.id]).await);
    assert_eq!(audited[0].sums, row.facts.sums);
}

async fn unmatched_transactions_wait_for_their_invoice(backend: &impl Backend) {
    let (store, account) = (backend.store(), ACCOUNT.into());
    let payment = transaction("1", Direction::In, "1.00");
    let mut of_others = transaction("2", Direction::In, "9");
    of_others.external_id = Some("Z".into());
    let mut without = transaction("3", Direction::In, "9");
    without.external_id = None;
    // A refund bears the id of its payment, if no label.
    let mut refund = transaction("1", Direction::Out, "1.00");
    refund.external_id = None;
    let all = [payment.clone(), of_others, without, refund.clone()];
    sure(store.keep_ledger(&account, "stars", &all, "", NOW).await);
    sure(store.keep_ledger(&account, "stars", &all, "", LATER).await);
    let label = "A".into();
    let waiting = sure(store.unmatched_transactions(&account, &[&label]).await);
    assert_eq!(waiting, [payment, refund]);
    let elsewhere = sure(
        store
            .unmatched_transactions(&"second".into(), &[&label])
            .await,
    );
    assert!(elsewhere.is_empty());
    backend.insert(ACCOUNT, "A", None).await;
    let row = known(backend, "A").await;
    let settled = shown(&row, OrderState::Paid, &waiting);
    sure(store.commit(&[settled], LATER).await);
    assert_eq!(known(backend, "A").await.transactions, waiting);
    // Reported again without an invoice, it stays the invoice's.
    sure(store.keep_ledger(&account, "stars", &all, "", LATER).await);
    assert_eq!(known(backend, "A").await.transactions, waiting);
    let left = sure(store.unmatched_transactions(&account, &[&label]).await);
    assert!(left.is_empty());
}

async fn unmatched_transactions_are_pruned_and_matched_ones_go_with_their_invoice(
    backend: &impl Backend,
) {
    let (store, account) = (backend.store(), ACCOUNT.into());
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let payment = transaction("1", Direction::In, "1.00");
    let decision = shown(
        &known(backend, "A").await,
        OrderState::Paid,
        std::slice::from_ref(&payment),
    );
    sure(store.commit(&[decision], NOW).await);
    let unmatched: Vec<Transaction> = ["2", "3", "4"]
        .map(|id| transaction(id, Direction::In, "1"))
        .to_vec();
    sure(
        store
            .keep_ledger(&account, "stars", &unmatched, "", NOW)
            .await,
    );
    assert_eq!(sure(store.prune_transactions(NOW, 9).await), 0, "too young");
    assert_eq!(sure(store.prune_transactions(LATER, 2).await), 2, "limit");
    assert_eq!(sure(store.prune_transactions(LATER, 2).await), 1);
    assert_eq!(sure(store.prune_transactions(LATER, 2).await), 0);
    let kept = known(backend, "A").await.transactions;
    assert_eq!(kept, std::slice::from_ref(&payment));
    assert!(backend.withdraw("A").await, "paid");
    sure(
        store
            .keep_ledger(&account, "stars", &[payment], "", LATER)
            .await,
    );
    let label = "A".into();
    let left = sure(store.unmatched_transactions(&account, &[&label]).await);
    assert_eq!(left.len(), 1, "its row was gone with the invoice");
}
