//! What polls by pages of the provider's list need of a store.

use super::{ACCOUNT, Backend, LATER, NOW, all_due, decision, known, looked, paid, record, sure};
use payrecond::domain::invoice::{ExternalId, Invoice, InvoiceId, OrderId};
use payrecond::domain::observation::{OrderState, Payment};
use payrecond::domain::time::UnixMillis;
use payrecond::store::{DueRow, ListRecord, QueuePlace};

pub(super) async fn suite<B: Backend>(make: &impl AsyncFn() -> B) {
    the_queue_is_read_from_position_to_position(&make().await).await;
    new_invoices_are_found_by_their_ids(&make().await).await;
    a_list_continues_where_it_was_left(&make().await).await;
    open_invoices_are_reported(&make().await).await;
    invoices_are_loaded_by_id(&make().await).await;
    orders_find_their_invoices(&make().await).await;
    payments_without_amounts_are_found(&make().await).await;
}

/// Inserts three invoices, planned for `NOW`, `NOW` and `LATER`.
async fn three_planned(backend: &impl Backend) -> Vec<Invoice> {
    for name in ["A", "B", "C"] {
        assert!(backend.insert(ACCOUNT, name, Some(name)).await);
    }
    assert!(backend.insert("second", "other", Some("other")).await);
    let rows = all_due(backend, ACCOUNT).await;
    let plans = [
        looked(&rows[0], NOW),
        looked(&rows[1], NOW),
        looked(&rows[2], LATER),
    ];
    sure(backend.store().commit(&plans, NOW).await);
    rows
}

async fn the_queue_is_read_from_position_to_position(backend: &impl Backend) {
    let rows = three_planned(backend).await;
    let store = backend.store();
    let walk = async |after: QueuePlace, until: UnixMillis, limit: u32| {
        let rows = sure(store.due_after(&ACCOUNT.into(), after, until, limit).await);
        rows.into_iter()
            .map(|row| row.external_id.0)
            .collect::<Vec<String>>()
    };
    let start = QueuePlace::default();
    assert_eq!(walk(start, NOW, 9).await, ["A", "B"]);
    assert_eq!(walk(start, LATER, 9).await, ["A", "B", "C"]);
    assert_eq!(walk(start, LATER, 1).await, ["A"]);
    let place = |at: UnixMillis, row: &Invoice| QueuePlace { at, id: row.id };
    assert_eq!(walk(place(NOW, &rows[0]), LATER, 9).await, ["B", "C"]);
    assert_eq!(walk(place(NOW, &rows[0]), LATER, 1).await, ["B"]);
    assert_eq!(walk(place(NOW, &rows[1]), LATER, 9).await, ["C"]);
    assert!(walk(place(LATER, &rows[2]), LATER, 9).await.is_empty());
    assert_eq!(
        sure(store.next_plan(&ACCOUNT.into(), UnixMillis(0)).await),
        Some(NOW)
    );
    assert_eq!(
        sure(store.next_plan(&ACCOUNT.into(), NOW).await),
        Some(LATER)
    );
    assert_eq!(sure(store.next_plan(&ACCOUNT.into(), LATER).await), None);
}

async fn new_invoices_are_found_by_their_ids(backend: &impl Backend) {
    let rows = three_planned(backend).await;
    let store = backend.store();
    let found = async |id: InvoiceId, limit: u32| {
        sure(store.inserted_after(&ACCOUNT.into(), id, limit).await)
    };
    assert_eq!(names(&found(InvoiceId(0), 9).await), ["A", "B", "C"]);
    assert_eq!(names(&found(rows[0].id, 1).await), ["B"]);
    sure(store.commit(&[paid(&known(backend, "B").await)], NOW).await);
    let left = found(rows[0].id, 9).await;
    assert_eq!(names(&left), ["C"], "a paid one has no plan");
    let (row, of) = (&left[0], known(backend, "C").await);
    assert_eq!((row.id, &row.order_id), (of.id, &of.facts.order_id));
    assert_eq!((row.status, row.next_poll_at), (of.facts.status, LATER));
    assert_eq!(row.created_at, of.created_at);
    assert_eq!(row.expiry, UnixMillis(of.created_at.0 + 86_400_000));
    assert!(row.polled_at.is_some() && !row.unsettled);
    // The expiry of the order takes precedence over the requested one.
    sure(
        store
            .commit(&[decision(&of, OrderState::Unknown)], NOW)
            .await,
    );
    let again = found(rows[1].id, 9).await;
    assert_eq!(again[0].expiry, LATER);
    assert!(again[0].unsettled, "an unknown word must be settled");
}

async fn a_list_continues_where_it_was_left(backend: &impl Backend) {
    let store = backend.store();
    let fresh = sure(store.list_beginning(&ACCOUNT.into()).await);
    assert_eq!((fresh.highest_id, fresh.positions), (InvoiceId(0), None));
    backend.insert(ACCOUNT, "A", Some("A")).await;
    let id = known(backend, "A").await.id;
    let mut account = record(ACCOUNT, "working");
    account.list = ListRecord {
        total: Some(3),
        floor: Some(1),
        positions: Some("where orders stand".into()),
        ..ListRecord::default()
    };
    sure(store.record_account(&account).await);
    sure(store.commit(&[paid(&known(backend, "A").await)], NOW).await);
    assert!(backend.withdraw("A").await);
    let left = sure(store.list_beginning(&ACCOUNT.into()).await);
    assert_eq!(left.highest_id, id, "given once, never again");
    assert_eq!(left.positions.as_deref(), Some("where orders stand"));
    assert_eq!(
        sure(store.list_beginning(&"second".into()).await).positions,
        None
    );
}

