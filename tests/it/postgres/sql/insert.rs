//! What an INSERT is refused for, under every conflict clause, and what it is not.

use super::{As, PgScene, translated};
use crate::schema::refusals::{BROKEN, DAEMONS_OWN, NO_MONEY};

const CLAUSES: &[&str] = &[
    "",
    " ON CONFLICT DO NOTHING",
    " ON CONFLICT (account, external_id) DO NOTHING",
    " ON CONFLICT (account, external_id) DO UPDATE SET metadata = excluded.metadata",
];

/// Refused by PostgreSQL's own types before a trigger sees them.
const BY_TYPE: &[(&str, &str)] = &[
    ("'A', '1', '1h'", "invalid input syntax for type integer"),
    ("'A', '1', ''", "invalid input syntax for type integer"),
    (
        "5000, 'A', '1'",
        "cannot insert a non-DEFAULT value into column",
    ),
    (
        "-1, 'A', '1'",
        "cannot insert a non-DEFAULT value into column",
    ),
];

/// Numbers that SQLite has as floats and PostgreSQL exactly, or rounds.
const EXACT_HERE: &[&str] = &["'A', 27033839468544010000", "'A', '1', 60.5", "1e-7"];

#[tokio::test]
async fn an_invalid_row_is_refused_under_every_conflict_clause() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let mut wrong = Vec::new();
    for (columns, values, message) in BROKEN {
        let Some(values) = translated(values).filter(|_| !columns.contains("rowid")) else {
            continue;
        };
        if EXACT_HERE.contains(&values.as_str()) {
            continue;
        }
        let of_type = BY_TYPE.iter().find(|(broken, _)| {
            *broken == values && (!broken.ends_with("''") || columns.ends_with("timeout_seconds"))
        });
        let message = of_type.map_or(*message, |(_, message)| message);
        for clause in CLAUSES {
            let sql = format!("INSERT INTO invoices ({columns}) VALUES ({values}){clause}");
            wrong.extend(scene.refuses(&sql, message).await);
        }
    }
    let mut plain = Vec::new();
    for amount in NO_MONEY
        .iter()
        .filter(|amount| !EXACT_HERE.contains(amount))
    {
        if let Some(amount) = translated(amount) {
            plain.push((
                "amount, currency",
                format!("{amount}, 'USD'"),
                "invoices.amount: a plain decimal",
            ));
        }
    }
    for currency in ["''", "'usd'", "'US D'", "'ABCDEFGHIJKLMNOPQ'", "5"] {
        let message = if currency == "5" {
            "invoices.amount: must"
        } else {
            "invoices.currency: a code"
        };
        let amount = if currency == "5" { "NULL" } else { "'1'" };
        plain.push(("amount, currency", format!("{amount}, {currency}"), message));
    }
    for column in DAEMONS_OWN {
        plain.push((
            column,
            "7".to_owned(),
            "are written by the daemon: leave them out",
        ));
    }
    for (columns, values, message) in plain {
        let sql = format!(
            "INSERT INTO invoices (external_id, order_id, {columns}) VALUES ('A', '1', {values}) ON CONFLICT DO NOTHING"
        );
        wrong.extend(scene.refuses(&sql, message).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a_valid_row_is_stored_unchanged() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let whole = "SELECT account || '|' || timeout_seconds || '|' || status || '|' || version || '|' || polls
        || '|' || (created_at = updated_at AND created_at = next_poll_at) || '|'
        || (abs(created_at - extract(epoch FROM now()) * 1000) < 60000) FROM invoices WHERE external_id = 'A'";
    let row = "default|86400|pending|0|0|true|true";
    for (columns, values, ask, answer) in [
        ("order_id", "'1'", whole, row),
        (
            "account, order_id, amount, currency, description, timeout_seconds, options, metadata, status",
            "NULL, '1', NULL, NULL, NULL, NULL, NULL, NULL, NULL",
            whole,
            row,
        ),
        (
            "order_id",
            "2703383946854401",
            "SELECT order_id FROM invoices WHERE external_id = 'A'",
            "2703383946854401",
        ),
        (
            "order_id, amount, currency",
            "'1', '0.100000340', 'TON'",
            "SELECT amount FROM invoices WHERE external_id = 'A'",
            "0.100000340",
        ),
        (
            "order_id, amount, currency",
            "'1', 1.50, 'USD'",
            "SELECT amount FROM invoices WHERE external_id = 'A'",
            "1.50",
        ),
        (
            "amount, currency, description",
            "'1', 'USD', repeat('я', 4096)",
            "SELECT length(description) || status FROM invoices WHERE external_id = 'A'",
            "4096requested",
        ),
        (
            "status",
            "'pending'",
            "SELECT status || coalesce(order_id, '-') FROM invoices WHERE external_id = 'A'",
            "pending-",
        ),
        (
            "account, amount, currency, status",
            "'stars', '100', 'XTR', 'pending'",
            "SELECT status || amount || currency FROM invoices WHERE external_id = 'A'",
            "pending100XTR",
        ),
        (
            "order_id, metadata",
            "'1', '{\"a\":1,\"a\":2}'",
            "SELECT metadata FROM invoices WHERE external_id = 'A'",
            "{\"a\":1,\"a\":2}",
        ),
        (
            "order_id, metadata",
            "'1', json_build_object('chat', 7)",
            "SELECT metadata FROM invoices WHERE external_id = 'A'",
            "{\"chat\" : 7}",
        ),
        (
            "order_id, metadata",
            "'1', repeat('[', 200) || repeat(']', 200)",
            "SELECT length(metadata) FROM invoices WHERE external_id = 'A'",
            "400",
        ),
        (
            "order_id, options",
            "'1', '{\"a\":\"' || repeat('00', 8188) || '\"}'",
            "SELECT length(options) FROM invoices WHERE external_id = 'A'",
            "16384",
        ),
        (
            "order_id, timeout_seconds",
            "'1', 2678400",
            "SELECT timeout_seconds FROM invoices WHERE external_id = 'A'",
            "2678400",
        ),
    ] {
        let sql = format!("INSERT INTO invoices (external_id, {columns}) VALUES ('A', {values})");
        scene.gives("", &sql, ask, answer).await;
    }
}

#[tokio::test]
async fn a_programs_refused_row_is_not_in_the_servers_log_by_its_values() {
    // A CHECK would print "Failing row contains …" there.
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let sql = "INSERT INTO invoices (external_id, order_id, metadata) VALUES ('A', '1', '{')";
    let mut transaction = sqlx::Connection::begin(scene.connection(As::Daemon))
        .await
        .unwrap();
    let refused = sqlx::Executor::execute(&mut *transaction, sql)
        .await
        .unwrap_err();
    let refused = refused.into_database_error().unwrap();
    let refused = refused.downcast::<sqlx::postgres::PgDatabaseError>();
    assert_eq!((refused.code(), refused.detail()), ("23514", None));
    transaction.rollback().await.unwrap();
}
