//! A used shop: the content of a fixture, produced by the program itself.

use std::sync::Arc;
use std::time::Duration;

use payrecond::clock::{Clock as _, ManualClock, SystemClock};
use payrecond::jobs::retention::Retention;
use payrecond::sandbox::{Fault, FaultKind, NewOrder, Operation, SimulatedPayment};
use payrecond::store::Database as _;
use sqlx::sqlite::SqliteConnection;

use super::dump::ask;
use crate::faults::program;
use crate::shop::Shop;

/// Orders in order of creation: the sandbox derives their ids from it, so another sandbox has the
/// same orders again.
const ORDERS: &[&str] = &[
    "PAID",
    "UNREAD",
    "EXPIRED",
    "CANCELLED",
    "LATE",
    "OPEN",
    "WRONG-SUM",
    "RESOLVED",
    "DELETED",
    "NOBODYS",
    "UNSEEN",
    "NEW",
];
/// The last one is created by the daemon.
const MADE_BEFORE: usize = ORDERS.len() - 1;

/// Each invoice and its final status.
pub const ENDED_AS: &str = "CANCELLED cancelled,EXPIRED expired,GHOST pending,LATE paid,NEW pending,OPEN pending,PAID paid,REFUSED rejected,RESOLVED cancelled,UNREAD paid,UNSEEN pending,WAITING requested,WRONG-SUM review";
pub const STATUSES: &str = "SELECT group_concat(external_id || ' ' || status) FROM (SELECT * FROM invoices WHERE external_id <> 'FOLLOWED' ORDER BY external_id)";

/// New in schema 2: an order followed by its external id, money with and without an invoice.
const SINCE_SCHEMA_2: &[(&str, &str)] = &[
    (
        "SELECT status || (order_id IS NULL) FROM invoices WHERE external_id = 'FOLLOWED'",
        "pending1",
    ),
    (
        "SELECT group_concat(transaction_id || direction || (invoice_id IS NULL)) FROM (SELECT * FROM transactions ORDER BY transaction_id)",
        "T-1in0,T-2in1,T-3out0",
    ),
];

/// As the daemon writes them.
const TRANSACTIONS: &str = "
    INSERT INTO transactions (account, transaction_id, direction, invoice_id, external_id, amount,
                              currency, is_net, status, happened_at, seen_at, daemon_writes)
    SELECT 'default', column1, column2, (SELECT id FROM invoices WHERE external_id = column3), column3,
           '1.00', 'USD', 0, 'succeeded', created_at, created_at + 1, 1
      FROM (VALUES ('T-1', 'in', 'PAID'), ('T-2', 'in', 'NOBODY'), ('T-3', 'out', 'PAID')),
           (SELECT created_at FROM invoices WHERE external_id = 'PAID')";

/// The orders of the scene, in a new sandbox.
pub fn make_orders(shop: &Shop) {
    for name in ORDERS {
        make_order(shop, name);
    }
}

fn make_order(shop: &Shop, name: &str) {
    // The one that the daemon creates has the amount of its invoice.
    let amount = if name == "NEW" { "1.50" } else { "1.00" };
    let order = NewOrder::simple(name, amount, "USD");
    shop.world.create(&order).unwrap();
}

pub fn pay(shop: &Shop, name: &str) {
    shop.world.pay(name, &SimulatedPayment::default()).unwrap();
}

/// The changes at the provider.
pub fn end_orders(shop: &Shop) {
    for name in ["PAID", "UNREAD", "LATE", "DELETED"] {
        pay(shop, name);
    }
    shop.world.expire("EXPIRED", false).unwrap();
    shop.world.cancel("CANCELLED", false).unwrap();
}

/// Plays it. The shop's database is closed afterwards.
pub async fn play() -> Shop {
    let shop = Shop::as_shipped().await;
    for name in &ORDERS[..MADE_BEFORE] {
        make_order(&shop, name);
    }
    first_day(&shop).await;
    audited_and_resolved(&shop).await;
    lost_creation(&shop).await;
    retention(&shop).await;
    // While no daemon runs.
    drop_in(&shop, "UNSEEN", "NULL, NULL").await;
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('FOLLOWED', 'pending')")
        .await;
    shop.execute(TRANSACTIONS).await;
    shop.execute("UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'OPEN'")
        .await;
    shop
}

async fn drop_in(shop: &Shop, name: &str, amount: &str) {
    let id = shop.world.order(name).unwrap().id;
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, order_id, amount, currency, metadata)
         VALUES ('{name}', '{id}', {amount}, '{{\"cart\": \"{name}\"}}')"
    ))
    .await;
}

async fn request(shop: &Shop, name: &str, options: &str) {
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, amount, currency, description, timeout_seconds, options)
         VALUES ('{name}', '1.50', 'USD', 'Six eggs', 7200, '{options}')"
    ))
    .await;
}

const OPTIONS: &str = r#"{"customerTelegramUserId": 42}"#;

async fn is(shop: &Shop, name: &str, status: &str) {
    let sql = format!("SELECT status FROM invoices WHERE external_id = '{name}'");
    shop.until(&sql, status).await;
}

