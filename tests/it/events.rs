//! Events: the exact JSON that other programs read, and ids that never change.

use payrecond::domain::event::{Event, EventType, subject};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use proptest::prelude::*;
use serde_json::Value;

use crate::rows::{invoice, payment, sums};

const EPOCH: &str = "0b0f9f8e-58a5-4d3a-9d0b-5b7f3b9a4c11";
/// 2026-11-21T20:44:00.123Z
const SEEN_AT: UnixMillis = UnixMillis(1_795_293_840_123);

fn paid_row() -> Invoice {
    let mut row = invoice(Status::Paid);
    row.version = 1;
    row.facts.order_number = Some("9aeb581c".into());
    row.facts.provider_status = Some("PAID".into());
    row.facts.payment = payment();
    row.facts.sums = sums(Some("1.00"), None);
    row.facts.paid_at = Some(UnixMillis(1_795_293_838_000));
    row.facts.expires_at = Some(UnixMillis(1_795_293_900_000));
    row.facts.pay_link = Some("https://t.me/wallet?startattach=wpay_order_1".into());
    row.facts.direct_pay_link =
        Some("https://t.me/wallet/start?startapp=wpay_order-orderId__1".into());
    row
}

fn about(row: &Invoice, event_type: EventType, previous: Status) -> Event {
    Event::about(row, "walletpay", event_type, previous, SEEN_AT)
}

fn paid_payload(row: &Invoice) -> String {
    about(row, EventType::Paid, Status::Pending).payload(42, EPOCH)
}

#[test]
fn the_contracts_example_is_reproduced_exactly() {
    let expected = concat!(
        r#"{"specversion":"1.0","id":"f85f09a0-3414-5fa4-b8f9-3b20afea4d67","#,
        r#""source":"/payrecond/default","type":"payment.paid","subject":"ORD-1","#,
        r#""time":"2026-11-21T20:44:00.123Z","datacontenttype":"application/json","#,
        r#""sequence":"42","epoch":"0b0f9f8e-58a5-4d3a-9d0b-5b7f3b9a4c11","#,
        r#""data":{"account":"default","provider":"walletpay","external_id":"ORD-1","#,
        r#""order_id":"2703383946854401","order_number":"9aeb581c","#,
        r#""status":"paid","previous_status":"pending","late":false,"reason":null,"version":1,"#,
        r#""amount":{"value":"1.00","currency":"USD"},"#,
        r#""payment":{"value":"0.069848094","currency":"TON","fee":"0.000698481","#,
        r#""net":"0.069149613","exchange_rate":"0.0017462023476135017"},"#,
        r#""received":{"value":"1.00","currency":"USD"},"refunded":null,"#,
        r#""transaction_id":null,"test":false,"#,
        r#""provider_status":"PAID","paid_at":"2026-11-21T20:43:58.000Z","#,
        r#""expires_at":"2026-11-21T20:45:00.000Z","observed_at":"2026-11-21T20:44:00.123Z","#,
        r#""pay_link":"https://t.me/wallet?startattach=wpay_order_1","#,
        r#""direct_pay_link":"https://t.me/wallet/start?startapp=wpay_order-orderId__1","#,
        r#""metadata":{}}}"#,
    );
    assert_eq!(paid_payload(&paid_row()), expected);
}

