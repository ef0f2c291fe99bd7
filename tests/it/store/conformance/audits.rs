//! What an audit needs of a store.

use super::{ACCOUNT, Backend, LATER, NOW, decision, known, looked, paid, sure};
use payrecond::domain::audit::{self, AuditRow, Discrepancy};
use payrecond::domain::invoice::{ExternalId, Invoice, InvoiceId};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedMoney, ObservedOrder, OrderState};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use payrecond::store::Written;

pub(super) async fn suite<B: Backend>(make: &impl AsyncFn() -> B) {
    orders_and_invoices_are_paired(&make().await).await;
    invoices_are_walked_in_order(&make().await).await;
    a_finding_is_recorded_once(&make().await).await;
    an_audit_decision_needs_the_row_as_it_was_read(&make().await).await;
    unknown_orders_are_adopted_once(&make().await).await;
    an_invalid_order_does_not_prevent_others_from_being_adopted(&make().await).await;
    labels_are_adopted_once_and_wait_for_money(&make().await).await;
}

fn order(order_id: &str, external_id: &str) -> ObservedOrder {
    ObservedOrder {
        order_id: order_id.into(),
        state: OrderState::Open,
        provider_status: "ACTIVE".into(),
        observed_at: NOW,
        told_at: None,
        bare_amount: None,
        external_id: Some(external_id.into()),
        number: None,
        amount: Some(Money {
            value: "2.50".into(),
            currency: "USD".into(),
        }),
        created_at: Some(UnixMillis(1)),
        expires_at: None,
        paid_at: None,
        pay_link: None,
        direct_pay_link: None,
        payment: None,
        money: ObservedMoney::default(),
    }
}

async fn orders_and_invoices_are_paired(backend: &impl Backend) {
    let store = backend.store();
    for (account, name, order) in [
        (ACCOUNT, "by-order", Some("1")),
        (ACCOUNT, "by-name", None),
        ("second", "of-others", Some("3")),
    ] {
        assert!(backend.insert(account, name, order).await);
    }
    sure(
        store
            .commit(&[paid(&known(backend, "by-order").await)], LATER)
            .await,
    );
    let orders = [
        order("9", "nobody"),
        order("1", "another name"),
        order("2", "by-name"),
        order("3", "of-others"),
        // Its name is that of an invoice which follows another order.
        order("8", "by-order"),
    ];
    let mut rows = sure(store.audit_rows_of(&ACCOUNT.into(), &orders).await);
    rows.sort_by_key(|(place, _)| *place);
    let found: Vec<(usize, &str)> = rows
        .iter()
        .map(|(place, row)| (*place, row.external_id.0.as_str()))
        .collect();
    assert_eq!(found, [(1, "by-order"), (2, "by-name")]);
    let (_, row) = &rows[0];
    assert_eq!((row.status, row.lacks_details), (Status::Paid, true));
    assert_eq!(row.updated_at, LATER);
    let by_id = sure(store.audit_rows_by_id(&[row.id, InvoiceId(4711)]).await);
    assert_eq!(by_id, std::slice::from_ref(row));
}

async fn invoices_are_walked_in_order(backend: &impl Backend) {
    let store = backend.store();
    for name in ["A", "B", "C"] {
        backend.insert(ACCOUNT, name, Some(name)).await;
        backend.insert("second", name, Some(name)).await;
    }
    let walk = async |after: InvoiceId, limit: u32| -> Vec<AuditRow> {
        sure(store.audit_rows_after(&ACCOUNT.into(), after, limit).await)
    };
    let first = walk(InvoiceId(0), 2).await;
    let names = |rows: &[AuditRow]| -> Vec<String> {
        rows.iter().map(|row| row.external_id.0.clone()).collect()
    };
    assert_eq!(names(&first), ["A", "B"]);
    let rest = walk(first[1].id, 2).await;
    assert_eq!(names(&rest), ["C"]);
    assert!(walk(rest[0].id, 2).await.is_empty());
}