async fn open_invoices_are_reported(backend: &impl Backend) {
    let store = backend.store();
    let pending = async |account: &str| sure(store.has_pending(&account.into()).await);
    assert!(!pending(ACCOUNT).await);
    backend.insert("second", "A", Some("A")).await;
    assert!(!pending(ACCOUNT).await && pending("second").await);
    sure(store.commit(&[paid(&known(backend, "A").await)], NOW).await);
    assert!(!pending("second").await, "paid");
}

async fn invoices_are_loaded_by_id(backend: &impl Backend) {
    let rows = three_planned(backend).await;
    let store = backend.store();
    let wanted = [rows[2].id, InvoiceId(4711), rows[0].id];
    let mut loaded = sure(store.load(&wanted).await);
    loaded.sort_by_key(|row| row.id);
    assert_eq!(
        loaded,
        [known(backend, "A").await, known(backend, "C").await]
    );
    let one = sure(store.invoice(rows[1].id).await);
    assert_eq!(one, Some(known(backend, "B").await));
    assert_eq!(sure(store.invoice(InvoiceId(4711)).await), None);
}

async fn orders_find_their_invoices(backend: &impl Backend) {
    let store = backend.store();
    for (account, name, order) in [
        (ACCOUNT, "by-order", Some("1")),
        (ACCOUNT, "by-name", None),
        (ACCOUNT, "paid", Some("3")),
        (ACCOUNT, "paid-in-full", Some("4")),
        ("second", "of-others", Some("5")),
    ] {
        assert!(backend.insert(account, name, order).await, "{name}");
    }
    let mut in_full = paid(&known(backend, "paid-in-full").await);
    in_full.row.facts.payment = Payment {
        value: Some("0.5".into()),
        currency: Some("TON".into()),
        ..Payment::default()
    };
    let both = [paid(&known(backend, "paid").await), in_full];
    sure(store.commit(&both, NOW).await);
    let orders: Vec<(OrderId, ExternalId)> = [
        ("9", "nobody"),
        ("3", "paid"),
        // The order counts, not its external id.
        ("1", "by-name"),
        ("2", "by-name"),
        ("4", "paid-in-full"),
        ("5", "of-others"),
    ]
    .map(|(order, name)| (order.into(), name.into()))
    .into();
    let listed: Vec<(&OrderId, Option<&ExternalId>)> = orders
        .iter()
        .map(|(order, name)| (order, Some(name)))
        .collect();
    let found = sure(store.match_orders(&ACCOUNT.into(), &listed).await);
    let mut found: Vec<(usize, &str)> = found
        .iter()
        .map(|(place, row)| (*place, row.external_id.0.as_str()))
        .collect();
    found.sort_unstable();
    // The external id belongs to another invoice: the caller that judges the pair sees which order
    // it is.
    assert_eq!(
        found,
        [(1, "paid"), (2, "by-name"), (2, "by-order"), (3, "by-name")]
    );
    let ids: Vec<OrderId> = orders.into_iter().map(|(order, _)| order).collect();
    let whole = sure(store.invoices_of_orders(&ACCOUNT.into(), &ids).await);
    let whole: Vec<(usize, &str)> = whole
        .iter()
        .map(|(place, row)| (*place, row.external_id.0.as_str()))
        .collect();
    let by_order = [(1, "paid"), (2, "by-order"), (4, "paid-in-full")];
    assert_eq!(whole, by_order, "whatever their status");
}

async fn payments_without_amounts_are_found(backend: &impl Backend) {
    let store = backend.store();
    for (account, name) in [
        (ACCOUNT, "A"),
        (ACCOUNT, "B"),
        (ACCOUNT, "in-full"),
        (ACCOUNT, "open"),
        ("second", "of-others"),
    ] {
        assert!(backend.insert(account, name, Some(name)).await);
    }
    let mut in_full = paid(&known(backend, "in-full").await);
    in_full.row.facts.payment.value = Some("0.5".into());
    let others = paid(&known(backend, "of-others").await);
    let first = paid(&known(backend, "A").await);
    sure(store.commit(&[in_full, others, first], NOW).await);
    sure(
        store
            .commit(&[paid(&known(backend, "B").await)], LATER)
            .await,
    );
    let lacking = async |since: UnixMillis, limit: u32| {
        sure(store.without_amounts(&ACCOUNT.into(), since, limit).await)
    };
    let [a, b] = [known(backend, "A").await, known(backend, "B").await];
    let both = [("B".into(), b.created_at), ("A".into(), a.created_at)];
    assert_eq!(lacking(UnixMillis(0), 9).await, both);
    assert_eq!(lacking(UnixMillis(0), 1).await, both[..1]);
    assert_eq!(lacking(NOW, 9).await, both[..1]);
}

fn names(rows: &[DueRow]) -> Vec<&str> {
    rows.iter().map(|row| row.external_id.0.as_str()).collect()
}
