//! `docs/personal-data.md` is tested: its statements run, and leave no data of a customer.

use payrecond::domain::observation::{Observation, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::store::{Database as _, NewInvoice, Reports as _, Store as _};

use crate::cli::{Shop, commit, decided, sql};
use crate::rows::observed_order_of;

const PAGE: &str = include_str!("../../docs/personal-data.md");
/// Used in place of the page's 42: no other bytes of a database look like it.
const CUSTOMER: &str = "7310094411";
const SECRET: &str = "seen-nowhere-else";

/// The page's blocks of SQL, for this customer.
fn statements() -> Vec<String> {
    let blocks = PAGE.split("```sql\n").skip(1);
    let bodies = blocks.map(|rest| rest.split("```").next().unwrap());
    bodies.map(|body| body.replace("42", CUSTOMER)).collect()
}

/// Whether any file of the database contains `words`.
fn is_kept(shop: &Shop, words: &str) -> bool {
    let database = shop.database();
    let files = std::fs::read_dir(database.parent().unwrap()).unwrap();
    files.map(|file| file.unwrap().path()).any(|file| {
        let bytes = std::fs::read(file).unwrap();
        bytes
            .windows(words.len())
            .any(|some| some == words.as_bytes())
    })
}

#[tokio::test]
async fn nothing_is_left_of_an_erased_customer() {
    let shop = Shop::new();
    let store = shop.store().await;
    let new = NewInvoice {
        external_id: "ORD-1".into(),
        order_id: Some("1".into()),
        amount: Some("1.00".into()),
        currency: Some("USD".into()),
        options: Some(format!("{{\"customerTelegramUserId\":{CUSTOMER}}}")),
        metadata: Some(format!("{{\"name\":\"{SECRET}\"}}")),
        ..NewInvoice::default()
    };
    let invoice = store.insert(&new).await.unwrap().unwrap();
    let paid = decided(
        &invoice,
        Observation::Seen(observed_order_of(&invoice, OrderState::Paid)),
    );
    commit(&store, &[paid]).await;
    let [about_invoices, about_events, erase, clean] = &statements()[..] else {
        panic!("the page has other statements");
    };
    assert!(sql(&shop.database(), about_invoices).contains(SECRET));
    assert!(sql(&shop.database(), about_events).contains(SECRET));

    sql(&shop.database(), erase);
    assert_eq!(sql(&shop.database(), about_invoices), "");
    // What retention does once events are old enough.
    store.prune_outbox(UnixMillis(i64::MAX), 100).await.unwrap();
    store.close().await;
    sql(&shop.database(), clean);
    assert!(!is_kept(&shop, CUSTOMER));
    assert!(!is_kept(&shop, SECRET));
    let keys = sql(
        &shop.database(),
        "SELECT external_id, order_id FROM used_keys",
    );
    assert_eq!(keys, "ORD-1|1\n");
}