async fn a_finding_is_recorded_once(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("1")).await;
    let before = known(backend, "A").await;
    let rows = sure(store.audit_rows_by_id(&[before.id]).await);
    let missing = audit::missing(&ACCOUNT.into(), &rows[0]);
    let unknown = audit::unknown(&ACCOUNT.into(), &order("9", "nobody"));
    let say = async |findings: &[Discrepancy]| {
        sure(store.record_findings("walletpay", findings, LATER).await)
    };
    assert_eq!(say(std::slice::from_ref(&missing)).await, 1);
    assert_eq!(say(&[missing.clone(), unknown.clone()]).await, 1);
    assert_eq!(say(&[missing, unknown]).await, 0);
    let events = sure(store.events_after(0, 9).await);
    let types: Vec<bool> = events
        .iter()
        .map(|event| event.payload.contains(audit::EVENT_TYPE))
        .collect();
    assert_eq!(types, [true, true]);
    let after = known(backend, "A").await;
    assert_eq!(after.version, before.version + 1, "one event of its own");
    assert_eq!(after.facts, before.facts);
    let stale = decision(&before, OrderState::Paid);
    let written = sure(store.commit(&[stale], LATER).await);
    assert_eq!(written, [Written::Stale]);
}

async fn an_audit_decision_needs_the_row_as_it_was_read(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let aside = async |read: &Invoice| {
        let mut expired = decision(read, OrderState::Expired);
        expired.row.schedule.next_poll_at = read.schedule.next_poll_at;
        sure(store.commit_audit_decision(&expired, LATER).await)
    };
    let first = known(backend, "A").await;
    sure(store.commit(&[looked(&first, LATER)], NOW).await);
    let looked_at = known(backend, "A").await;
    assert_eq!(aside(&first).await, Written::Stale, "the plan has changed");
    sure(
        store
            .commit(&[decision(&looked_at, OrderState::Open)], NOW)
            .await,
    );
    assert_eq!(aside(&looked_at).await, Written::Stale, "facts have");
    let read = known(backend, "A").await;
    assert_eq!((read.version, read.facts.status), (0, Status::Pending));
    backend.nudge("A").await;
    assert_eq!(aside(&read).await, Written::Yes { seq: Some(1) });
    let after = known(backend, "A").await;
    assert_eq!((after.version, after.facts.status), (1, Status::Expired));
    assert_eq!(after.schedule.polls, read.schedule.polls);
    assert_eq!(after.schedule.next_poll_at, Some(UnixMillis(0)), "nudged");
    assert_eq!(aside(&read).await, Written::Stale, "so has the version");
}

async fn unknown_orders_are_adopted_once(backend: &impl Backend) {
    let store = backend.store();
    backend.insert(ACCOUNT, "here", Some("1")).await;
    let mut nameless = order("4", "");
    nameless.external_id = None;
    let orders = [
        order("1", "other"),
        order("2", "here"),
        order("3", "new"),
        nameless,
    ];
    assert_eq!(
        sure(store.adopt(&ACCOUNT.into(), &orders).await),
        ["3".into()]
    );
    let taken = known(backend, "new").await;
    assert_eq!(taken.facts.order_id, Some("3".into()));
    assert_eq!(taken.facts.status, Status::Pending);
    assert_eq!(taken.facts.amount, orders[2].amount);
    assert!(taken.schedule.next_poll_at.is_some(), "due at once");
    assert!(sure(store.adopt(&ACCOUNT.into(), &orders).await).is_empty());
}

async fn an_invalid_order_does_not_prevent_others_from_being_adopted(backend: &impl Backend) {
    let store = backend.store();
    let mut lower_case = order("4", "lower case");
    lower_case.amount = Some(Money {
        value: "2.50".into(),
        currency: "usd".into(),
    });
    let orders = [
        order("1", "first"),
        order("2", "two\nlines"),
        order("3", " "),
        lower_case,
        order("5", &"long".repeat(64)),
        order("6", "last"),
    ];
    let taken = sure(store.adopt(&ACCOUNT.into(), &orders).await);
    assert_eq!(taken, ["1".into(), "6".into()]);
    for name in ["first", "last"] {
        assert!(backend.read(name).await.is_some(), "{name}");
    }
    assert!(backend.read("lower case").await.is_none());
}

async fn labels_are_adopted_once_and_wait_for_money(backend: &impl Backend) {
    let (store, account) = (backend.store(), ACCOUNT.into());
    backend.insert(ACCOUNT, "used", Some("1")).await;
    let labels = ["new", "used", "two\nlines", "last"].map(ExternalId::from);
    let taken = sure(store.adopt_labels(&account, &labels).await);
    assert_eq!(taken, ["new".into(), "last".into()]);
    let row = known(backend, "new").await;
    assert_eq!(row.facts.status, Status::Pending);
    assert_eq!((row.facts.order_id, row.facts.amount), (None, None));
    assert!(row.schedule.next_poll_at.is_some());
    assert!(sure(store.adopt_labels(&account, &labels).await).is_empty());
}
