//! Values as languages bind them, and bytes that are not UTF-8.

use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::{MIGRATIONS, SqliteOptions, SqliteStore, migrate, migrate_by};
use payrecond::store::{Database as _, QueuePlace, Store as _};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};

use super::{Scene, connect, drivers};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn values_bound_by_python_are_stored_exactly_or_refused() {
    if !drivers::has_python() {
        assert!(std::env::var_os("CI").is_none(), "CI needs python3");
        eprintln!("python3 is missing here: bound values are not tried");
        return;
    }
    let scene = Scene::set().await;
    let blob = |hex: &str| json!({ "blob": hex });
    // external_id, order_id, amount, currency, timeout_seconds, metadata
    let rows: Vec<(Value, Result<&str, &str>)> = vec![
        (
            json!(["A", "1", null, null, null, null]),
            Ok("A|1|-|86400|-"),
        ),
        (
            json!(["A", 2_703_383_946_854_401_i64, null, null, null, null]),
            Ok("A|2703383946854401|-|86400|-"),
        ),
        (
            json!(["A", 2_703_383_946_854_401.0, null, null, null, null]),
            Err("invoices.order_id: letters"),
        ),
        (
            json!(["A", blob("31"), null, null, null, null]),
            Err("invoices.order_id: letters"),
        ),
        (json!([7, "1", null, null, null, null]), Ok("7|1|-|86400|-")),
        (
            json!([blob("41"), "1", null, null, null, null]),
            Err("invoices.external_id: text"),
        ),
        (
            json!(["", "1", null, null, null, null]),
            Err("invoices.external_id: text"),
        ),
        (
            json!(["a\u{0}b", "1", null, null, null, null]),
            Err("invoices.external_id: no control"),
        ),
        (
            json!(["a\u{85}b", "1", null, null, null, null]),
            Err("invoices.external_id: no control"),
        ),
        (
            json!(["я".repeat(256), "1", null, null, null, null]),
            Err("invoices.external_id: text of 1 to 255"),
        ),
        (
            json!(["🥚 яйца", "1", "1.00", "USD", 60, "{\"a\":\"🥚\"}"]),
            Ok("🥚 яйца|1|1.00|60|{\"a\":\"🥚\"}"),
        ),
        (json!(["A", "1", 1, "USD", 60.0, 5]), Ok("A|1|1|60|5")),
        // JavaScript binds every number this way.
        (
            json!([42.0, "1", null, null, null, null]),
            Err("invoices.external_id: this is how a floating point number is written"),
        ),
        (
            json!([2_703_383_946_854_401.0, "1", null, null, null, null]),
            Err("invoices.external_id: this is how a floating point number is written"),
        ),
        (
            json!(["A", "1", 1.0, "USD", null, null]),
            Err("pass it as text"),
        ),
        (
            json!(["A", "1", 1.5, "USD", null, null]),
            Err("invoices.amount: a plain decimal"),
        ),
        (
            json!(["A", "1", 0.300_000_000_000_000_04, "USD", null, null]),
            Err("pass it as text"),
        ),
        (
            json!(["A", "1", null, null, null, 1.5]),
            Err("invoices.metadata: JSON of at most 32 KiB; pass it as text"),
        ),
        (
            json!(["A", "1", 1e-7, "USD", null, null]),
            Err("invoices.amount: a plain decimal"),
        ),
        (
            json!(["A", "1", 1e22, "USD", null, null]),
            Err("invoices.amount: a plain decimal"),
        ),
        (
            json!(["A", "1", true, "USD", null, null]),
            Ok("A|1|1|86400|-"),
        ),
        (
            json!(["A", "1", null, null, 60.5, null]),
            Err("invoices.timeout_seconds"),
        ),
        (json!(["A", "1", null, null, "60", null]), Ok("A|1|-|60|-")),
        (
            json!(["A", "1", null, null, null, blob("7b7d")]),
            Err("invoices.metadata"),
        ),
        (
            json!(["A", "1", null, null, null, "{\"a\":1}\u{0}"]),
            Err("invoices.metadata"),
        ),
    ];
    let cases: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(number, (params, _))| {
            json!({
                "file": scene.copy(&format!("typed-{number}.db")), "before": "", "params": params,
                "sql": "INSERT INTO invoices (external_id, order_id, amount, currency, timeout_seconds, metadata) VALUES (?, ?, ?, ?, ?, ?)",
                "ask": "SELECT external_id || '|' || order_id || '|' || coalesce(amount, '-') || '|' || timeout_seconds || '|' || coalesce(metadata, '-') FROM invoices ORDER BY id DESC LIMIT 1",
            })
        })
        .collect();
    let outcomes = drivers::run_python(include_str!("attack.py"), &Value::Array(cases));
    for ((params, expected), outcome) in rows.iter().zip(outcomes) {
        match (expected, &outcome) {
            (Ok(row), Ok(given)) => assert_eq!(row, given, "{params}"),
            (Err(message), Err(error)) => assert!(error.contains(message), "{params}: {error}"),
            _ => panic!("{params}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn invalid_utf8_does_not_block_other_invoices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.db");
    // Schema 1 accepted them.
    migrate_by(&path, &MIGRATIONS[..1], UnixMillis(1))
        .await
        .unwrap();
    let mut connection = connect(&path).await;
    for (number, (external_id, metadata)) in [
        ("CAST(x'41a0' AS TEXT)", "NULL"),
        ("CAST(x'e4b841' AS TEXT)", "NULL"),
        ("'odd metadata'", "CAST(x'22ff22' AS TEXT)"),
        ("'even'", "NULL"),
    ]
    .into_iter()
    .enumerate()
    {
        let sql = format!(
            "INSERT INTO invoices (account, external_id, order_id, metadata) VALUES ('odd', {external_id}, 'odd-{number}', {metadata})"
        );
        let inserted = sqlx::query(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        assert!(
            inserted.is_ok() || external_id.contains('x'),
            "{inserted:?}"
        );
    }
    connection.close().await.unwrap();
    migrate(&path, UnixMillis(1)).await.unwrap();
    let options = SqliteOptions::new(path, "payments");
    let store = SqliteStore::open(options).await.unwrap();
    let (start, end) = (QueuePlace::default(), UnixMillis(i64::MAX));
    let due = store.due_after(&"odd".into(), start, end, 100).await;
    let ids: Vec<_> = due.unwrap().iter().map(|row| row.id).collect();
    let due = store.load(&ids).await.unwrap();
    assert!(due.iter().any(|invoice| invoice.external_id.0 == "even"));
    assert!(
        due.iter()
            .any(|invoice| invoice.metadata.as_deref() == Some("\"\u{fffd}\""))
    );
    store.close().await;
}