/// Every status but `requested`, two consumers, an unknown account, a deleted invoice.
async fn first_day(shop: &Shop) {
    for name in [
        "PAID",
        "EXPIRED",
        "CANCELLED",
        "LATE",
        "OPEN",
        "DELETED",
        "UNREAD",
    ] {
        drop_in(shop, name, "'1.00', 'USD'").await;
    }
    for name in ["WRONG-SUM", "RESOLVED"] {
        drop_in(shop, name, "'2.00', 'USD'").await;
    }
    shop.execute(
        "INSERT INTO invoices (account, external_id, order_id) VALUES ('ghost', 'GHOST', '77')",
    )
    .await;
    shop.execute("INSERT INTO consumers (name) VALUES ('bot')")
        .await;
    let daemon = shop.start();
    request(shop, "NEW", OPTIONS).await;
    is(shop, "NEW", "pending").await;
    request(shop, "REFUSED", r#"{"colour": "red"}"#).await;
    is(shop, "REFUSED", "rejected").await;
    pay(shop, "PAID");
    is(shop, "PAID", "paid").await;
    shop.execute("UPDATE consumers SET acked_seq = 2 WHERE name = 'bot'")
        .await;
    shop.world.expire("LATE", false).unwrap();
    is(shop, "LATE", "expired").await;
    end_others(shop).await;
    let flagged = "SELECT reason FROM invoices WHERE external_id = 'GHOST'";
    shop.until(flagged, "unknown_account").await;
    crate::faults::kill::all_delivered(shop).await;
    // With the order that was created: the knowledge of the list is written every ten seconds.
    let total = "SELECT list_total FROM accounts WHERE name = 'default'";
    shop.until(total, "12").await;
    daemon.stop().await;
    shop.execute("DELETE FROM invoices WHERE external_id = 'DELETED'")
        .await;
}

async fn end_others(shop: &Shop) {
    for name in ["UNREAD", "LATE", "DELETED"] {
        pay(shop, name);
    }
    shop.world.expire("EXPIRED", false).unwrap();
    shop.world.cancel("CANCELLED", false).unwrap();
    for (name, status) in [
        ("UNREAD", "paid"),
        ("LATE", "paid"),
        ("DELETED", "paid"),
        ("EXPIRED", "expired"),
        ("CANCELLED", "cancelled"),
        ("WRONG-SUM", "review"),
        ("RESOLVED", "review"),
    ] {
        is(shop, name, status).await;
    }
}

/// A finding of the audit, and a person's decision.
async fn audited_and_resolved(shop: &Shop) {
    program::write_config(shop);
    for (arguments, code) in [
        (&["audit"][..], 3),
        (
            &[
                "resolve",
                "RESOLVED",
                "--as",
                "cancelled",
                "--note",
                "sent back",
            ],
            0,
        ),
    ] {
        let mut command = program::program(shop.folder.path());
        let said = command.args(arguments).output().await.unwrap();
        assert_eq!(said.status.code(), Some(code), "{said:?}");
    }
}

/// An order that is still to be created, because the provider failed.
async fn lost_creation(shop: &Shop) {
    let failing = Fault::new(FaultKind::Status500).on(Operation::Create);
    shop.world.set_faults(vec![failing]);
    request(shop, "WAITING", OPTIONS).await;
    let daemon = shop.start();
    let failed = "SELECT failures > 0 FROM invoices WHERE external_id = 'WAITING'";
    shop.until(failed, "1").await;
    crate::faults::kill::all_delivered(shop).await;
    daemon.stop().await;
    shop.answer_again();
}

/// Events read by all consumers are deleted.
async fn retention(shop: &Shop) {
    let store = Arc::new(crate::store::open(&shop.database()).await.unwrap());
    let two_days_on = SystemClock::new().now().plus(Duration::from_hours(48));
    let retention = Retention {
        store: store.clone(),
        clock: Arc::new(ManualClock::at(two_days_on)),
        outbox: Some(Duration::from_hours(1)),
        invoices: None,
        transactions: None,
    };
    assert_eq!(retention.run_once().await.unwrap().events, 2);
    store.close().await;
}

/// What a complete fixture must contain.
pub async fn is_complete(connection: &mut SqliteConnection, schema: usize) {
    let newer = if schema < 2 { &[] } else { SINCE_SCHEMA_2 };
    for &(sql, expected) in newer {
        assert_eq!(ask(connection, sql).await, [expected], "{sql}");
    }
    for (sql, expected) in [
        (STATUSES, ENDED_AS),
        ("SELECT group_concat(name) FROM consumers", "bot,stdout"),
        ("SELECT group_concat(external_id) FROM used_keys", "DELETED"),
        (
            "SELECT group_concat(name || ' ' || state) FROM accounts",
            "default working,ghost unknown",
        ),
        ("SELECT value FROM meta WHERE key = 'outbox_floor'", "3"),
        ("SELECT min(seq) FROM outbox", "3"),
        ("SELECT count(*) > 0 FROM findings", "1"),
        (
            "SELECT count(*) FROM outbox WHERE payload LIKE '%\"late\":true%'",
            "1",
        ),
        (
            "SELECT list_total FROM accounts WHERE name = 'default'",
            "12",
        ),
        (
            "SELECT next_poll_at FROM invoices WHERE external_id = 'OPEN'",
            "0",
        ),
        (
            "SELECT create_sent_at > 0 FROM invoices WHERE external_id = 'WAITING'",
            "1",
        ),
    ] {
        assert_eq!(ask(connection, sql).await, [expected], "{sql}");
    }
}