#[test]
fn unknown_values_are_null_and_a_note_appears_only_with_a_decision() {
    let mut row = invoice(Status::Rejected);
    row.facts.order_id = None;
    row.facts.amount = None;
    let event = about(&row, EventType::Rejected, Status::Requested);
    let shown: Value = serde_json::from_str(&event.payload(1, EPOCH)).unwrap();
    for field in [
        "order_id",
        "order_number",
        "reason",
        "amount",
        "payment",
        "received",
        "refunded",
        "transaction_id",
        "provider_status",
        "paid_at",
        "expires_at",
        "pay_link",
        "direct_pay_link",
    ] {
        assert_eq!(shown["data"].get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!(shown["data"].get("note"), None);

    let decided = Event {
        note: Some("asked the payer".into()),
        ..event
    };
    let shown: Value = serde_json::from_str(&decided.payload(1, EPOCH)).unwrap();
    assert_eq!(shown["data"]["note"], "asked the payer");

    let mut row = paid_row();
    row.facts.payment.fee = None;
    let shown: Value = serde_json::from_str(&paid_payload(&row)).unwrap();
    assert_eq!(shown["data"]["payment"]["fee"], Value::Null);
    assert_eq!(shown["data"]["payment"]["net"], "0.069149613");
}

/// Computed with Python: `uuid.uuid5(uuid.UUID("7d9a4a3e-…"), "default\nORD-1\npayment.paid")`, and
/// so on.
#[rustfmt::skip]
const IDS: [(EventType, Status, i64, &str); 17] = [
    (EventType::Paid,      Status::Pending,   1, "f85f09a0-3414-5fa4-b8f9-3b20afea4d67"),
    (EventType::Paid,      Status::Expired,   2, "f85f09a0-3414-5fa4-b8f9-3b20afea4d67"),
    (EventType::Rejected,  Status::Requested, 1, "afa6f7f1-1478-5017-a626-84a1ddcb9bf0"),
    (EventType::Rejected,  Status::Requested, 7, "afa6f7f1-1478-5017-a626-84a1ddcb9bf0"),
    (EventType::Pending,   Status::Requested, 1, "9819bf68-d235-5ec4-8467-71a794383f26"),
    (EventType::Pending,   Status::Review,    3, "c85d9aad-44a0-534a-9b8f-36cd911c5b2b"),
    (EventType::Pending,   Status::Review,    5, "a3b05975-c5fd-5520-8385-d230442da01e"),
    (EventType::Expired,   Status::Pending,   1, "3074bb25-c1ea-5876-9bf4-5c4e1f47a44a"),
    (EventType::Expired,   Status::Review,    4, "e2e53552-1f54-5285-bdc6-82031ca455f8"),
    (EventType::Cancelled, Status::Pending,   1, "5d6efc1c-3bfd-5779-bb6a-8c9a9c7af7ab"),
    (EventType::Review,    Status::Pending,   1, "c43b9b5e-2b57-513e-8e8a-b491e6af4ee5"),
    (EventType::Review,    Status::Review,    2, "06e301b3-be34-5c18-9def-3618edf54dc3"),
    (EventType::Detailed,  Status::Paid,      2, "e7b30f88-6eee-5e25-b751-ce394f553766"),
    (EventType::Partial,   Status::Pending,   1, "4e18079b-b7d1-5d02-88d6-25bd9f83daf1"),
    (EventType::Partial,   Status::Pending,   2, "91a79213-0c6c-5897-b599-0ef660d86d7b"),
    (EventType::Further,   Status::Paid,      7, "cedf9785-e8d2-5154-ab2a-c34c4c9d8db8"),
    (EventType::Refunded,  Status::Paid,      3, "a50b163a-669b-5958-8111-85d3d2431cbc"),
];

/// With a transaction, whatever the version.
#[rustfmt::skip]
const IDS_BY_TRANSACTION: [(EventType, &str, &str); 4] = [
    (EventType::Further,   "T-100", "86455cf3-eb4c-572c-95f7-86b5dbc8b0c0"),
    (EventType::Refunded,  "T-100", "7572fad8-bf69-5b60-b5bd-5a0da01826e5"),
    (EventType::Paid,      "T-100", "f85f09a0-3414-5fa4-b8f9-3b20afea4d67"),
    (EventType::Partial,   "T-100", "4e18079b-b7d1-5d02-88d6-25bd9f83daf1"),
];

#[test]
fn further_money_and_refunds_are_distinguished_by_transaction() {
    for (event_type, transaction, id) in IDS_BY_TRANSACTION {
        let event = Event {
            transaction_id: Some(transaction.into()),
            ..about(&paid_row(), event_type, Status::Pending)
        };
        assert_eq!(event.id().to_string(), id, "{event_type:?}");
        let shown: Value = serde_json::from_str(&event.payload(1, EPOCH)).unwrap();
        assert_eq!(shown["data"]["transaction_id"], transaction);
    }
}

#[test]
fn events_contain_sums_and_test_mode() {
    let mut row = paid_row();
    row.facts.sums = sums(Some("1.00"), Some("0.40"));
    row.facts.is_test = true;
    let event = about(&row, EventType::Refunded, Status::Paid);
    let shown: Value = serde_json::from_str(&event.payload(1, EPOCH)).unwrap();
    let data = &shown["data"];
    assert_eq!(
        data["received"],
        serde_json::json!({"value": "1.00", "currency": "USD"})
    );
    assert_eq!(
        data["refunded"],
        serde_json::json!({"value": "0.40", "currency": "USD"})
    );
    assert_eq!(data["test"], true);
    assert_eq!(data["transaction_id"], Value::Null);
    assert_eq!(shown["type"], "payment.refunded");
}

#[test]
fn ids_match_other_implementations() {
    for (event_type, previous, version, id) in IDS {
        let mut row = paid_row();
        row.version = version;
        let event = about(&row, event_type, previous);
        assert_eq!(event.id().to_string(), id, "{event_type:?} {version}");
    }
}

#[test]
fn an_id_depends_only_on_its_documented_parts() {
    let row = paid_row();
    let id = |row: &Invoice| about(row, EventType::Paid, Status::Pending).id();
    let other = |change: fn(&mut Invoice)| {
        let mut other = row.clone();
        change(&mut other);
        id(&other)
    };
    assert_eq!(
        other(|row| row.account = "second-shop".into()).to_string(),
        "064f0d20-0c0c-5e9f-babd-23297335301a"
    );
    assert_eq!(
        other(|row| row.external_id = "заказ-7".into()).to_string(),
        "62a0f7c5-1ecb-5c8c-800b-21047dbbfcca"
    );
    assert_eq!(other(|row| row.version = 9), id(&row));
    assert_eq!(other(|row| row.facts.order_id = None), id(&row));
    assert_eq!(other(|row| row.metadata = Some("1".into())), id(&row));
    assert_eq!(other(|row| row.facts.payment.value = None), id(&row));
}

#[test]
fn only_paid_can_be_late() {
    let mut row = paid_row();
    row.facts.ended_at = Some(SEEN_AT);
    assert!(about(&row, EventType::Paid, Status::Expired).late);
    assert!(paid_payload(&row).contains(r#""late":true"#));
    for event_type in [EventType::Detailed, EventType::Review, EventType::Expired] {
        assert!(!about(&row, event_type, Status::Expired).late);
    }
    row.facts.ended_at = None;
    assert!(!about(&row, EventType::Paid, Status::Pending).late);
}

#[test]
fn metadata_comes_back_digit_by_digit_on_one_line() {
    let pretty = "{\r\n  \"order\": 12345678901234567890123,\n\t\"rate\": 0.1000000000000000001,\n  \
                  \"text\": \"a\\nb\",\n  \"exp\": 1E400\n}\n";
    let mut row = paid_row();
    row.metadata = Some(pretty.into());
    let payload = paid_payload(&row);
    assert!(!payload.contains(['\n', '\r']));
    assert!(payload.contains(r#""order": 12345678901234567890123,"#));
    assert!(payload.contains(r#""rate": 0.1000000000000000001,"#));
    assert!(payload.contains(r#""text": "a\nb""#));
    assert!(payload.contains(r#""exp": 1E400"#));

    for (given, shown) in [
        (None, r#""metadata":{}}}"#),
        (Some("null"), r#""metadata":null}}"#),
        (Some("[1.10]"), r#""metadata":[1.10]}}"#),
        (Some("\"яйца\""), "\"metadata\":\"яйца\"}}"),
        // Text that an old or lenient SQLite library accepted as JSON.
        (Some("{a:1}"), r#""metadata":"{a:1}"}}"#),
        (Some("{a:\n1}"), r#""metadata":"{a:\n1}"}}"#),
    ] {
        row.metadata = given.map(str::to_owned);
        let payload = paid_payload(&row);
        assert!(payload.ends_with(shown), "{payload}");
    }
}

/// Every JSON number in `value`, by its path.
fn numbers(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(path.to_owned()),
        Value::Array(items) => {
            for item in items {
                numbers(&format!("{path}[]"), item, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                numbers(&format!("{path}.{name}"), field, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn the_version_is_the_only_number() {
    for event_type in [
        EventType::Pending,
        EventType::Paid,
        EventType::Expired,
        EventType::Cancelled,
        EventType::Rejected,
        EventType::Review,
        EventType::Detailed,
        EventType::Partial,
        EventType::Further,
        EventType::Refunded,
    ] {
        let event = about(&paid_row(), event_type, Status::Pending);
        let shown: Value = serde_json::from_str(&event.payload(i64::MAX, EPOCH)).unwrap();
        let mut found = Vec::new();
        numbers("", &shown, &mut found);
        assert_eq!(found, [".data.version"]);
        assert_eq!(shown["sequence"], i64::MAX.to_string());
        assert_eq!(shown["type"], event_type.as_str());
    }
}

#[test]
fn a_subject_ends_in_the_last_word_of_the_type() {
    let account = "second-shop".into();
    assert_eq!(
        subject("payments", &account, EventType::Paid.as_str()),
        "payments.second-shop.paid"
    );
    assert_eq!(
        subject("eu.shop", &account, "audit.discrepancy"),
        "eu.shop.second-shop.discrepancy"
    );
}

proptest! {
    #[test]
    fn any_texts_make_one_line_that_reads_back(
        external_id in any::<String>(),
        reason in any::<String>(),
        metadata in any::<Option<String>>(),
        value in any::<String>(),
        seq in any::<i64>(),
        at in any::<i64>(),
    ) {
        let mut row = paid_row();
        row.external_id = external_id.as_str().into();
        row.facts.reason = Some(reason.clone());
        row.facts.payment.value = Some(value.clone());
        row.facts.paid_at = Some(UnixMillis(at));
        row.metadata = metadata;
        let payload = paid_payload(&row);
        prop_assert!(!payload.contains(['\n', '\r']));
        let shown: Value = serde_json::from_str(&payload).unwrap();
        prop_assert_eq!(&shown["subject"], &external_id);
        prop_assert_eq!(&shown["data"]["reason"], &reason);
        prop_assert_eq!(&shown["data"]["payment"]["value"], &value);
        let numbered = about(&row, EventType::Paid, Status::Pending).payload(seq, EPOCH);
        let shown: Value = serde_json::from_str(&numbered).unwrap();
        prop_assert_eq!(&shown["sequence"], &seq.to_string());
    }
}
